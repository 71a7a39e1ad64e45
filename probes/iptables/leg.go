package iptables

import "slices"

// leg is one packet of the flow.
type leg struct {
	name  string
	out   bool // sent by this machine
	first bool // opens the flow: the one that nat sees
	proto uint8
	flags uint8
	icmp  uint8
	code  uint8 // of ICMP
	// states is the conntrack state where it is not that of the flow.
	states uint8
	// For neighbour discovery: this side's address and the address types.
	local               word128
	localType, peerType uint16
}

// neighbour reports whether the packet is not addressed as the flow is.
func (l *leg) neighbour() bool { return l.localType != 0 }

var (
	legSYN     = leg{name: "SYN", first: true, proto: 6, flags: flSYN}
	legSYNACK  = leg{name: "SYN/ACK", out: true, proto: 6, flags: flSYN | flACK}
	legACK     = leg{name: "ACK and data", proto: 6, flags: flACK}
	legPush    = leg{name: "data with PSH", proto: 6, flags: flACK | flPSH}
	legACKOut  = leg{name: "data to the client", out: true, proto: 6, flags: flACK}
	legPushOut = leg{name: "data with PSH to the client", out: true, proto: 6, flags: flACK | flPSH}
)

// wholeFlow takes the flows through the handshake and data both ways, and
// returns those that may get through it all. Data goes round until the
// connection marks no longer change.
func (a *analysis) wholeFlow(set []segment) []segment {
	for _, l := range []*leg{&legSYN, &legSYNACK} {
		set = a.leg(l, set)
	}
	const rounds = 4
	for i := 0; ; i++ {
		before := set
		set = a.data(set)
		if sameFlows(before, set) || len(set) == 0 || a.exhausted {
			return set
		}
		if i == rounds {
			a.exhausted = true // marks that never settle are not followed
			return set
		}
	}
}

// data takes the flows through one round of data each way.
func (a *analysis) data(set []segment) []segment {
	set = a.leg(&legACK, set)
	if !a.psh {
		return a.leg(&legACKOut, set)
	}
	// A short answer leaves in one segment with PSH; without the bare ACK it is
	// only a matter of length.
	set = a.leg(&legPush, set)
	before := len(a.drops)
	all := set
	set = a.leg(&legACKOut, set)
	for i := range a.drops[before:] {
		by := *a.drops[before+i].by
		if by.assumed == "" {
			by.assumed = "tcp-flags"
		}
		a.drops[before+i].by = &by
	}
	if len(a.drops) > before {
		set = a.sp.merge(append(slices.Clone(set), all...))
	}
	return a.leg(&legPushOut, set)
}

// sameFlows reports whether a round of data left every flow with the same
// marks; flows that were dropped on the way do not matter.
func sameFlows(before, after []segment) bool {
	i := 0
	for _, g := range after {
		for i < len(before) && before[i].hi.less(g.lo) {
			i++
		}
		for j := i; j < len(before) && !g.hi.less(before[j].lo); j++ {
			if !within(g.f, before[j].f) {
				return false
			}
		}
	}
	return true
}

// within reports whether all classes of f are among those of g.
func within(f, g *fiber) bool {
	if f == g {
		return true
	}
	for _, c := range f.cells {
		found := false
		for _, d := range g.cells {
			found = found || c.class == d.class
		}
		if !found {
			return false
		}
	}
	return true
}

// leg takes a set of flows through one packet.
func (a *analysis) leg(l *leg, set []segment) []segment {
	if len(set) == 0 || a.exhausted {
		return nil
	}
	set = a.classes(set, func(c class) class { return fresh(c, l) })
	if l.out {
		set = a.outward(l, set)
	} else {
		set = a.inward(l, set)
	}
	if l.neighbour() && l.proto == 58 {
		set = a.hopCheck(l, set)
	}
	return a.classes(set, func(c class) class {
		c.states, c.template, c.mark, c.markBlur = 0, template{}, 0, 0
		if !l.neighbour() {
			c.hop = -1
		}
		return c
	})
}

