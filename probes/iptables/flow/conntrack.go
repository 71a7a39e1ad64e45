package flow

import (
	"lifeline/probes/iptables/netfilter"
	"lifeline/probes/iptables/tri"
)

// untranslated drops later packets of a translated flow that conntrack does
// not know for its own: they keep their addresses, and the other end refuses
// them.
func (a *analysis) untranslated(st stage, set []segment) []segment {
	if st.step.first || st.step.neighbourDiscovery() || st.step.states != 0 {
		return set
	}
	return a.dropWhere(set, st, "conntrack state", "the flow is translated, but this packet is not tracked and so is not", func(c class) tri.Value {
		switch {
		case c.cur == c.target && !c.hidden || c.states == netfilter.StateEstablished:
			return tri.No
		case c.states&netfilter.StateEstablished != 0:
			return tri.Maybe
		}
		return tri.Yes
	})
}

func lowHop(c class) tri.Value {
	if c.hop >= 0 && c.hop < 48 {
		return tri.Maybe
	}
	return tri.No
}

// replyMeetsNAT: a reply that conntrack takes for a new flow goes through the
// nat table of the sending side.
func (a *analysis) replyMeetsNAT(c class) tri.Value {
	if c.states&netfilter.StateNew == 0 || !a.hasRules("nat", "OUTPUT") && !a.hasRules("nat", "POSTROUTING") {
		return tri.No
	}
	return tri.Maybe
}

func (a *analysis) hasRules(table, chain string) bool {
	for _, b := range a.stack {
		if c := b.Tables[table].Chain(chain); c != nil && len(c.Rules) > 0 {
			return true
		}
	}
	return false
}

// hopCheck drops neighbour discovery whose hop limit was changed (RFC 4861).
func (a *analysis) hopCheck(l *packetStep, set []segment) []segment {
	st := stage{step: l, hook: "kernel"}
	return a.dropWhere(set, st, "hl", "neighbour discovery with a hop limit other than 255 is ignored", func(c class) tri.Value {
		switch c.hop {
		case 255:
			return tri.No
		case -1:
			return tri.Maybe
		}
		return tri.Yes
	})
}

// dropWhere drops the classes that the kernel drops by itself, and notes those
// that it perhaps drops under the name of an assumption.
func (a *analysis) dropWhere(set []segment, st stage, name, why string, gone func(class) tri.Value) []segment {
	set = a.dropClasses(set, &dropCause{stage: st, why: why}, func(c class) tri.Value { return tri.Of(gone(c) == tri.Yes) })
	return a.perhapsDropWhere(set, st, name, why, func(c class) tri.Value {
		if gone(c) == tri.Maybe {
			return tri.Maybe
		}
		return tri.No
	})
}

// perhapsDropWhere notes the classes that perhaps get no further.
func (a *analysis) perhapsDropWhere(set []segment, st stage, name, why string, gone func(class) tri.Value) []segment {
	return a.dropClasses(set, &dropCause{stage: st, why: why, assumed: name}, gone)
}

func (a *analysis) dropClasses(set []segment, by *dropCause, gone func(class) tri.Value) []segment {
	memo := map[*cellSet]partition{}
	last, any := (*cellSet)(nil), false
	for _, g := range set {
		if g.set == last {
			continue
		}
		last = g.set
		if _, ok := memo[g.set]; !ok {
			p := a.partition(g.set, gone)
			memo[g.set] = p
			any = any || p.lost != nil
		}
	}
	if !any {
		return set
	}
	var out []segment
	for _, g := range set {
		p := memo[g.set]
		if p.lost != nil {
			a.drops = append(a.drops, dropped{segment{g.Span, p.lost}, by})
			a.traceKernel(by)
		}
		if p.kept != nil {
			out = append(out, segment{g.Span, p.kept})
		}
	}
	return glue(out)
}

// partition is a cell set in two: what is, or may be, lost and what may go on.
type partition struct{ lost, kept *cellSet }

func (a *analysis) partition(f *cellSet, gone func(class) tri.Value) partition {
	var lost, kept []cell
	for _, c := range f.cells {
		t := gone(a.sp.classes[c.class])
		if t != tri.No {
			lost = append(lost, c)
		}
		if t != tri.Yes {
			kept = append(kept, c)
		}
	}
	if len(lost) == 0 {
		return partition{nil, f}
	}
	return partition{a.sp.cellSet(lost), a.sp.cellSet(kept)}
}

