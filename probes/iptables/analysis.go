package iptables

import (
	"net/netip"
	"slices"
)

// budget bounds the elementary steps of one analysis; about eight million take
// a second. Beyond it the answer is Conditional, never slow and never Allowed.
const budget = 4_000_000

// maxNumbered bounds the links, and the pairs of address and port, that are told
// apart.
const maxNumbered = 4096

// analysis is one run over the whole flow of a question.
type analysis struct {
	q     Question
	sets  *IPSets
	sp    *space
	stack []backendTables
	// targets are the question's destinations; ends begins with the same and
	// goes on with what they are translated to.
	targets   []endpoint
	ends      []end
	links     []string // links[0] is "no route"
	locals    map[word128]bool
	localsAll bool // locals is complete
	drops     []dropped
	uncertain map[*Rule]*uncertainty
	masks     map[maskSet]listed
	tracer    *tracer
	exhausted bool
	psh       bool // some rule looks at the PSH flag
}

// backendTables are the tables of one back end; both back ends' apply.
type backendTables struct {
	backend Backend
	tables  map[string]*Table
}

// end is an endpoint and whether it is on this machine.
type end struct {
	endpoint
	local tri
}

// uncertainty is a rule that perhaps applies, and to which peers.
type uncertainty struct {
	reason string
	over   span
}

func newAnalysis(q Question, sets *IPSets, stack []backendTables) *analysis {
	a := &analysis{q: q, sets: sets, sp: newSpace(), stack: stack, links: []string{""},
		locals: map[word128]bool{}, uncertain: map[*Rule]*uncertainty{}, masks: map[maskSet]listed{}}
	for _, d := range q.Dst {
		if q.Family.of(d) {
			a.locals[wordOf(d)] = true
		}
	}
	for _, l := range q.Host.Links {
		for _, p := range l.Addresses {
			if q.Family.of(p.Addr()) {
				a.locals[wordOf(p.Addr())] = true
			}
		}
	}
	a.localsAll = len(q.Host.Links) > 0
	for _, d := range q.Dst {
		if !q.Family.of(d) {
			continue
		}
		for _, port := range q.Ports {
			if len(a.targets) == maxNumbered {
				a.exhausted = true
				continue
			}
			e := endpoint{wordOf(d), port, true, true}
			a.targets = append(a.targets, e)
			a.ends = append(a.ends, end{e, yes})
		}
	}
	a.psh = a.looksAtPSH()
	return a
}

func (a *analysis) overBudget() bool { return a.sp.work > budget }

