package flow

import (
	"net/netip"

	"lifeline/probes/iptables/netfilter"
	"lifeline/probes/iptables/netset"
	"lifeline/probes/iptables/tri"
)

// ICMPv6 types of neighbour discovery (RFC 4861).
const (
	icmpSolicit   = 135
	icmpAdvertise = 136
)

// groups are the solicited-node multicast addresses.
var solicitedNodes = netset.SpanOf(netip.MustParsePrefix("ff02::1:ff00:0/104"))

// solicitedNode is the group that an address listens on.
func solicitedNode(w netset.Addr) netset.Addr {
	return netset.Addr{Hi: solicitedNodes.Lo.Hi, Lo: solicitedNodes.Lo.Lo | w.Lo&0xffffff}
}

// neighbourSearch sends the packets of neighbour discovery through an analysis.
type neighbourSearch struct{ *Analysis }

// discovery lets only those flows on whose neighbour (the source itself on
// the link, else a router) and this machine find each other. The packets of
// neighbour discovery are never tracked.
func (a neighbourSearch) discovery(set []segment) []segment {
	if a.q.Family == netfilter.IPv4 || len(set) == 0 {
		return set
	}
	var out []segment
	seen := map[netset.Addr]bool{}
	for _, t := range a.targets {
		if seen[t.addr] {
			continue
		}
		seen[t.addr] = true
		mine, _ := a.divide(set, func(c class) bool { return a.targets[c.target].addr == t.addr })
		on, off := cutSegments(mine, a.onLink())
		out = append(out, a.resolveOnLink(t.addr, on, off)...)
		out = append(out, a.resolveRouter(t.addr, off)...)
	}
	return a.cells.merge(out)
}

// onLink are the networks of the question's link.
func (m *machine) onLink() *netset.AddrSet {
	spans := []netset.Span{linkLocal()}
	for _, l := range m.q.Links {
		for _, p := range l.Addresses {
			if l.Name == m.q.Iface {
				spans = append(spans, netset.SpanOf(p.Masked()))
			}
		}
	}
	return netset.NewAddrSet(spans)
}

// cutSegments splits segments by a set of peers.
func cutSegments(segs []segment, by *netset.AddrSet) (in, out []segment) {
	for _, g := range segs {
		for i := by.From(g.Lo); g.set != nil && i < len(by.Spans) && !g.Hi.Less(by.Spans[i].Lo); i++ {
			x := netset.Span{Lo: netset.Max(g.Lo, by.Spans[i].Lo), Hi: netset.Min(g.Hi, by.Spans[i].Hi)}
			if g.Lo.Less(x.Lo) {
				out = append(out, segment{netset.Span{Lo: g.Lo, Hi: x.Lo.Prev()}, g.set})
			}
			in = append(in, segment{x, g.set})
			g.cut(x.Hi)
		}
		if g.set != nil {
			out = append(out, g)
		}
	}
	return in, out
}

func solicitIn(d netset.Addr) *packetStep {
	return &packetStep{name: "neighbour solicitation", proto: 58, icmp: icmpSolicit, local: solicitedNode(d),
		localType: netfilter.AddrTypeMulticast, peerType: netfilter.AddrTypeUnicast}
}

func advertiseOut(d netset.Addr) *packetStep {
	return &packetStep{name: "neighbour advertisement of this machine", out: true, proto: 58, icmp: icmpAdvertise, local: d,
		localType: netfilter.AddrTypeLocal, peerType: netfilter.AddrTypeUnicast}
}

func solicitOut(d netset.Addr) *packetStep {
	return &packetStep{name: "neighbour solicitation of this machine", out: true, proto: 58, icmp: icmpSolicit, local: d,
		localType: netfilter.AddrTypeLocal, peerType: netfilter.AddrTypeMulticast}
}

func advertiseIn(d netset.Addr) *packetStep {
	return &packetStep{name: "neighbour advertisement", proto: 58, icmp: icmpAdvertise, local: d,
		localType: netfilter.AddrTypeLocal, peerType: netfilter.AddrTypeUnicast}
}

