package iptables

// tri is the outcome of a match where not everything is known (Kleene).
type tri uint8

const (
	no tri = iota
	yes
	maybe
)

func (t tri) not() tri {
	switch t {
	case no:
		return yes
	case yes:
		return no
	}
	return maybe
}

func (t tri) and(u tri) tri {
	switch {
	case t == no || u == no:
		return no
	case t == maybe || u == maybe:
		return maybe
	}
	return yes
}

func triOf(b bool) tri {
	if b {
		return yes
	}
	return no
}

// outcome is what a rule says of a class of packets: whether it matches, for
// which peers (nil: all) and for which ports of theirs (nil: all).
type outcome struct {
	hit   tri
	peers *addrSet
	ports *portSet
	// reason names what is not known where hit is maybe.
	reason string
}

// endpoint is an address of this machine with a port.
type endpoint struct {
	addr      word128
	port      uint16
	addrKnown bool
	portKnown bool
}

// view is a class of packets as the rules of one hook see it. All but the
// peer's address and port is fixed.
type view struct {
	out      bool // the packet leaves
	proto    uint8
	icmpType uint8
	icmpCode uint8
	in       string
	outLink  string
	// local is this side's address and port; for a multicast neighbour
	// solicitation it is the group.
	local endpoint
	// localTypes are the address types of local.addr that are certain, and
	// localTypesKnown tells whether they all are.
	localType uint16
	// peerType is the address type of the other side.
	peerType uint16
	// peerHidden: the peer's address and port are translated to ones that are
	// not known.
	peerHidden bool
	flags      uint8
	states     uint8 // the possible ones
	// tracked tells whether a conntrack entry hangs on the packet.
	tracked tri
	// onTemplate: what hangs on it is not the entry of its connection.
	onTemplate         bool
	conn               *conn
	mark, markBlur     uint32 // blurred bits are not known
	ctmark, ctmarkBlur uint32
	hop                int // hop limit, -1 not known
	// reverse tells whether the route back to the peer leaves by the link it
	// came in on (strict), or at all (loose).
	reverse, reverseLoose tri
	family                Family
	sets                  *IPSets
	// listed says which of the question's sources are in a set.
	listed func(*maskSet) listed
}

// conn is what a conntrack entry knows.
type conn struct {
	orig, reply endpoint // this machine's side before and after translation
	isReply     bool
	dnat        tri
}

// cond is a match beyond addresses, ports, links and protocol.
type cond interface {
	eval(v *view) outcome
}

var (
	hitAll  = outcome{hit: yes}
	hitNone = outcome{hit: no}
)

// unsure is an outcome that depends on something named.
func unsure(reason string) outcome { return outcome{hit: maybe, reason: reason} }

func decided(t tri, inv bool, reason string) outcome {
	if inv {
		t = t.not()
	}
	if t != maybe {
		reason = ""
	}
	return outcome{hit: t, reason: reason}
}

// outcomes evaluates the rule for a class of packets. There are two where the
// peers are matched by a mask with holes: one for the peers of whom it is known
// whether they match, and one for the others.
func (r *Rule) outcomes(v *view) (known, open outcome) {
	o := r.match(v)
	m := r.srcMask
	if v.out {
		m = r.dstMask
	}
	switch {
	case m == nil || o.hit == no:
		return o, hitNone
	case v.peerHidden:
		return o.both(unsure("translated source")), hitNone
	}
	l := v.listed(m)
	open = unsure("address mask")
	open.peers = l.looked.complement(v.family)
	return o.both(outcome{hit: yes, peers: l.in}), o.both(open)
}

// match evaluates everything but a mask with holes on the peer's address.
func (r *Rule) match(v *view) outcome {
	if r.proto != 0 && (r.proto == v.proto) == r.protoInv {
		return hitNone
	}
	hidden := v.out && v.peerHidden
	if !r.in.matches(v.in) || !hidden && !r.out.matches(v.outLink) || r.frag == 1 {
		return hitNone
	}
	o := hitAll
	if hidden && r.out.name != "" {
		o = unsure("translated source") // the route of the reply is not known
	}
	local, peer, localPorts, peerPorts, mask := r.dst, r.src, r.dport, r.sport, r.dstMask
	if v.out {
		local, peer, localPorts, peerPorts, mask = r.src, r.dst, r.sport, r.dport, r.srcMask
	}
	if o = o.both(v.localAddr(local)); o.hit == no {
		return o
	}
	if o = o.both(v.localMask(mask)); o.hit == no {
		return o
	}
	if o = o.both(v.localPort(localPorts)); o.hit == no {
		return o
	}
	if o = o.both(v.peer(peer, peerPorts)); o.hit == no {
		return o
	}
	for _, c := range r.conds {
		if o = o.both(c.eval(v)); o.hit == no {
			return o
		}
	}
	if len(r.unknown) > 0 {
		o = o.both(unsure(r.unknown[0]))
	}
	return o
}

// both joins two outcomes that must hold together.
func (o outcome) both(p outcome) outcome {
	if o.hit == no || p.hit == no {
		return hitNone
	}
	r := outcome{hit: o.hit.and(p.hit), peers: o.peers.intersect(p.peers), ports: o.ports.intersect(p.ports), reason: o.reason}
	if r.reason == "" {
		r.reason = p.reason
	}
	if r.peers != nil && len(r.peers.spans) == 0 || r.ports.empty() {
		return hitNone
	}
	return r
}

func (v *view) localAddr(s *addrSet) outcome {
	switch {
	case s == nil:
		return hitAll
	case !v.local.addrKnown:
		return unsure("translated address")
	}
	return outcome{hit: triOf(s.contains(v.local.addr))}
}

func (v *view) localMask(m *maskSet) outcome {
	switch {
	case m == nil:
		return hitAll
	case !v.local.addrKnown:
		return unsure("translated address")
	}
	return outcome{hit: triOf(m.contains(v.local.addr))}
}

func (v *view) localPort(s *portSet) outcome {
	switch {
	case s == nil:
		return hitAll
	case !v.local.portKnown:
		return unsure("translated port")
	}
	return outcome{hit: triOf(s.contains(v.local.port))}
}

func (v *view) peer(s *addrSet, p *portSet) outcome {
	if v.peerHidden && (s != nil || p != nil) {
		return unsure("translated source")
	}
	return outcome{hit: yes, peers: s, ports: p}
}

func (neverCond) eval(*view) outcome { return hitNone }

func (setUse) eval(*view) outcome { return hitAll }
