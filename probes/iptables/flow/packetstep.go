package flow

import (
	"slices"

	"lifeline/probes/iptables/netfilter"
	"lifeline/probes/iptables/netset"
	"lifeline/probes/iptables/tri"
)

// packetStep is one packet of the flow.
type packetStep struct {
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
	local               netset.Addr
	localType, peerType uint16
}

// neighbourDiscovery reports whether the packet is not addressed as the flow is.
func (l *packetStep) neighbourDiscovery() bool { return l.localType != 0 }

var (
	stepSYN     = packetStep{name: "SYN", first: true, proto: 6, flags: netfilter.FlagSYN}
	stepSYNACK  = packetStep{name: "SYN/ACK", out: true, proto: 6, flags: netfilter.FlagSYN | netfilter.FlagACK}
	stepACK     = packetStep{name: "ACK and data", proto: 6, flags: netfilter.FlagACK}
	stepPush    = packetStep{name: "data with PSH", proto: 6, flags: netfilter.FlagACK | netfilter.FlagPSH}
	stepACKOut  = packetStep{name: "data to the client", out: true, proto: 6, flags: netfilter.FlagACK}
	stepPushOut = packetStep{name: "data with PSH to the client", out: true, proto: 6, flags: netfilter.FlagACK | netfilter.FlagPSH}
)

// connect takes the flows through the handshake and data both ways, and
// returns those that may get through it all. Data goes round until the
// connection marks no longer change.
func (a *Analysis) connect(set []segment) []segment {
	for _, l := range []*packetStep{&stepSYN, &stepSYNACK} {
		set = a.passPacket(l, set)
	}
	const rounds = 4
	for i := 0; ; i++ {
		before := set
		set = a.exchangeData(set)
		if sameFlows(before, set) || len(set) == 0 || a.exhausted {
			return set
		}
		if i == rounds {
			a.exhausted = true // marks that never settle are not followed
			return set
		}
	}
}

// exchangeData takes the flows through one round of data each way.
func (a *Analysis) exchangeData(set []segment) []segment {
	set = a.passPacket(&stepACK, set)
	if !a.psh {
		return a.passPacket(&stepACKOut, set)
	}
	// A short answer leaves in one segment with PSH; without the bare ACK it is
	// only a matter of length.
	set = a.passPacket(&stepPush, set)
	before := len(a.drops)
	all := set
	set = a.passPacket(&stepACKOut, set)
	for i := range a.drops[before:] {
		by := *a.drops[before+i].by
		if by.assumed == "" {
			by.assumed = "tcp-flags"
		}
		a.drops[before+i].by = &by
	}
	if len(a.drops) > before {
		set = a.cells.merge(append(slices.Clone(set), all...))
	}
	return a.passPacket(&stepPushOut, set)
}

// sameFlows reports whether a round of data left every flow with the same
// marks; flows that were dropped on the way do not matter.
func sameFlows(before, after []segment) bool {
	i := 0
	for _, g := range after {
		for i < len(before) && before[i].Hi.Less(g.Lo) {
			i++
		}
		for j := i; j < len(before) && !g.Hi.Less(before[j].Lo); j++ {
			if !within(g.set, before[j].set) {
				return false
			}
		}
	}
	return true
}

