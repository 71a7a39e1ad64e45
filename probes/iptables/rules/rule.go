package rules

import (
	"reflect"
	"strings"

	"lifeline/probes/iptables/netset"
)

// Ruleset is what one rules file loads.
type Ruleset struct {
	// File is the name of the file.
	File string
	// Load is the parser's own judgement of whether the restore tool would
	// load the file as a whole.
	Load Load
	// Why says why not, or what could not be foretold.
	Why string
	// Err is where loading stops; nil if it does not.
	Err *ParseError
	// Modprobe lists the lines that name a program to load modules with
	// (-M): a restore tool runs it.
	Modprobe []int
	// SideEffects lists the lines whose target acts outside the packet path
	// when it is loaded (IDLETIMER, LED).
	SideEffects []int
	// DoubtLine is a line after which the content of the tables is not certain.
	DoubtLine int
	// VersionLine is a line that iptables-nft-restore 1.8.9 reads otherwise than
	// it documents; 0 if none.
	VersionLine int
	// ToolError is where iptables-nft-restore 1.8.9 stops by an error of its own;
	// the tables are read on as if it did not.
	ToolError *ParseError
	// commits are the tables in the order in which they were committed.
	commits []commit
}

// commit is a table as one COMMIT line left it.
type commit struct {
	line  int
	table *Table
}

// Rule is one rule of a chain.
type Rule struct {
	// File and Line say where it stands; Text is the line without counters
	// and line end.
	File string
	Line int
	Text string

	Src, Dst *netset.AddrSet // nil: any
	// SrcMask and DstMask narrow them further by a mask with holes.
	SrcMask, DstMask *netset.MaskSet
	Sport            *netset.PortSet // nil: any
	Dport            *netset.PortSet
	In, Out          LinkMatch
	Proto            uint8 // 0: any
	ProtoInv         bool
	Frag             int8 // 1: -f, -1: ! -f
	bare             bool // matches every packet, without any match extension
	Matches          []Match
	// Unmodelled names what the analysis does not model of this rule's matches.
	Unmodelled []string
	Target     Target
}

// LinkMatch matches a link name.
type LinkMatch struct {
	Name string // empty: any
	Any  bool   // ends in +: name is a beginning
	Inv  bool
}

// Matches reports whether the link is meant.
func (f LinkMatch) Matches(link string) bool {
	if f.Name == "" && !f.Any {
		return true
	}
	hit := link == f.Name
	if f.Any {
		hit = len(link) >= len(f.Name) && link[:len(f.Name)] == f.Name
	}
	return hit != f.Inv
}

// TargetKind says what a rule does with a packet.
type TargetKind uint8

const (
	// TargetContinue: nothing that the question could feel.
	TargetContinue TargetKind = iota
	TargetAccept
	TargetDrop
	TargetReject
	TargetReturn
	TargetJump
	TargetGoto
	TargetMark
	TargetConnmark
	TargetNotrack
	TargetZone
	TargetDNAT
	TargetRedirect
	TargetNetmap
	TargetSNAT
	TargetHopLimit
	// TargetUnknown may accept, drop or go on, and may change the mark.
	TargetUnknown
	// TargetUnknownMark goes on with a mark that is not known.
	TargetUnknownMark
)

// Target is what a rule does.
type Target struct {
	Kind  TargetKind
	Name  string // as written after -j or -g
	Chain *Chain // of a jump or goto, set when the table is complete
	Mark  MarkChange
	Nat   NATRange
	Mask  netset.Addr // of NETMAP
	Zone  int         // of CT --zone; -1 not known
	Hop   HopLimitChange
}

// MarkChange is new = (old &^ mask) ^ value, on the packet's or the connection's
// mark.
type MarkChange struct {
	Value, Mask uint32
	// Save copies the packet's mark to the connection's, Restore the other
	// way, through the masks.
	Save, Restore  bool
	Ctmask, Nfmask uint32
	Shifted        bool
}

// HopLimitChange sets or changes the hop limit.
type HopLimitChange struct {
	Set bool
	Val int
}

// HasEffect reports whether taking the rule changes anything for a packet.
func (r *Rule) HasEffect() bool { return r.Target.Kind != TargetContinue }

// sameAs reports whether deleting by specification would take r for want.
func (r *Rule) sameAs(want *Rule) bool {
	if len(r.Unmodelled) > 0 || len(want.Unmodelled) > 0 {
		return specText(r.Text) == specText(want.Text)
	}
	if r.Target.Kind != want.Target.Kind || r.Target.Name != want.Target.Name || len(r.Matches) != len(want.Matches) {
		return false
	}
	a, b := *r, *want
	a.File, a.Line, a.Text, a.Target.Chain = "", 0, "", nil
	b.File, b.Line, b.Text, b.Target.Chain = "", 0, "", nil
	return reflect.DeepEqual(a, b)
}

// specText is a rule's text without its command and chain.
func specText(s string) string {
	w := strings.Fields(s)
	return strings.Join(w[min(2, len(w)):], " ")
}
