package iptables

// Result is the answer of Analyse.
type Result struct {
	Load      Load    `json:"load"`
	LoadError string  `json:"load_error,omitempty"`
	Verdict   Verdict `json:"verdict"`
	Scope     Scope   `json:"scope"`
	// Counterexample is a packet that is dropped, nil unless Blocked.
	Counterexample *Packet `json:"counterexample,omitempty"`
	// Trace is the way of the counter-example up to what drops it.
	Trace []TraceStep `json:"trace,omitempty"`
	// Assumptions are what a Conditional verdict depends on, each once.
	Assumptions []Assumption `json:"assumptions,omitempty"`
	// Warnings are sentences that stand beside any verdict.
	Warnings []string `json:"warnings,omitempty"`
	// Probes are connections to try in a rehearsal.
	Probes []Probe `json:"-"`
}

// assume adds an assumption: an answer that was firmly Allowed no longer is.
func (r *Result) assume(x Assumption) {
	if r.Verdict == Blocked {
		return // blocked all the same
	}
	r.Verdict, r.Scope = Conditional, ScopeNone
	r.Assumptions = append(r.Assumptions, x)
}

// doubt adds an assumption that even what is blocked rests on.
func (r *Result) doubt(x Assumption) {
	r.Verdict, r.Scope = Conditional, ScopeNone
	r.Counterexample, r.Trace = nil, nil
	r.Assumptions = append(r.Assumptions, x)
}
