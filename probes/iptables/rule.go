package iptables

import (
	"reflect"
	"strings"
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
	// doubt is a line after which the content of the tables is not certain.
	doubt int
	// versions is a line that iptables-nft-restore 1.8.9 reads otherwise than
	// it documents; 0 if none.
	versions int
	// erring is where iptables-nft-restore 1.8.9 stops by an error of its own;
	// the tables are read on as if it did not.
	erring *ParseError
	// commits are the tables in the order in which they were committed.
	commits []commit
}

// commit is a table as one COMMIT line left it.
type commit struct {
	line  int
	table *Table
}

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
	policyFile string
	Rules      []*Rule
	// id numbers the chains of a table.
	id int
}

// Rule is one rule of a chain.
type Rule struct {
	// File and Line say where it stands; Text is the line without counters
	// and line end.
	File string
	Line int
	Text string

	src, dst *addrSet // nil: any
	// srcMask and dstMask narrow them further by a mask with holes.
	srcMask, dstMask *maskSet
	sport            *portSet // nil: any
	dport            *portSet
	in, out          iface
	proto            uint8 // 0: any
	protoInv         bool
	frag             int8 // 1: -f, -1: ! -f
	bare             bool // matches every packet, without any match extension
	conds            []cond
	// unknown names what the analysis does not model of this rule's matches.
	unknown []string
	target  target
}

// iface matches a link name.
type iface struct {
	name string // empty: any
	any  bool   // ends in +: name is a beginning
	inv  bool
}

func (f iface) matches(link string) bool {
	if f.name == "" && !f.any {
		return true
	}
	hit := link == f.name
	if f.any {
		hit = len(link) >= len(f.name) && link[:len(f.name)] == f.name
	}
	return hit != f.inv
}

// targetKind says what a rule does with a packet.
type targetKind uint8

const (
	// tgContinue: nothing that the question could feel.
	tgContinue targetKind = iota
	tgAccept
	tgDrop
	tgReject
	tgReturn
	tgJump
	tgGoto
	tgMark
	tgConnmark
	tgNotrack
	tgZone
	tgDNAT
	tgRedirect
	tgNetmap
	tgSNAT
	tgHopLimit
	// tgUnknown may accept, drop or go on, and may change the mark.
	tgUnknown
	// tgUnknownMark goes on with a mark that is not known.
	tgUnknownMark
)

// target is what a rule does.
type target struct {
	kind  targetKind
	name  string // as written after -j or -g
	chain *Chain // of a jump or goto, set when the table is complete
	mark  markOp
	nat   natRange
	mask  word128 // of NETMAP
	zone  int     // of CT --zone; -1 not known
	hop   hopOp
}

// markOp is new = (old &^ mask) ^ value, on the packet's or the connection's
// mark.
type markOp struct {
	value, mask uint32
	// save copies the packet's mark to the connection's, restore the other
	// way, through the masks.
	save, restore  bool
	ctmask, nfmask uint32
	shifted        bool
}

// hopOp sets or changes the hop limit.
type hopOp struct {
	set bool
	val int
}

// noteworthy reports whether taking the rule changes anything for a packet.
func (r *Rule) noteworthy() bool { return r.target.kind != tgContinue }

// sameAs reports whether deleting by specification would take r for want.
func (r *Rule) sameAs(want *Rule) bool {
	if len(r.unknown) > 0 || len(want.unknown) > 0 {
		return specText(r.Text) == specText(want.Text)
	}
	if r.target.kind != want.target.kind || r.target.name != want.target.name || len(r.conds) != len(want.conds) {
		return false
	}
	a, b := *r, *want
	a.File, a.Line, a.Text, a.target.chain = "", 0, "", nil
	b.File, b.Line, b.Text, b.target.chain = "", 0, "", nil
	return reflect.DeepEqual(a, b)
}

// specText is a rule's text without its command and chain.
func specText(s string) string {
	w := strings.Fields(s)
	return strings.Join(w[min(2, len(w)):], " ")
}