// resolveOnLink serves sources on the link: each is its own neighbour. A host
// that this machine does not answer at one address may know it by another.
func (a neighbourSearch) resolveOnLink(d netset.Addr, set, others []segment) []segment {
	steps := []*packetStep{solicitIn(d), advertiseOut(d)}
	before := len(a.drops)
	found := set
	for _, l := range steps {
		found = a.passPacket(l, found)
	}
	if len(a.drops) > before && len(set) > 0 {
		elsewhere := []netset.Span{linkLocal()}
		for _, g := range others {
			elsewhere = append(elsewhere, g.Span)
		}
		if t, _ := a.tryPackets(elsewhere, set, steps...); t != tri.No {
			for i := range a.drops[before:] {
				by := *a.drops[before+i].by
				by.assumed = "neighbour"
				a.drops[before+i].by = &by
			}
			found = set
		}
	}
	var peers []netset.Span
	for _, g := range found {
		peers = append(peers, g.Span)
	}
	return a.resolvePeers(d, found, peers)
}

func linkLocal() netset.Span { return netset.SpanOf(netip.MustParsePrefix("fe80::/10")) }

// resolvePeers notes where this machine cannot find its neighbours by itself: it
// then answers only those that have just made themselves known by a
// solicitation of their own.
func (a neighbourSearch) resolvePeers(d netset.Addr, set []segment, peers []netset.Span) []segment {
	if len(set) == 0 {
		return nil
	}
	t, by := a.tryPackets([]netset.Span{solicitedNodes}, set, solicitOut(d))
	if t == tri.Yes {
		t, by = a.tryPackets(peers, set, advertiseIn(d))
	}
	if t == tri.No {
		t = tri.Maybe
	}
	return a.dropUnresolved(set, t, by)
}

// resolveRouter serves sources behind a router. Its address is link-local as a rule,
// but may be another one of the link.
func (a neighbourSearch) resolveRouter(d netset.Addr, set []segment) []segment {
	if len(set) == 0 {
		return nil
	}
	steps := []*packetStep{solicitIn(d), advertiseOut(d)}
	var global []netset.Span
	for _, g := range set {
		global = append(global, g.Span)
	}
	global = append(global, a.onLink().Spans...)
	tl, by := a.tryPackets([]netset.Span{linkLocal()}, set, steps...)
	tg, byGlobal := a.tryPackets(global, set, steps...)
	if by == nil {
		by = byGlobal
	}
	if tl == tri.No && tg == tri.No {
		wide := []netset.Span{netset.SpanOf(netip.MustParsePrefix("2000::/3")), netset.SpanOf(netip.MustParsePrefix("fc00::/7"))}
		if tw, _ := a.tryPackets(wide, set, steps...); tw == tri.No {
			return a.dropUnresolved(set, tri.No, by)
		}
	}
	if tl != tri.Yes || tg != tri.Yes {
		b := *by
		b.assumed = "router"
		set = a.dropUnresolved(set, tri.Maybe, &b)
	}
	return a.resolvePeers(d, set, append(global, linkLocal()))
}

// dropUnresolved drops the flows if the neighbours cannot find each other.
func (a neighbourSearch) dropUnresolved(set []segment, t tri.Value, by *dropCause) []segment {
	if t == tri.Yes {
		return set
	}
	c := *by
	if t == tri.Maybe && c.assumed == "" {
		c.assumed = "neighbour"
	}
	for _, g := range set {
		a.drops = append(a.drops, dropped{g, &c})
	}
	if t == tri.No {
		return nil
	}
	return set
}

// tryPackets sends packets of neighbour discovery to or from other peers than the
// question's, and says whether all, none or some of them pass; by is what
// drops the first.
func (a *Analysis) tryPackets(peers []netset.Span, like []segment, steps ...*packetStep) (t tri.Value, by *dropCause) {
	c := a.cells.classes[like[0].set.cells[0].class]
	c.link = a.link(a.q.Iface)
	f := a.cells.cellSet([]cell{{a.cells.id(c), netset.NewPortSet([]netset.PortRange{{Lo: 0, Hi: 0}})}})
	var in []segment
	for _, p := range netset.NewAddrSet(peers).Spans {
		in = append(in, segment{p, f})
	}
	kept := a.drops
	a.drops = nil
	out := in
	for _, l := range steps {
		out = a.passPacket(l, out)
	}
	mine := a.drops
	a.drops = kept
	switch {
	case a.exhausted:
		return tri.Maybe, &dropCause{stage: stage{step: steps[0]}, why: "the analysis ran out of its budget", assumed: "budget"}
	case len(mine) == 0:
		return tri.Yes, nil
	}
	b := *mine[0].by
	b.peer = mine[0].Lo
	if len(out) == 0 {
		return tri.No, &b
	}
	return tri.Maybe, &b
}

// hopCheck drops neighbour discovery whose hop limit was changed (RFC 4861).
func (a *Analysis) hopCheck(l *packetStep, set []segment) []segment {
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
