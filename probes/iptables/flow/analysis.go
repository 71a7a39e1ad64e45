package flow

import (
	"net/netip"
	"slices"

	"lifeline/probes/iptables/netfilter"
	"lifeline/probes/iptables/netset"
	"lifeline/probes/iptables/rules"
	"lifeline/probes/iptables/tri"
)

// budget bounds the elementary steps of one analysis; about eight million take
// a second. Beyond it the answer is Conditional, never slow and never Allowed.
const budget = 4_000_000

// maxNumbered bounds the links, and the pairs of address and port, that are told
// apart.
const maxNumbered = 4096

// Analysis is one run over the whole flow of a question.
type Analysis struct {
	q     Question
	sets  *rules.IPSets
	cells *interner
	stack []BackendTables
	// targets are the question's destinations; ends begins with the same and
	// goes on with what they are translated to.
	targets   []endpoint
	ends      []end
	links     []string // links[0] is "no route"
	locals    map[netset.Addr]bool
	localsAll bool // locals is complete
	drops     []dropped
	uncertain map[*rules.Rule]*uncertainty
	masks     map[netset.MaskSet]netset.Listed
	tracer    *tracer
	exhausted bool
	psh       bool // some rule looks at the PSH flag
}

// BackendTables are the tables of one back end; both back ends' apply.
type BackendTables struct {
	Backend netfilter.Backend
	Tables  map[string]*rules.Table
}

// end is an endpoint and whether it is on this machine.
type end struct {
	endpoint
	local tri.Value
}

// uncertainty is a rule that perhaps applies, and to which peers.
type uncertainty struct {
	reason string
	over   netset.Span
}

// New prepares to take the flows of a question through the tables of the back
// ends, in the order in which they meet a packet.
func New(q Question, sets *rules.IPSets, stack []BackendTables) *Analysis {
	a := &Analysis{q: q, sets: sets, cells: newInterner(), stack: stack, links: []string{""},
		locals: map[netset.Addr]bool{}, uncertain: map[*rules.Rule]*uncertainty{}, masks: map[netset.MaskSet]netset.Listed{}}
	for _, d := range q.Dst {
		a.locals[netset.AddrOf(d)] = true
	}
	for _, l := range q.Links {
		for _, p := range l.Addresses {
			a.locals[netset.AddrOf(p.Addr())] = true
		}
	}
	a.localsAll = len(q.Links) > 0
	for _, d := range q.Dst {
		for _, port := range q.Ports {
			if len(a.targets) == maxNumbered {
				a.exhausted = true
				continue
			}
			e := endpoint{netset.AddrOf(d), port, true, true}
			a.targets = append(a.targets, e)
			a.ends = append(a.ends, end{e, tri.Yes})
		}
	}
	a.psh = a.looksAtPSH()
	return a
}

// Answer decides what becomes of the flows.
func (a *Analysis) Answer() Result { return a.result(a.find(a.discoverAndConnect)) }

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

// link numbers a link.
func (a *Analysis) link(name string) uint16 {
	i := slices.Index(a.links, name)
	if i < 0 {
		i = len(a.links)
		a.links = append(a.links, name)
		a.exhausted = a.exhausted || i > maxNumbered
	}
	return uint16(min(i, maxNumbered))
}

// sources are the question's peers: management sources that can send to this
// machine at all. Its own addresses, loopback, multicast and the broadcast
// addresses of its networks cannot.
func (a *Analysis) sources() *netset.AddrSet {
	var in, out []netset.Span
	for _, p := range a.q.Mgmt {
		in = append(in, netset.SpanOf(p.Masked()))
	}
	if a.q.Iface == "lo" {
		return netset.NewAddrSet(in)
	}
	for w := range a.locals {
		out = append(out, netset.Span{Lo: w, Hi: w})
	}
	out = append(out, a.impossible()...)
	return netset.NewAddrSet(in).Intersect(netset.NewAddrSet(out).Complement(a.q.Family))
}

