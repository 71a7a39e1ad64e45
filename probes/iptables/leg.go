package iptables

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
	legs := []*leg{&legACK, &legACKOut}
	if a.psh {
		legs = []*leg{&legACK, &legPush, &legACKOut, &legPushOut}
	}
	const rounds = 4
	for i := 0; ; i++ {
		before := set
		for _, l := range legs {
			set = a.leg(l, set)
		}
		if sameFlows(before, set) || len(set) == 0 || a.exhausted {
			return set
		}
		if i == rounds {
			a.exhausted = true // marks that never settle are not followed
			return set
		}
	}
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
	}
	return set
}

// outward takes a packet from the local program to the link.
func (a *analysis) outward(l *leg, set []segment) []segment {
	st := stage{leg: l, hook: "OUTPUT", translated: true}
	if !l.neighbour() {
		set = a.without(set, st, "there is no route back to the source", func(c class) tri { return triOf(c.link == 0) })
	}
	set = a.table(st, "raw", set)
	set = a.conntrack(l, set)
	st.conntracked = true
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

func lowHop(c class) tri {
	if c.hop >= 0 && c.hop < 48 {
		return maybe
	}
	return no
}

// replyMeetsNAT: a reply that conntrack takes for a new flow goes through the
// nat table of the sending side.
func (a *analysis) replyMeetsNAT(c class) tri {
	if c.states&stNew == 0 || !a.hasRules("nat", "OUTPUT") && !a.hasRules("nat", "POSTROUTING") {
		return no
	}
	return maybe
}

func (a *analysis) hasRules(table, chain string) bool {
	for _, b := range a.stack {
		if c := b.tables[table].Chain(chain); c != nil && len(c.Rules) > 0 {
			return true
		}
	}
	return false
}

// hopCheck drops neighbour discovery whose hop limit was changed (RFC 4861).
func (a *analysis) hopCheck(l *leg, set []segment) []segment {
	st := stage{leg: l, hook: "kernel"}
	return a.without(set, st, "neighbour discovery with a hop limit other than 255 is ignored", func(c class) tri {
		switch c.hop {
		case 255:
			return no
		case -1:
			return maybe
		}
		return yes
	})
}

// without drops the classes that the kernel drops by itself.
func (a *analysis) without(set []segment, st stage, why string, gone func(class) tri) []segment {
	return a.kernelDrop(set, &cause{stage: st, why: why}, gone)
}

// perhapsWithout notes the classes that perhaps get no further.
func (a *analysis) perhapsWithout(set []segment, st stage, name, why string, gone func(class) tri) []segment {
	return a.kernelDrop(set, &cause{stage: st, why: why, assumed: name}, gone)
}

func (a *analysis) kernelDrop(set []segment, by *cause, gone func(class) tri) []segment {
	type parts struct{ lost, kept *fiber }
	memo := map[*fiber]parts{}
	var out []segment
	for _, g := range set {
		p, ok := memo[g.f]
		if !ok {
			var lost, kept []cell
			for _, c := range g.f.cells {
				t := gone(a.sp.classes[c.class])
				if t != no {
					lost = append(lost, c)
				}
				if t != yes {
					kept = append(kept, c)
				}
			}
			p = parts{a.sp.fiber(lost), a.sp.fiber(kept)}
			memo[g.f] = p
		}
		if p.lost != nil {
			a.drops = append(a.drops, dropped{segment{g.span, p.lost}, by})
			a.traceKernel(by)
		}
		if p.kept != nil {
			out = append(out, segment{g.span, p.kept})
		}
	}
	return glue(out)
}

// routeIn is the routing decision for an incoming packet: to this machine, or
// elsewhere after a translation; and the reverse path check.
func (a *analysis) routeIn(st stage, set []segment) []segment {
	st.hook = "routing"
	set = a.without(set, st, "the destination is translated to an address that is not this machine's", func(c class) tri {
		return a.ends[c.cur].local.not()
	})
	set = a.perhapsWithout(set, st, "nat", "the port that is translated to is picked at run time", func(c class) tri {
		if !a.ends[c.cur].portKnown {
			return maybe
		}
		return no
	})
	if a.q.Family == IPv6 || a.q.Host.RPFilter == 0 {
		return set
	}
	return a.without(set, st, "rp_filter: the route back to the source leaves by another link", func(c class) tri {
		if a.q.Host.RPFilter == 1 {
			return c.reverse.not()
		}
		return c.reverseLoose.not()
	})
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

// natTable runs the nat table at one hook: for the first packet of a tracked
// flow only. What one back end has translated, the other no longer sees.
func (a *analysis) natTable(st stage, set []segment) []segment {
	if !a.hasNAT(st.hook) {
		return set
	}
	st.table = "nat"
	by := &cause{stage: st, why: "nat may translate packets of a flow that began untracked", assumed: "nat"}
	if !st.leg.first {
		return a.kernelDrop(set, by, func(c class) tri {
			if c.states&stNew != 0 {
				return maybe
			}
			return no
		})
	}
	for _, b := range a.stack {
		c := b.tables["nat"].Chain(st.hook)
		if c == nil || len(c.Rules) == 0 && c.Policy == "ACCEPT" {
			continue
		}
		mine, others := a.divide(set, func(c class) bool { return c.syn == trackYes && !a.natDone(st, c) })
		w := &walk{an: a, stage: st, nat: true, views: map[classID]*view{}, memo: map[memoKey][]memoEntry{}}
		set = a.sp.merge(append(w.run(c, mine), others...))
	}
	return set
}

func (a *analysis) hasNAT(hook string) bool {
	for _, b := range a.stack {
		if c := b.tables["nat"].Chain(hook); c != nil && (len(c.Rules) > 0 || c.Policy != "ACCEPT") {
			return true
		}
	}
	return false
}

func (a *analysis) natDone(st stage, c class) bool {
	if st.hook == "INPUT" {
		return c.hidden
	}
	return c.cur != c.target
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

// conntrack gives every class its state, after the raw table.
func (a *analysis) conntrack(l *leg, set []segment) []segment {
	return a.classes(set, func(c class) class {
		if l.states != 0 && !c.template.notrack {
			c.states = l.states
			return c
		}
		if l.neighbour() || c.template.notrack {
			c.states = stUntracked
			if l.first {
				c.syn = trackNo
			}
			return c
		}
		if l.first {
			c.syn, c.zone, c.states = trackYes, c.template.zone, stNew
			return c
		}
		c.states = laterState(c, l)
		c.joined = c.joined || l.flags&flSYN != 0 && c.states == stEstablished
		return c
	})
}

// laterState is the state of a packet after the first. In the entry of the
// first one it is ESTABLISHED, but an ACK is INVALID there while no SYN/ACK
// was seen. If there is no such entry, a SYN/ACK is INVALID, and what follows
// may be picked up in the middle, or not (nf_conntrack_tcp_loose). The table
// of nf_conntrack_proto_tcp.c says so.
func laterState(c class, l *leg) uint8 {
	switch {
	case c.syn == trackYes && (c.zone < 0 || c.template.zone < 0):
		return stEstablished | stInvalid | stNew
	case c.syn == trackYes && c.template.zone == c.zone && !l.out && !c.joined:
		return stInvalid
	case c.syn == trackYes && c.template.zone == c.zone:
		return stEstablished
	case l.flags&flSYN != 0:
		return stInvalid
	}
	return stInvalid | stNew | stEstablished
}
