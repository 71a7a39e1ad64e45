package netfilter

import (
	"fmt"
	"net/netip"
)

// Packet is an example packet, as it looks at the hook that decides its fate.
type Packet struct {
	// Step says which packet of the flow it is, for example "SYN" or "data to
	// the client".
	Step  string     `json:"leg"`
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
	s := fmt.Sprintf("%s %s -> %s", p.Step, p.Src, p.Dst)
	if p.Proto == "tcp" || p.Proto == "udp" {
		s = fmt.Sprintf("%s %s -> %s", p.Step, netip.AddrPortFrom(p.Src, p.SPort), netip.AddrPortFrom(p.Dst, p.DPort))
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
	// Step is the packet of the flow, as in Packet.
	Step  string `json:"leg"`
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
