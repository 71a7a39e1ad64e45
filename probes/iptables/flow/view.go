package flow

import (
	"lifeline/probes/iptables/netfilter"
	"lifeline/probes/iptables/netset"
	"lifeline/probes/iptables/rules"
	"lifeline/probes/iptables/tri"
)

// outcome is what a rule says of a class of packets: whether it matches, for
// which peers (nil: all) and for which ports of theirs (nil: all).
type outcome struct {
	hit   tri.Value
	peers *netset.AddrSet
	ports *netset.PortSet
	// reason names what is not known where hit is maybe.
	reason string
}

// endpoint is an address of this machine with a port.
type endpoint struct {
	addr      netset.Addr
	port      uint16
	addrKnown bool
	portKnown bool
}

// packetView is a class of packets as the rules of one hook see it. All but the
// peer's address and port is fixed.
type packetView struct {
	out     bool // the packet leaves
	in      string
	outLink string
	family  netfilter.Family
	viewHeader
	viewEnds
	viewTracking
	viewMarks
	viewRoute
	sets *rules.IPSets
	// listed says which of the question's sources are in a set.
	listed func(*netset.MaskSet) netset.Listed
}

// viewHeader are fields of the packet itself.
type viewHeader struct {
	proto    uint8
	icmpType uint8
	icmpCode uint8
	flags    uint8
	hop      int // hop limit, -1 not known
}

// viewEnds are the two sides.
type viewEnds struct {
	// local is this side's address and port; for a multicast neighbour
	// solicitation it is the group.
	local endpoint
	// localType is the address type of local.addr, 0 where it is not certain.
	localType uint16
	// onLink tells whether local.addr belongs to the link that the packet comes in or
	// leaves by.
	onLink tri.Value
	// peerType is the address type of the other side.
	peerType uint16
	// peerHidden: the peer's address and port are translated to ones that are
	// not known.
	peerHidden bool
}

// viewTracking is what conntrack knows of the packet.
type viewTracking struct {
	states uint8 // the possible ones
	// tracked tells whether a conntrack entry hangs on the packet.
	tracked tri.Value
	// onTemplate: what hangs on it is not the entry of its connection.
	onTemplate bool
	conn       *conntrackView
}

// viewMarks are the marks of the packet and its connection; blurred bits are not known.
type viewMarks struct {
	mark, markBlur     uint32
	ctmark, ctmarkBlur uint32
}

// viewRoute tells whether the route back to the peer leaves by the link it came in on
// (strict), or at all (loose).
type viewRoute struct {
	reverse, reverseLoose tri.Value
}

// conntrackView is what a conntrack entry knows.
type conntrackView struct {
	orig, reply endpoint // this machine's side before and after translation
	isReply     bool
	dnat        tri.Value
}

var (
	hitAll  = outcome{hit: tri.Yes}
	hitNone = outcome{hit: tri.No}
)

// unsure is an outcome that depends on something named.
func unsure(reason string) outcome { return outcome{hit: tri.Maybe, reason: reason} }

func negatable(t tri.Value, inv bool, reason string) outcome {
	if inv {
		t = t.Not()
	}
	if t != tri.Maybe {
		reason = ""
	}
	return outcome{hit: t, reason: reason}
}

// outcomes evaluates the rule for a class of packets. There are two where the
// peers are matched by a mask with holes: one for the peers of whom it is known
// whether they match, and one for the others.
func (v *packetView) outcomes(r *rules.Rule) (known, open outcome) {
	o := v.match(r)
	m := r.SrcMask
	if v.out {
		m = r.DstMask
	}
	switch {
	case m == nil || o.hit == tri.No:
		return o, hitNone
	case v.peerHidden:
		return o.and(unsure("translated source")), hitNone
	}
	l := v.listed(m)
	open = unsure("address mask")
	open.peers = l.Looked.Complement(v.family)
	return o.and(outcome{hit: tri.Yes, peers: l.In}), o.and(open)
}

