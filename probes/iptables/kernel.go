package iptables

// untranslated drops later packets of a translated flow that conntrack does
// not know for its own: they keep their addresses, and the other end refuses
// them.
func (a *analysis) untranslated(st stage, set []segment) []segment {
	if st.leg.first || st.leg.neighbour() || st.leg.states != 0 {
		return set
	}
	return a.without(set, st, "conntrack state", "the flow is translated, but this packet is not tracked and so is not", func(c class) tri {
		switch {
		case c.cur == c.target && !c.hidden || c.states == stEstablished:
			return no
		case c.states&stEstablished != 0:
			return maybe
		}
		return yes
	})
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
	return a.without(set, st, "hl", "neighbour discovery with a hop limit other than 255 is ignored", func(c class) tri {
		switch c.hop {
		case 255:
			return no
		case -1:
			return maybe
		}
		return yes
	})
}

// without drops the classes that the kernel drops by itself, and notes those
// that it perhaps drops under the name of an assumption.
func (a *analysis) without(set []segment, st stage, name, why string, gone func(class) tri) []segment {
	set = a.kernelDrop(set, &cause{stage: st, why: why}, func(c class) tri { return triOf(gone(c) == yes) })
	return a.perhapsWithout(set, st, name, why, func(c class) tri {
		if gone(c) == maybe {
			return maybe
		}
		return no
	})
}

// perhapsWithout notes the classes that perhaps get no further.
func (a *analysis) perhapsWithout(set []segment, st stage, name, why string, gone func(class) tri) []segment {
	return a.kernelDrop(set, &cause{stage: st, why: why, assumed: name}, gone)
}

func (a *analysis) kernelDrop(set []segment, by *cause, gone func(class) tri) []segment {
	memo := map[*fiber]parted{}
	last, any := (*fiber)(nil), false
	for _, g := range set {
		if g.f == last {
			continue
		}
		last = g.f
		if _, ok := memo[g.f]; !ok {
			p := a.part(g.f, gone)
			memo[g.f] = p
			any = any || p.lost != nil
		}
	}
	if !any {
		return set
	}
	var out []segment
	for _, g := range set {
		p := memo[g.f]
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

// parted is a fiber in two: what is, or may be, lost and what may go on.
type parted struct{ lost, kept *fiber }

func (a *analysis) part(f *fiber, gone func(class) tri) parted {
	var lost, kept []cell
	for _, c := range f.cells {
		t := gone(a.sp.classes[c.class])
		if t != no {
			lost = append(lost, c)
		}
		if t != yes {
			kept = append(kept, c)
		}
	}
	if len(lost) == 0 {
		return parted{nil, f}
	}
	return parted{a.sp.fiber(lost), a.sp.fiber(kept)}
}

// routeIn is the routing decision for an incoming packet: to this machine, or
// elsewhere after a translation; and the reverse path check.
func (a *analysis) routeIn(st stage, set []segment) []segment {
	st.hook = "routing"
	set = a.without(set, st, "nat", "the destination is translated to an address that is not this machine's", func(c class) tri {
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
	return a.without(set, st, "routes", "rp_filter: the route back to the source leaves by another link", func(c class) tri {
		if a.q.Host.RPFilter == 1 {
			return c.reverse.not()
		}
		return c.reverseLoose.not()
	})
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
			c.gap = c.gap || c.syn == trackYes && l.proto == 6
			return c
		}
		if l.first {
			c.syn, c.zone, c.states = trackYes, c.template.zone, stNew
			return c
		}
		c.states = laterState(c, l)
		c.joined = c.joined || l.flags&flSYN != 0 && c.states == stEstablished
		c.gap = c.gap || c.syn == trackYes && c.states != stEstablished
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
	case c.syn == trackYes && c.template.zone == c.zone && c.gap:
		return stEstablished | stInvalid
	case c.syn == trackYes && c.template.zone == c.zone:
		return stEstablished
	case l.flags&flSYN != 0:
		return stInvalid
	}
	return stInvalid | stNew | stEstablished
}
