package iptables

import (
	"fmt"
	"net/netip"
)

// Backend says which of the two iptables back ends loads a file. They accept
// different files and read some of them differently.
type Backend string

const (
	// NFT is iptables-nft-restore: rules become nf_tables expressions.
	NFT Backend = "nft"
	// Legacy is iptables-legacy-restore: rules become x_tables blobs.
	Legacy Backend = "legacy"
)

// Other is the back end that b is not.
func (b Backend) Other() Backend {
	if b == NFT {
		return Legacy
	}
	return NFT
}

// Family is an address family by its IP version number, 4 or 6.
type Family int

const (
	// IPv4 is what iptables-restore loads.
	IPv4 Family = 4
	// IPv6 is what ip6tables-restore loads.
	IPv6 Family = 6
)

// of reports whether address a belongs to the family.
func (f Family) of(a netip.Addr) bool { return a.Is4() == (f == IPv4) }

// bits is the length of the family's addresses.
func (f Family) bits() int {
	if f == IPv4 {
		return 32
	}
	return 128
}

// Question asks whether a machine can be managed over TCP: every source of
// Mgmt, from every source port a client uses, to every address of Dst and
// every port of Ports, arriving on Iface. The whole set is asked about, for
// one family and one back end. Entries of the other family are ignored, so
// the same lists can be used for both.
type Question struct {
	Family  Family
	Backend Backend
	// Iface is the link on which management arrives.
	Iface string
	// Dst are the local addresses that clients connect to.
	Dst []netip.Addr
	// Ports are the TCP ports that clients connect to.
	Ports []uint16
	// Mgmt are the management sources.
	Mgmt []netip.Prefix
	// Host describes the machine.
	Host Host
}

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

// Load says whether the restore tool of the boot would load the files.
type Load string

const (
	// LoadOK: loaded as a whole.
	LoadOK Load = "ok"
	// LoadFails: refused; tables committed before the error stay loaded.
	LoadFails Load = "fails"
	// LoadUnknown: could not be found out.
	LoadUnknown Load = "unknown"
)

// Told is what the real restore tool said about a file in a scratch
// namespace. The zero value means that it was not asked: the parser's own
// judgement counts then.
type Told struct {
	Load Load
	// Error is the tool's message, for people.
	Error string
	// Line is the 1-based line that the tool named in its error, 0 if none.
	// Tables whose COMMIT stands before it count as loaded.
	Line int
}

// Packet is an example packet, as it looks at the hook that decides its fate.
type Packet struct {
	// Leg says which packet of the flow it is, for example "SYN" or "data to
	// the client".
	Leg   string     `json:"leg"`
	Src   netip.Addr `json:"src"`
	Dst   netip.Addr `json:"dst"`
	Proto string     `json:"proto"`
	SPort uint16     `json:"sport,omitempty"`
	DPort uint16     `json:"dport,omitempty"`
	// ICMPType is the type of an ICMP or ICMPv6 packet.
	ICMPType uint8  `json:"icmp_type,omitempty"`
	In       string `json:"in,omitempty"`
	Out      string `json:"out,omitempty"`
	// State is the conntrack state: NEW, ESTABLISHED, UNTRACKED.
	State string `json:"state"`
	// Flags are the TCP flags that are set, comma-separated.
	Flags string `json:"flags,omitempty"`
	Mark  uint32 `json:"mark,omitempty"`
}

// String renders the packet as one line.
func (p Packet) String() string {
	s := fmt.Sprintf("%s %s -> %s", p.Leg, p.Src, p.Dst)
	if p.Proto == "tcp" || p.Proto == "udp" {
		s = fmt.Sprintf("%s %s -> %s", p.Leg, netip.AddrPortFrom(p.Src, p.SPort), netip.AddrPortFrom(p.Dst, p.DPort))
	}
	s += " " + p.Proto
	if p.In != "" {
		s += " in " + p.In
	}
	if p.Out != "" {
		s += " out " + p.Out
	}
	return s + " " + p.State
}

// TraceStep is one rule (or chain policy) that acted on the counter-example.
type TraceStep struct {
	File string `json:"file"`
	// Line is 1-based; 0 where no line of the file says it (a policy that
	// was never set, the routing decision).
	Line int `json:"line,omitempty"`
	// Leg is the packet of the flow, as in Packet.
	Leg   string `json:"leg"`
	Hook  string `json:"hook"`
	Table string `json:"table"`
	Chain string `json:"chain"`
	// Rule is the rule's text as in the file, or "policy DROP".
	Rule string `json:"rule"`
	// Did says what it did: "jump to X", "drop", "set mark 0x1" ...
	Did string `json:"did"`
}

// Assumption is something that the verdict depends on and that the files do
// not say.
type Assumption struct {
	// Name is a short fixed word: "limit", "ipset", "time", "load" ...
	Name string `json:"name"`
	// Rule is the text of the rule, empty where no rule is meant.
	Rule string `json:"rule,omitempty"`
	File string `json:"file,omitempty"`
	Line int    `json:"line,omitempty"`
	// Why says in one sentence what is not known.
	Why string `json:"why"`
}

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
	// Listen are the local addresses and ports that management may be
	// translated to (REDIRECT, DNAT): the rehearsal must listen there too.
	Listen []netip.AddrPort `json:"-"`
}