// within reports whether all classes of f are among those of g.
func within(f, g *cellSet) bool {
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

// passPacket takes a set of flows through one packet.
func (a *Analysis) passPacket(l *packetStep, set []segment) []segment {
	if len(set) == 0 || a.exhausted {
		return nil
	}
	set = a.classes(set, func(c class) class { return beforeHooks(c, l) })
	if l.out {
		set = a.send(l, set)
	} else {
		set = a.receive(l, set)
	}
	if l.neighbourDiscovery() && l.proto == 58 {
		set = a.hopCheck(l, set)
	}
	return a.classes(set, func(c class) class {
		c.states, c.template, c.mark, c.markBlur = 0, template{}, 0, 0
		if !l.neighbourDiscovery() {
			c.hop = -1
		}
		return c
	})
}

// beforeHooks is a class at the beginning of a packet: no mark, not yet tracked.
func beforeHooks(c class, l *packetStep) class {
	c.mark, c.markBlur, c.template, c.states = 0, 0, template{}, netfilter.StateInvalid
	c.hop = -1
	if l.neighbourDiscovery() {
		c.hop = 255
	}
	return c
}

// classes changes the class of everything in a set.
func (a *Analysis) classes(set []segment, to func(class) class) []segment {
	memo := map[*cellSet]*cellSet{}
	out := make([]segment, len(set))
	for i, g := range set {
		f, ok := memo[g.set]
		if !ok {
			f = a.cells.project(g.set, to)
			memo[g.set] = f
		}
		out[i] = segment{g.Span, f}
	}
	return glue(out)
}

// receive takes a packet from the link to the local program.
func (a *Analysis) receive(l *packetStep, set []segment) []segment {
	st := stage{step: l, hook: "PREROUTING"}
	set = a.runTable(st, "raw", set)
	set = a.conntrack(l, set)
	st.conntracked = true
	set = a.untranslated(st, set)
	set = a.runTable(st, "mangle", set)
	if !l.neighbourDiscovery() {
		set = a.runNAT(st, set)
		st.translated = true
		set = a.routeIn(st, set)
	}
	st.hook = "INPUT"
	for _, t := range []string{"mangle", "filter", "security"} {
		set = a.runTable(st, t, set)
	}
	if !l.neighbourDiscovery() {
		set = a.runNAT(st, set)
		st.table = "nat"
		set = a.perhapsDropWhere(set, st, "nat", "where replies go is not followed after a translation of the source", func(c class) tri.Value {
			if c.hidden && l.first {
				return tri.Maybe
			}
			return tri.No
		})
		set = a.listening(st, set)
	}
	return set
}

// send takes a packet from the local program to the link.
func (a *Analysis) send(l *packetStep, set []segment) []segment {
	st := stage{step: l, hook: "OUTPUT", translated: true}
	if !l.neighbourDiscovery() {
		set = a.dropWhere(set, st, "routes", "there is no route back to the source", func(c class) tri.Value { return tri.Of(c.link == 0) })
	}
	set = a.runTable(st, "raw", set)
	set = a.conntrack(l, set)
	st.conntracked = true
	set = a.untranslated(st, set)
	for _, t := range []string{"mangle", "filter", "security"} {
		set = a.runTable(st, t, set)
	}
	st.hook = "POSTROUTING"
	set = a.runTable(st, "mangle", set)
	if !l.neighbourDiscovery() {
		st.table = "nat"
		set = a.perhapsDropWhere(set, st, "nat", "nat may rewrite replies of a flow that is not tracked", a.replyMeetsNAT)
		st.table = "mangle"
		set = a.perhapsDropWhere(set, st, "ttl", "the reply may leave with a TTL too low to arrive", lowHop)
	}
	return set
}

// runTable runs one table at one hook, of both back ends.
func (a *Analysis) runTable(st stage, name string, set []segment) []segment {
	st.table = name
	for _, b := range a.stack {
		c := b.Tables[name].Chain(st.hook)
		if c == nil || len(set) == 0 || len(c.Rules) == 0 && c.Policy == "ACCEPT" {
			continue
		}
		w := &tableWalk{an: a, stage: st, views: map[classID]*packetView{}, memo: map[memoKey][]memoEntry{}}
		set = w.run(c, set)
	}
	return set
}

// divide splits a set by class.
func (a *Analysis) divide(set []segment, in func(class) bool) (yes, no []segment) {
	for _, g := range set {
		var y, n []cell
		for _, c := range g.set.cells {
			if in(a.cells.classes[c.class]) {
				y = append(y, c)
			} else {
				n = append(n, c)
			}
		}
		if f := a.cells.cellSet(y); f != nil {
			yes = append(yes, segment{g.Span, f})
		}
		if f := a.cells.cellSet(n); f != nil {
			no = append(no, segment{g.Span, f})
		}
	}
	return yes, no
}