func (a *Analysis) impossible() []netset.Span {
	var out []netset.Span
	never := []string{"0.0.0.0/8", "127.0.0.0/8", "224.0.0.0/4", "255.255.255.255/32"}
	if a.q.Family == netfilter.IPv6 {
		never = []string{"::/127", "ff00::/8"}
	}
	for _, n := range never {
		out = append(out, netset.SpanOf(netip.MustParsePrefix(n)))
	}
	if a.q.Family == netfilter.IPv6 {
		return out
	}
	for _, l := range a.q.Links {
		for _, p := range l.Addresses {
			if p.Bits() < 31 {
				s := netset.SpanOf(p.Masked())
				out = append(out, netset.Span{Lo: s.Lo, Hi: s.Lo}, netset.Span{Lo: s.Hi, Hi: s.Hi})
			}
		}
	}
	return out
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
		out: st.step.out, proto: st.step.proto, icmpType: st.step.icmp, icmpCode: st.step.code, flags: st.step.flags,
		states: c.states, tracked: a.tracked(st, c), onTemplate: c.onTemplate(st), peerHidden: c.hidden && st.step.out,
		mark: c.mark, markBlur: c.markBlur, ctmark: c.ctmark, ctmarkBlur: c.ctmarkBlur, hop: int(c.hop),
		reverse: c.reverse, reverseLoose: c.reverseLoose, family: a.q.Family, sets: a.sets, listed: a.listed,
		peerType: netfilter.AddrTypeUnicast,
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

// translated is the endpoint that a NAT rule sends a class to.
func (a *Analysis) translated(c class, r *rules.Rule) uint16 {
	e := a.ends[c.cur]
	n := &r.Target.Nat
	switch r.Target.Kind {
	case rules.TargetRedirect:
		e = a.redirected(e)
	case rules.TargetNetmap:
		e.addr = e.addr.And(r.Target.Mask.Not()).Or(n.Lo)
		e.local = a.isLocal(e.addr)
	default:
		if n.HasAddr {
			e.addr, e.addrKnown = n.Lo, n.Lo == n.Hi
			e.local = a.isLocal(n.Lo)
			if !e.addrKnown {
				e.local = tri.Maybe
			}
		}
	}
	if n.HasPort {
		e.port, e.portKnown = n.Port.Lo, n.Port.Lo == n.Port.Hi && !n.Shifting
	}
	return a.end(e)
}

// redirected is this machine's own address on the incoming link, known if
// there is only one.
func (a *Analysis) redirected(e end) end {
	e.local = tri.Yes
	n := 0
	for _, l := range a.q.Links {
		for _, p := range l.Addresses {
			if l.Name == a.q.Iface {
				n++
				e.addr = netset.AddrOf(p.Addr())
			}
		}
	}
	e.addrKnown = n == 1
	if !e.addrKnown {
		e.addr = netset.Addr{}
	}
	return e
}

func (a *Analysis) isLocal(w netset.Addr) tri.Value {
	switch {
	case a.locals[w]:
		return tri.Yes
	case a.q.Family == netfilter.IPv4 && w.Lo>>24 == 127:
		return tri.Maybe // needs route_localnet
	case a.localsAll:
		return tri.No
	}
	return tri.Maybe
}

// end numbers an endpoint; when there are too many, they become one that is
// not known.
func (a *Analysis) end(e end) uint16 {
	if !e.addrKnown {
		e.addr = netset.Addr{}
	}
	if !e.portKnown {
		e.port = 0
	}
	if i := slices.Index(a.ends, e); i >= 0 {
		return uint16(i)
	}
	if unknown := (end{local: tri.Maybe}); len(a.ends) > 2*maxNumbered && e != unknown {
		return a.end(unknown)
	}
	a.ends = append(a.ends, e)
	return uint16(len(a.ends) - 1)
}
