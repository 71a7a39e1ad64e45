package iptables

// ICMPv6 types of neighbour discovery (RFC 4861).
const (
	icmpSolicit   = 135
	icmpAdvertise = 136
)

// groups are the solicited-node multicast addresses.
var solicitedNodes = spanOfPrefix(mustPrefix("ff02::1:ff00:0/104"))

// solicitedNode is the group that an address listens on.
func solicitedNode(w word128) word128 {
	return word128{solicitedNodes.lo.hi, solicitedNodes.lo.lo | w.lo&0xffffff}
}

// discovery lets only those flows on whose neighbour (the source itself on
// the link, else a router) and this machine find each other. The packets of
// neighbour discovery are never tracked.
func (a *analysis) discovery(set []segment) []segment {
	if a.q.Family == IPv4 || len(set) == 0 {
		return set
	}
	var out []segment
	seen := map[word128]bool{}
	for _, t := range a.targets {
		if seen[t.addr] {
			continue
		}
		seen[t.addr] = true
		mine, _ := a.divide(set, func(c class) bool { return a.targets[c.target].addr == t.addr })
		on, off := cutSegments(mine, a.onLink())
		out = append(out, a.neighbours(t.addr, on, off)...)
		out = append(out, a.router(t.addr, off)...)
	}
	return a.sp.merge(out)
}

// onLink are the networks of the question's link.
func (a *analysis) onLink() *addrSet {
	spans := []span{linkLocal()}
	for _, l := range a.q.Host.Links {
		for _, p := range l.Addresses {
			if l.Name == a.q.Iface && a.q.Family.of(p.Addr()) {
				spans = append(spans, spanOfPrefix(p.Masked()))
			}
		}
	}
	return newAddrSet(spans)
}

// cutSegments splits segments by a set of peers.
func cutSegments(segs []segment, by *addrSet) (in, out []segment) {
	for _, g := range segs {
		for i := by.from(g.lo); g.f != nil && i < len(by.spans) && !g.hi.less(by.spans[i].lo); i++ {
			x := span{maxWord(g.lo, by.spans[i].lo), minWord(g.hi, by.spans[i].hi)}
			if g.lo.less(x.lo) {
				out = append(out, segment{span{g.lo, x.lo.prev()}, g.f})
			}
			in = append(in, segment{x, g.f})
			g.cut(x.hi)
		}
		if g.f != nil {
			out = append(out, g)
		}
	}
	return in, out
}

func (a *analysis) solicitIn(d word128) *leg {
	return &leg{name: "neighbour solicitation", proto: 58, icmp: icmpSolicit, local: solicitedNode(d),
		localType: atMulticast, peerType: atUnicast}
}

func (a *analysis) advertiseOut(d word128) *leg {
	return &leg{name: "neighbour advertisement of this machine", out: true, proto: 58, icmp: icmpAdvertise, local: d,
		localType: atLocal, peerType: atUnicast}
}

func (a *analysis) solicitOut(d word128) *leg {
	return &leg{name: "neighbour solicitation of this machine", out: true, proto: 58, icmp: icmpSolicit, local: d,
		localType: atLocal, peerType: atMulticast}
}

func (a *analysis) advertiseIn(d word128) *leg {
	return &leg{name: "neighbour advertisement", proto: 58, icmp: icmpAdvertise, local: d,
		localType: atLocal, peerType: atUnicast}
}

// neighbours serves sources on the link: each is its own neighbour. A host
// that this machine does not answer at one address may know it by another.
func (a *analysis) neighbours(d word128, set, others []segment) []segment {
	legs := []*leg{a.solicitIn(d), a.advertiseOut(d)}
	before := len(a.drops)
	found := set
	for _, l := range legs {
		found = a.leg(l, found)
	}
	if len(a.drops) > before && len(set) > 0 {
		elsewhere := []span{linkLocal()}
		for _, g := range others {
			elsewhere = append(elsewhere, g.span)
		}
		if t, _ := a.tryLegs(elsewhere, set, legs...); t != no {
			for i := range a.drops[before:] {
				by := *a.drops[before+i].by
				by.assumed = "neighbour"
				a.drops[before+i].by = &by
			}
			found = set
		}
	}
	var peers []span
	for _, g := range found {
		peers = append(peers, g.span)
	}
	return a.findsBack(d, found, peers)
}

func linkLocal() span { return spanOfPrefix(mustPrefix("fe80::/10")) }

// findsBack notes where this machine cannot find its neighbours by itself: it
// then answers only those that have just made themselves known by a
// solicitation of their own.
func (a *analysis) findsBack(d word128, set []segment, peers []span) []segment {
	if len(set) == 0 {
		return nil
	}
	t, by := a.tryLegs([]span{solicitedNodes}, set, a.solicitOut(d))
	if t == yes {
		t, by = a.tryLegs(peers, set, a.advertiseIn(d))
	}
	if t == no {
		t = maybe
	}
	return a.gate(set, t, by)
}

// router serves sources behind a router. Its address is link-local as a rule,
// but may be another one of the link.
func (a *analysis) router(d word128, set []segment) []segment {
	if len(set) == 0 {
		return nil
	}
	legs := []*leg{a.solicitIn(d), a.advertiseOut(d)}
	var global []span
	for _, g := range set {
		global = append(global, g.span)
	}
	global = append(global, a.onLink().spans...)
	tl, by := a.tryLegs([]span{linkLocal()}, set, legs...)
	tg, byGlobal := a.tryLegs(global, set, legs...)
	if by == nil {
		by = byGlobal
	}
	if tl == no && tg == no {
		wide := []span{spanOfPrefix(mustPrefix("2000::/3")), spanOfPrefix(mustPrefix("fc00::/7"))}
		if tw, _ := a.tryLegs(wide, set, legs...); tw == no {
			return a.gate(set, no, by)
		}
	}
	if tl != yes || tg != yes {
		b := *by
		b.assumed = "router"
		set = a.gate(set, maybe, &b)
	}
	return a.findsBack(d, set, append(global, linkLocal()))
}

// gate drops the flows if the neighbours cannot find each other.
func (a *analysis) gate(set []segment, t tri, by *cause) []segment {
	if t == yes {
		return set
	}
	c := *by
	if t == maybe && c.assumed == "" {
		c.assumed = "neighbour"
	}
	for _, g := range set {
		a.drops = append(a.drops, dropped{g, &c})
	}
	if t == no {
		return nil
	}
	return set
}

// tryLegs sends packets of neighbour discovery to or from other peers than the
// question's, and says whether all, none or some of them pass; by is what
// drops the first.
func (a *analysis) tryLegs(peers []span, like []segment, legs ...*leg) (t tri, by *cause) {
	c := a.sp.classes[like[0].f.cells[0].class]
	c.link = a.link(a.q.Iface)
	f := a.sp.fiber([]cell{{a.sp.id(c), newPortSet([]portRange{{0, 0}})}})
	var in []segment
	for _, p := range newAddrSet(peers).spans {
		in = append(in, segment{p, f})
	}
	kept := a.drops
	a.drops = nil
	out := in
	for _, l := range legs {
		out = a.leg(l, out)
	}
	mine := a.drops
	a.drops = kept
	switch {
	case a.exhausted:
		return maybe, &cause{stage: stage{leg: legs[0]}, why: "the analysis ran out of its budget", assumed: "budget"}
	case len(mine) == 0:
		return yes, nil
	}
	b := *mine[0].by
	b.peer = mine[0].lo
	if len(out) == 0 {
		return no, &b
	}
	return maybe, &b
}