// looksAtPSH reports whether any rule could tell a data packet with the PSH
// flag from one without.
func (a *analysis) looksAtPSH() bool {
	for _, b := range a.stack {
		for _, t := range b.tables {
			for _, c := range t.Chains {
				for _, r := range c.Rules {
					for _, x := range r.conds {
						if f, ok := x.(flagsCond); ok && f.mask&flPSH != 0 {
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
func (a *analysis) link(name string) uint16 {
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
func (a *analysis) sources() *addrSet {
	var in, out []span
	for _, p := range a.q.Mgmt {
		if a.q.Family.of(p.Addr()) {
			in = append(in, spanOfPrefix(p.Masked()))
		}
	}
	if a.q.Iface == "lo" {
		return newAddrSet(in)
	}
	for w := range a.locals {
		out = append(out, span{w, w})
	}
	out = append(out, a.impossible()...)
	return newAddrSet(in).intersect(newAddrSet(out).complement(a.q.Family))
}

func (a *analysis) impossible() []span {
	var out []span
	never := []string{"0.0.0.0/8", "127.0.0.0/8", "224.0.0.0/4", "255.255.255.255/32"}
	if a.q.Family == IPv6 {
		never = []string{"::/127", "ff00::/8"}
	}
	for _, n := range never {
		out = append(out, spanOfPrefix(netip.MustParsePrefix(n)))
	}
	if a.q.Family == IPv6 {
		return out
	}
	for _, l := range a.q.Host.Links {
		for _, p := range l.Addresses {
			if p.Addr().Is4() && p.Bits() < 31 {
				s := spanOfPrefix(p.Masked())
				out = append(out, span{s.lo, s.lo}, span{s.hi, s.hi})
			}
		}
	}
	return out
}

// listed remembers which sources a mask with holes means.
func (a *analysis) listed(m *maskSet) listed {
	l, ok := a.masks[*m]
	if !ok {
		l = m.list(a.sources(), a.q.Family)
		a.sp.work += len(l.in.spans)
		a.masks[*m] = l
	}
	return l
}

// start is the set of all flows of the question, before their first packet.
func (a *analysis) start() []segment {
	src := a.sources()
	ports := newPortSet([]portRange{{1, 65535}})
	var out []segment
	for _, rt := range a.routes(src) {
		c := class{link: rt.link, reverse: triOf(rt.name == a.q.Iface), reverseLoose: triOf(rt.link != 0), hop: -1}
		var cells []cell
		for i := range a.targets {
			c.target, c.cur = uint16(i), uint16(i)
			cells = append(cells, cell{a.sp.id(c), ports})
		}
		if f := a.sp.fiber(cells); f != nil {
			out = append(out, segment{rt.span, f})
		}
	}
	return a.sp.merge(out)
}

// view is what the rules of a stage see of a class.
func (a *analysis) view(st stage, c class) *view {
	v := &view{
		out: st.leg.out, proto: st.leg.proto, icmpType: st.leg.icmp, icmpCode: st.leg.code, flags: st.leg.flags,
		states: c.states, tracked: a.tracked(st, c), onTemplate: c.onTemplate(st), peerHidden: c.hidden && st.leg.out,
		mark: c.mark, markBlur: c.markBlur, ctmark: c.ctmark, ctmarkBlur: c.ctmarkBlur, hop: int(c.hop),
		reverse: c.reverse, reverseLoose: c.reverseLoose, family: a.q.Family, sets: a.sets, listed: a.listed,
		peerType: atUnicast,
	}
	if st.leg.out {
		v.outLink = a.links[c.link]
		if st.leg.neighbour() && st.hook == "POSTROUTING" {
			// The kernel sends its own neighbour discovery as if it had come in
			// by the link that it goes out by (ip6_output).
			v.in = v.outLink
		}
	} else {
		v.in = a.q.Iface
	}
	if st.leg.neighbour() {
		v.local = endpoint{addr: st.leg.local, addrKnown: true}
		v.localType, v.peerType = st.leg.localType, st.leg.peerType
		v.hop = int(c.hop)
		v.conn = &conn{} // at most a template hangs on it, which says nothing
		return v
	}
	e := a.ends[c.target]
	if st.translated {
		e = a.ends[c.cur]
	}
	v.local = e.endpoint
	if e.addrKnown && e.local == yes {
		v.localType = atLocal
	}
	if v.tracked != no {
		v.conn = a.conn(st, c)
	}
	return v
}

// conn is the conntrack entry of a class.
func (a *analysis) conn(st stage, c class) *conn {
	n := &conn{orig: a.ends[c.target].endpoint, reply: a.ends[c.cur].endpoint, isReply: st.leg.out, dnat: no}
	if st.leg.first && !st.translated {
		n.reply = n.orig // not yet translated
	}
	if n.orig != n.reply {
		n.dnat = yes
		if !n.reply.addrKnown || !n.reply.portKnown {
			n.dnat = maybe
		}
	}
	return n
}

// tracked tells whether a packet has a conntrack entry. A template that CT has
// put on it looks like one.
func (a *analysis) tracked(st stage, c class) tri {
	if c.onTemplate(st) {
		return maybe
	}
	if !st.conntracked || c.states&^(stUntracked|stInvalid) == 0 {
		return no
	}
	if c.states&(stUntracked|stInvalid) != 0 {
		return maybe
	}
	return yes
}

// noteUncertain remembers a rule that perhaps applies.
func (a *analysis) noteUncertain(r *Rule, reason string, over span) {
	u := a.uncertain[r]
	if u == nil {
		a.uncertain[r] = &uncertainty{reason, over}
		return
	}
	u.over.lo, u.over.hi = minWord(u.over.lo, over.lo), maxWord(u.over.hi, over.hi)
}

// translated is the endpoint that a NAT rule sends a class to.
func (a *analysis) translated(c class, r *Rule) uint16 {
	e := a.ends[c.cur]
	n := &r.target.nat
	switch r.target.kind {
	case tgRedirect:
		e = a.redirected(e)
	case tgNetmap:
		e.addr = e.addr.and(r.target.mask.not()).or(n.lo)
		e.local = a.isLocal(e.addr)
	default:
		if n.hasAddr {
			e.addr, e.addrKnown = n.lo, n.lo == n.hi
			e.local = a.isLocal(n.lo)
			if !e.addrKnown {
				e.local = maybe
			}
		}
	}
	if n.hasPort {
		e.port, e.portKnown = n.port.lo, n.port.lo == n.port.hi && !n.shifting
	}
	return a.end(e)
}

// redirected is this machine's own address on the incoming link, known if
// there is only one.
func (a *analysis) redirected(e end) end {
	e.local = yes
	n := 0
	for _, l := range a.q.Host.Links {
		for _, p := range l.Addresses {
			if l.Name == a.q.Iface && a.q.Family.of(p.Addr()) {
				n++
				e.addr = wordOf(p.Addr())
			}
		}
	}
	e.addrKnown = n == 1
	if !e.addrKnown {
		e.addr = word128{}
	}
	return e
}

func (a *analysis) isLocal(w word128) tri {
	switch {
	case a.locals[w]:
		return yes
	case a.q.Family == IPv4 && w.lo>>24 == 127:
		return maybe // needs route_localnet
	case a.localsAll:
		return no
	}
	return maybe
}

// end numbers an endpoint; when there are too many, they become one that is
// not known.
func (a *analysis) end(e end) uint16 {
	if !e.addrKnown {
		e.addr = word128{}
	}
	if !e.portKnown {
		e.port = 0
	}
	if i := slices.Index(a.ends, e); i >= 0 {
		return uint16(i)
	}
	if unknown := (end{local: maybe}); len(a.ends) > 2*maxNumbered && e != unknown {
		return a.end(unknown)
	}
	a.ends = append(a.ends, e)
	return uint16(len(a.ends) - 1)
}
