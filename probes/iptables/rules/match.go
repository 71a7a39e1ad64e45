package rules

import "lifeline/probes/iptables/netset"

// Match is a match beyond addresses, ports, links and protocol. It is data only.
type Match interface{ isMatch() }

func (NeverMatch) isMatch()      {}
func (SetUse) isMatch()          {}
func (EitherPortMatch) isMatch() {}
func (TCPFlagsMatch) isMatch()   {}
func (StateMatch) isMatch()      {}
func (ConntrackMatch) isMatch()  {}
func (MarkMatch) isMatch()       {}
func (AddrTypeMatch) isMatch()   {}
func (ICMPMatch) isMatch()       {}
func (HopLimitMatch) isMatch()   {}
func (RPFilterMatch) isMatch()   {}
func (SetMatch) isMatch()        {}

// NeverMatch looks for something that no packet of the question has.
type NeverMatch struct{}

// SetUse notes a set that a target needs: it must exist, and it may be changed.
type SetUse struct {
	Name   string
	Writes bool
}

// EitherPortMatch matches the source or the destination port.
type EitherPortMatch struct {
	Ports *netset.PortSet
	Inv   bool
}

// TCPFlagsMatch matches TCP flags.
type TCPFlagsMatch struct {
	Mask, Want uint8
	Inv        bool
}

// StateMatch matches the conntrack state.
type StateMatch struct {
	Mask uint8
	Inv  bool
}

// ConntrackField is a property of a conntrack entry.
type ConntrackField uint8

const (
	ConntrackProto ConntrackField = iota
	ConntrackDir
	ConntrackOrigSrc
	ConntrackOrigDst
	ConntrackReplSrc
	ConntrackReplDst
	ConntrackOrigSrcPort
	ConntrackOrigDstPort
	ConntrackReplSrcPort
	ConntrackReplDstPort
)

// ConntrackPart is one option of the conntrack match.
type ConntrackPart struct {
	Field ConntrackField
	Num   uint32
	Addrs *netset.AddrSet
	Ports *netset.PortSet
	Inv   bool
}

// ConntrackMatch is the conntrack match beside --ctstate.
type ConntrackMatch struct {
	Parts     []ConntrackPart
	WithState bool
	Other     bool
}

// MarkMatch matches the packet's or the connection's mark.
type MarkMatch struct {
	Conn        bool
	Value, Mask uint32
	Inv         bool
}

// AddrTypeMatch matches the type of an address.
type AddrTypeMatch struct {
	Src               bool
	Mask              uint16
	Inv               bool
	LimitIn, LimitOut bool
}

// ICMPMatch matches an ICMP type with a range of codes.
type ICMPMatch struct {
	Type ICMPType
	Inv  bool
}

// HopLimitMatch matches the hop limit or TTL, known for neighbour discovery only.
type HopLimitMatch struct {
	Op   byte
	Val  int
	Inv  bool
	Name string
}

// RPFilterMatch matches packets whose route back leads where they came from.
type RPFilterMatch struct{ Loose, Inv bool }

// SetMatch matches an ipset.
type SetMatch struct {
	Name     string
	Dirs     []bool // true: src
	Inv      bool
	Counters bool
}