// match evaluates everything but a mask with holes on the peer's address.
func (v *packetView) match(r *rules.Rule) outcome {
	if r.Proto != 0 && (r.Proto == v.proto) == r.ProtoInv {
		return hitNone
	}
	hidden := v.out && v.peerHidden
	if !r.In.Matches(v.in) || !hidden && !r.Out.Matches(v.outLink) || r.Frag == 1 {
		return hitNone
	}
	o := hitAll
	if hidden && r.Out.Name != "" {
		o = unsure("translated source") // the route of the reply is not known
	}
	local, peer, localPorts, peerPorts, mask := r.Dst, r.Src, r.Dport, r.Sport, r.DstMask
	if v.out {
		local, peer, localPorts, peerPorts, mask = r.Src, r.Dst, r.Sport, r.Dport, r.SrcMask
	}
	if o = o.and(v.localAddr(local)); o.hit == tri.No {
		return o
	}
	if o = o.and(v.localMask(mask)); o.hit == tri.No {
		return o
	}
	if o = o.and(v.localPort(localPorts)); o.hit == tri.No {
		return o
	}
	if o = o.and(v.peer(peer, peerPorts)); o.hit == tri.No {
		return o
	}
	for _, c := range r.Matches {
		if o = o.and(v.matchExtension(c)); o.hit == tri.No {
			return o
		}
	}
	if len(r.Unmodelled) > 0 {
		o = o.and(unsure(r.Unmodelled[0]))
	}
	return o
}

// and joins two outcomes that must hold together.
func (o outcome) and(p outcome) outcome {
	if o.hit == tri.No || p.hit == tri.No {
		return hitNone
	}
	r := outcome{hit: o.hit.And(p.hit), peers: o.peers.Intersect(p.peers), ports: o.ports.Intersect(p.ports), reason: o.reason}
	if r.reason == "" {
		r.reason = p.reason
	}
	if r.peers != nil && len(r.peers.Spans) == 0 || r.ports.Empty() {
		return hitNone
	}
	return r
}

func (v *packetView) localAddr(s *netset.AddrSet) outcome {
	switch {
	case s == nil:
		return hitAll
	case !v.local.addrKnown:
		return unsure("translated address")
	}
	return outcome{hit: tri.Of(s.Contains(v.local.addr))}
}

func (v *packetView) localMask(m *netset.MaskSet) outcome {
	switch {
	case m == nil:
		return hitAll
	case !v.local.addrKnown:
		return unsure("translated address")
	}
	return outcome{hit: tri.Of(m.Contains(v.local.addr))}
}

func (v *packetView) localPort(s *netset.PortSet) outcome {
	switch {
	case s == nil:
		return hitAll
	case !v.local.portKnown:
		return unsure("translated port")
	}
	return outcome{hit: tri.Of(s.Contains(v.local.port))}
}

func (v *packetView) peer(s *netset.AddrSet, p *netset.PortSet) outcome {
	if v.peerHidden && (s != nil || p != nil) {
		return unsure("translated source")
	}
	return outcome{hit: tri.Yes, peers: s, ports: p}
}

// matchExtension evaluates one match of a rule beyond its addresses, ports, links and
// protocol.
func (v *packetView) matchExtension(m rules.Match) outcome {
	switch m := m.(type) {
	case rules.NeverMatch:
		return hitNone
	case rules.SetUse:
		return hitAll
	case rules.EitherPortMatch:
		return v.matchEitherPort(m)
	case rules.TCPFlagsMatch:
		return v.matchFlags(m)
	case rules.StateMatch:
		return v.matchState(m)
	case rules.ConntrackMatch:
		return v.matchConntrack(m)
	case rules.MarkMatch:
		return v.matchMark(m)
	case rules.AddrTypeMatch:
		return v.matchAddrType(m)
	case rules.ICMPMatch:
		return v.matchICMP(m)
	case rules.HopLimitMatch:
		return v.matchHopLimit(m)
	case rules.RPFilterMatch:
		return v.matchRPFilter(m)
	case rules.SetMatch:
		return v.matchSet(m)
	}
	return unsure("match")
}
