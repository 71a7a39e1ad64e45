package flow

import (
	"cmp"

	"lifeline/probes/iptables/netfilter"
	"lifeline/probes/iptables/netset"
	"lifeline/probes/iptables/rules"
	"lifeline/probes/iptables/tri"
)

// budget bounds the elementary steps of one analysis; about eight million take
// a second. Beyond it the answer is Conditional, never slow and never Allowed.
const budget = 4_000_000

// Analysis is one run over the whole flow of a question.
type Analysis struct {
	machine
	sets      *rules.IPSets
	cells     *interner
	stack     []BackendTables
	drops     []dropped
	uncertain map[*rules.Rule]*uncertainty
	masks     map[netset.MaskSet]netset.Listed
	tracer    *tracer // nil: nothing is traced
	psh       bool    // some rule looks at the PSH flag
}

// BackendTables are the tables of one back end; both back ends' apply.
type BackendTables struct {
	Backend netfilter.Backend
	Tables  map[string]*rules.Table
}

// uncertainty is a rule that perhaps applies, and to which peers.
type uncertainty struct {
	reason string
	over   netset.Span
}

// New prepares to take the flows of a question through the tables of the back
// ends, in the order in which they meet a packet.
func New(q Question, sets *rules.IPSets, stack []BackendTables) *Analysis {
	a := &Analysis{machine: newMachine(q), sets: sets, cells: newInterner(), stack: stack,
		uncertain: map[*rules.Rule]*uncertainty{}, masks: map[netset.MaskSet]netset.Listed{}}
	a.psh = a.looksAtPSH()
	return a
}

// Answer decides what becomes of the flows.
func (a *Analysis) Answer() Result { return reporter{a}.result(a.find(a.discoverAndConnect)) }

func (a *Analysis) overBudget() bool { return a.cells.work > budget }

// looksAtPSH reports whether any rule could tell a data packet with the PSH
// flag from one without.
func (a *Analysis) looksAtPSH() bool {
	for _, b := range a.stack {
		for _, t := range b.Tables {
			for _, c := range t.Chains {
				for _, r := range c.Rules {
					for _, x := range r.Matches {
						if f, ok := x.(rules.TCPFlagsMatch); ok && f.Mask&netfilter.FlagPSH != 0 {
							return true
						}
					}
				}
			}
		}
	}
	return false
}

// listed remembers which sources a mask with holes means.
func (a *Analysis) listed(m *netset.MaskSet) netset.Listed {
	l, ok := a.masks[*m]
	if !ok {
		l = m.List(a.sources(), a.q.Family)
		a.cells.work += len(l.In.Spans)
		a.masks[*m] = l
	}
	return l
}

// start is the set of all flows of the question, before their first packet.
func (a *Analysis) start() []segment {
	src := a.sources()
	ports := netset.NewPortSet([]netset.PortRange{{Lo: 1, Hi: 65535}})
	var out []segment
	for _, rt := range a.routes(src) {
		c := class{link: rt.link, reverse: tri.Of(rt.name == a.q.Iface), reverseLoose: tri.Of(rt.link != 0), hop: -1}
		var cells []cell
		for i := range a.targets {
			c.target, c.cur = uint16(i), uint16(i)
			cells = append(cells, cell{a.cells.id(c), ports})
		}
		if f := a.cells.cellSet(cells); f != nil {
			out = append(out, segment{rt.Span, f})
		}
	}
	return a.cells.merge(out)
}

// packetView is what the rules of a stage see of a class.
func (a *Analysis) packetView(st stage, c class) *packetView {
	v := &packetView{
		out: st.step.out, family: a.q.Family, sets: a.sets, listed: a.listed,
		viewHeader:   viewHeader{proto: st.step.proto, icmpType: st.step.icmp, icmpCode: st.step.code, flags: st.step.flags, hop: int(c.hop)},
		viewEnds:     viewEnds{peerHidden: c.hidden && st.step.out, peerType: netfilter.AddrTypeUnicast},
		viewTracking: viewTracking{states: c.states, tracked: a.tracked(st, c), onTemplate: c.onTemplate(st)},
		viewMarks:    viewMarks{mark: c.mark, markBlur: c.markBlur, ctmark: c.ctmark, ctmarkBlur: c.ctmarkBlur},
		viewRoute:    viewRoute{reverse: c.reverse, reverseLoose: c.reverseLoose},
	}
	if st.step.out {
		v.outLink = a.links[c.link]
		if st.step.neighbourDiscovery() && st.hook == "POSTROUTING" {
			// The kernel sends its own neighbour discovery as if it had come in
			// by the link that it goes out by (ip6_output).
			v.in = v.outLink
		}
	} else {
		v.in = a.q.Iface
	}
	if st.step.neighbourDiscovery() {
		v.local = endpoint{addr: st.step.local, addrKnown: true}
		v.localType, v.peerType = st.step.localType, st.step.peerType
		v.hop = int(c.hop)
		v.conn = &conntrackView{} // at most a template hangs on it, which says nothing
		return v
	}
	e := a.ends[c.target]
	if st.translated {
		e = a.ends[c.cur]
	}
	v.local = e.endpoint
	if e.addrKnown && e.local == tri.Yes {
		v.localType = netfilter.AddrTypeLocal
		v.onLink = a.holdsAddress(e.addr, cmp.Or(v.in, v.outLink))
	}
	if v.tracked != tri.No {
		v.conn = a.conntrackView(st, c)
	}
	return v
}

// conntrackView is the conntrack entry of a class.
func (a *Analysis) conntrackView(st stage, c class) *conntrackView {
	n := &conntrackView{orig: a.ends[c.target].endpoint, reply: a.ends[c.cur].endpoint, isReply: st.step.out, dnat: tri.No}
	if st.step.first && !st.translated {
		n.reply = n.orig // not yet translated
	}
	if n.orig != n.reply {
		n.dnat = tri.Yes
		if !n.reply.addrKnown || !n.reply.portKnown {
			n.dnat = tri.Maybe
		}
	}
	return n
}

// tracked tells whether a packet has a conntrack entry. A template that CT has
// put on it looks like one.
func (a *Analysis) tracked(st stage, c class) tri.Value {
	if c.onTemplate(st) {
		return tri.Maybe
	}
	if !st.conntracked || c.states&^(netfilter.StateUntracked|netfilter.StateInvalid) == 0 {
		return tri.No
	}
	if c.states&(netfilter.StateUntracked|netfilter.StateInvalid) != 0 {
		return tri.Maybe
	}
	return tri.Yes
}

// noteUncertain remembers a rule that perhaps applies.
func (a *Analysis) noteUncertain(r *rules.Rule, reason string, over netset.Span) {
	u := a.uncertain[r]
	if u == nil {
		a.uncertain[r] = &uncertainty{reason, over}
		return
	}
	u.over.Lo, u.over.Hi = netset.Min(u.over.Lo, over.Lo), netset.Max(u.over.Hi, over.Hi)
}