// routeIn is the routing decision for an incoming packet: to this machine, or
// elsewhere after a translation; and the reverse path check.
func (a *analysis) routeIn(st stage, set []segment) []segment {
	st.hook = "routing"
	set = a.dropWhere(set, st, "nat", "the destination is translated to an address that is not this machine's", func(c class) tri.Value {
		return a.ends[c.cur].local.Not()
	})
	set = a.perhapsDropWhere(set, st, "nat", "the port that is translated to is picked at run time", func(c class) tri.Value {
		if !a.ends[c.cur].portKnown {
			return tri.Maybe
		}
		return tri.No
	})
	if a.q.Family == netfilter.IPv6 || a.q.RPFilter == 0 {
		return set
	}
	return a.dropWhere(set, st, "routes", "rp_filter: the route back to the source leaves by another link", func(c class) tri.Value {
		if a.q.RPFilter == 1 {
			return c.reverse.Not()
		}
		return c.reverseLoose.Not()
	})
}

// runNAT runs the nat table at one hook: for the first packet of a tracked
// flow only. What one back end has translated, the other no longer sees.
func (a *analysis) runNAT(st stage, set []segment) []segment {
	if !a.hasNAT(st.hook) {
		return set
	}
	st.table = "nat"
	by := &dropCause{stage: st, why: "nat may translate packets of a flow that began untracked", assumed: "nat"}
	if !st.step.first {
		return a.dropClasses(set, by, func(c class) tri.Value {
			if c.states&netfilter.StateNew != 0 {
				return tri.Maybe
			}
			return tri.No
		})
	}
	for _, b := range a.stack {
		c := b.Tables["nat"].Chain(st.hook)
		if c == nil || len(c.Rules) == 0 && c.Policy == "ACCEPT" {
			continue
		}
		mine, others := a.divide(set, func(c class) bool { return c.syn == trackYes && !a.natDone(st, c) })
		w := &tableWalk{an: a, stage: st, nat: true, views: map[classID]*packetView{}, memo: map[memoKey][]memoEntry{}}
		set = a.sp.merge(append(w.run(c, mine), others...))
	}
	return set
}

func (a *analysis) hasNAT(hook string) bool {
	for _, b := range a.stack {
		if c := b.Tables["nat"].Chain(hook); c != nil && (len(c.Rules) > 0 || c.Policy != "ACCEPT") {
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
func (a *analysis) conntrack(l *packetStep, set []segment) []segment {
	return a.classes(set, func(c class) class {
		if l.states != 0 && !c.template.notrack {
			c.states = l.states
			return c
		}
		if l.neighbourDiscovery() || c.template.notrack {
			c.states = netfilter.StateUntracked
			if l.first {
				c.syn = trackNo
			}
			c.gap = c.gap || c.syn == trackYes && l.proto == 6
			return c
		}
		if l.first {
			c.syn, c.zone, c.states = trackYes, c.template.zone, netfilter.StateNew
			return c
		}
		c.states = laterState(c, l)
		c.joined = c.joined || l.flags&netfilter.FlagSYN != 0 && c.states == netfilter.StateEstablished
		c.gap = c.gap || c.syn == trackYes && c.states != netfilter.StateEstablished
		return c
	})
}

// laterState is the state of a packet after the first. In the entry of the
// first one it is ESTABLISHED, but an ACK is INVALID there while no SYN/ACK
// was seen. If there is no such entry, a SYN/ACK is INVALID, and what follows
// may be picked up in the middle, or not (nf_conntrack_tcp_loose). The table
// of nf_conntrack_proto_tcp.c says so.
func laterState(c class, l *packetStep) uint8 {
	switch {
	case c.syn == trackYes && (c.zone < 0 || c.template.zone < 0):
		return netfilter.StateEstablished | netfilter.StateInvalid | netfilter.StateNew
	case c.syn == trackYes && c.template.zone == c.zone && !l.out && !c.joined:
		return netfilter.StateInvalid
	case c.syn == trackYes && c.template.zone == c.zone && c.gap:
		return netfilter.StateEstablished | netfilter.StateInvalid
	case c.syn == trackYes && c.template.zone == c.zone:
		return netfilter.StateEstablished
	case l.flags&netfilter.FlagSYN != 0:
		return netfilter.StateInvalid
	}
	return netfilter.StateInvalid | netfilter.StateNew | netfilter.StateEstablished
}