// fresh is a class at the beginning of a packet: no mark, not yet tracked.
func fresh(c class, l *leg) class {
	c.mark, c.markBlur, c.template, c.states = 0, 0, template{}, stInvalid
	c.hop = -1
	if l.neighbour() {
		c.hop = 255
	}
	return c
}

// classes changes the class of everything in a set.
func (a *analysis) classes(set []segment, to func(class) class) []segment {
	memo := map[*fiber]*fiber{}
	out := make([]segment, len(set))
	for i, g := range set {
		f, ok := memo[g.f]
		if !ok {
			f = a.sp.project(g.f, to)
			memo[g.f] = f
		}
		out[i] = segment{g.span, f}
	}
	return glue(out)
}

// inward takes a packet from the link to the local program.
func (a *analysis) inward(l *leg, set []segment) []segment {
	st := stage{leg: l, hook: "PREROUTING"}
	set = a.table(st, "raw", set)
	set = a.conntrack(l, set)
	st.conntracked = true
	set = a.untranslated(st, set)
	set = a.table(st, "mangle", set)
	if !l.neighbour() {
		set = a.natTable(st, set)
		st.translated = true
		set = a.routeIn(st, set)
	}
	st.hook = "INPUT"
	for _, t := range []string{"mangle", "filter", "security"} {
		set = a.table(st, t, set)
	}
	if !l.neighbour() {
		set = a.natTable(st, set)
		st.table = "nat"
		set = a.perhapsWithout(set, st, "nat", "where replies go is not followed after a translation of the source", func(c class) tri {
			if c.hidden && l.first {
				return maybe
			}
			return no
		})
	}
	return set
}

// outward takes a packet from the local program to the link.
func (a *analysis) outward(l *leg, set []segment) []segment {
	st := stage{leg: l, hook: "OUTPUT", translated: true}
	if !l.neighbour() {
		set = a.without(set, st, "routes", "there is no route back to the source", func(c class) tri { return triOf(c.link == 0) })
	}
	set = a.table(st, "raw", set)
	set = a.conntrack(l, set)
	st.conntracked = true
	set = a.untranslated(st, set)
	for _, t := range []string{"mangle", "filter", "security"} {
		set = a.table(st, t, set)
	}
	st.hook = "POSTROUTING"
	set = a.table(st, "mangle", set)
	if !l.neighbour() {
		st.table = "nat"
		set = a.perhapsWithout(set, st, "nat", "nat may rewrite replies of a flow that is not tracked", a.replyMeetsNAT)
		st.table = "mangle"
		set = a.perhapsWithout(set, st, "ttl", "the reply may leave with a TTL too low to arrive", lowHop)
	}
	return set
}

// table runs one table at one hook, of both back ends.
func (a *analysis) table(st stage, name string, set []segment) []segment {
	st.table = name
	for _, b := range a.stack {
		c := b.tables[name].Chain(st.hook)
		if c == nil || len(set) == 0 || len(c.Rules) == 0 && c.Policy == "ACCEPT" {
			continue
		}
		w := &walk{an: a, stage: st, views: map[classID]*view{}, memo: map[memoKey][]memoEntry{}}
		set = w.run(c, set)
	}
	return set
}

// divide splits a set by class.
func (a *analysis) divide(set []segment, in func(class) bool) (yes, no []segment) {
	for _, g := range set {
		var y, n []cell
		for _, c := range g.f.cells {
			if in(a.sp.classes[c.class]) {
				y = append(y, c)
			} else {
				n = append(n, c)
			}
		}
		if f := a.sp.fiber(y); f != nil {
			yes = append(yes, segment{g.span, f})
		}
		if f := a.sp.fiber(n); f != nil {
			no = append(no, segment{g.span, f})
		}
	}
	return yes, no
}
