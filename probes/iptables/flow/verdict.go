package flow

import "net/netip"

// Verdict answers a Question.
type Verdict string

const (
	// Allowed means that every packet of the flow passes every hook, without
	// any assumption.
	Allowed Verdict = "ALLOWED"
	// Blocked means that there is a packet which is certainly dropped.
	Blocked Verdict = "BLOCKED"
	// Conditional means that the answer depends on the named assumptions.
	Conditional Verdict = "CONDITIONAL"
)

// Scope says how much of the question a Blocked verdict covers.
type Scope string

const (
	// ScopeAll: no management flow can work.
	ScopeAll Scope = "all"
	// ScopePart: some management flows work, or may work.
	ScopePart Scope = "part"
	// ScopeNone goes with verdicts other than Blocked.
	ScopeNone Scope = ""
)

// Probe is a connection worth trying in a rehearsal: a corner of a box of
// sources that the analysis treats alike.
type Probe struct {
	Src netip.Addr
	// SPort is the source port that the box needs, 0 where any will do.
	SPort uint16
	Dst   netip.Addr
	DPort uint16
	// Expect is what the analysis says about this one connection.
	Expect Verdict
}
