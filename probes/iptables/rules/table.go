package rules

// Table is a table of one back end.
type Table struct {
	Name   string
	Chains []*Chain
	byName map[string]*Chain
}

// Chain returns the chain of that name, nil if there is none.
func (t *Table) Chain(name string) *Chain {
	if t == nil {
		return nil
	}
	return t.byName[name]
}

// Chain is a list of rules.
type Chain struct {
	Name string
	// Builtin chains hang on a hook and have a policy.
	Builtin bool
	// Policy is ACCEPT or DROP for a built-in chain, empty otherwise.
	Policy string
	// PolicyLine is the line that set the policy, 0 for the default.
	PolicyLine int
	PolicyFile string
	Rules      []*Rule
	// id numbers the chains of a table.
	id int
}

// AnyRule reports whether f holds for a rule of the table.
func (t *Table) AnyRule(f func(*Rule) bool) bool {
	for _, c := range t.Chains {
		for _, r := range c.Rules {
			if f(r) {
				return true
			}
		}
	}
	return false
}

// ChangesPackets reports whether a rule marks, translates or untracks packets, or might.
func (t *Table) ChangesPackets() bool {
	return t.AnyRule(func(r *Rule) bool {
		switch r.Target.Kind {
		case TargetMark, TargetConnmark, TargetUnknownMark, TargetNotrack, TargetZone, TargetDNAT, TargetRedirect, TargetNetmap, TargetSNAT, TargetUnknown:
			return true
		}
		return false
	})
}

// LooksAtPackets reports whether a rule depends on what ChangesPackets is about.
func (t *Table) LooksAtPackets() bool {
	return t.ChangesPackets() || t.AnyRule(func(r *Rule) bool {
		for _, c := range r.Matches {
			if _, ok := c.(MarkMatch); ok {
				return true
			}
		}
		return false
	})
}
