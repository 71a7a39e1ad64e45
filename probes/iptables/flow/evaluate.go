package flow

import (
	"slices"

	"lifeline/probes/iptables/netfilter"
	"lifeline/probes/iptables/netset"
	"lifeline/probes/iptables/rules"
	"lifeline/probes/iptables/tri"
)

func (v *packetView) matchEitherPort(c rules.EitherPortMatch) outcome {
	if !v.local.portKnown || v.peerHidden {
		return unsure("translated port")
	}
	switch local := c.Ports.Contains(v.local.port); {
	case local:
		return outcome{hit: tri.Of(!c.Inv)}
	case c.Inv:
		return outcome{hit: tri.Yes, ports: c.Ports.Complement()}
	default:
		return outcome{hit: tri.Yes, ports: c.Ports}
	}
}

func (v *packetView) matchFlags(c rules.TCPFlagsMatch) outcome {
	return outcome{hit: tri.Of((v.flags&c.Mask == c.Want) != c.Inv)}
}

func (v *packetView) matchState(c rules.StateMatch) outcome {
	const pseudo = netfilter.StateSNAT | netfilter.StateDNAT
	t := tri.No
	switch in := v.states & c.Mask &^ pseudo; {
	case in == v.states:
		t = tri.Yes
	case in != 0:
		t = tri.Maybe
	}
	if c.Mask&netfilter.StateDNAT != 0 && t != tri.Yes && v.tracked != tri.No {
		if d := v.conn.dnat.And(v.tracked); d == tri.Yes || d == tri.Maybe && t == tri.No {
			t = d
		}
	}
	if c.Mask&netfilter.StateSNAT != 0 && t == tri.No && v.peerHidden {
		t = tri.Maybe
	}
	return negatable(t, c.Inv, "conntrack state")
}

func (v *packetView) matchConntrack(c rules.ConntrackMatch) outcome {
	switch v.tracked {
	case tri.No:
		// Without an entry only --ctstate is looked at, and must be there.
		return outcome{hit: tri.Of(c.WithState)}
	case tri.Maybe:
		return unsure("conntrack entry")
	}
	o := hitAll
	for _, p := range c.Parts {
		o = o.and(v.matchConntrackPart(p))
	}
	if c.Other {
		o = o.and(unsure("conntrack entry"))
	}
	return o
}

func (v *packetView) matchConntrackPart(p rules.ConntrackPart) outcome {
	c := v.conn
	switch p.Field {
	case rules.ConntrackProto:
		return negatable(tri.Of(uint32(v.proto) == p.Num), p.Inv, "")
	case rules.ConntrackDir:
		return negatable(tri.Of(!c.isReply), p.Inv, "")
	case rules.ConntrackOrigSrc:
		return peerPart(p.Addrs, nil, p.Inv, v.family)
	case rules.ConntrackOrigSrcPort:
		return peerPart(nil, p.Ports, p.Inv, v.family)
	case rules.ConntrackReplDst, rules.ConntrackReplDstPort:
		if v.peerHidden {
			return unsure("translated source")
		}
		return peerPart(p.Addrs, p.Ports, p.Inv, v.family)
	case rules.ConntrackOrigDst:
		return negatable(tri.Of(p.Addrs.Contains(c.orig.addr)), p.Inv, "")
	case rules.ConntrackOrigDstPort:
		return negatable(tri.Of(p.Ports.Contains(c.orig.port)), p.Inv, "")
	case rules.ConntrackReplSrc:
		if !c.reply.addrKnown {
			return unsure("translated address")
		}
		return negatable(tri.Of(p.Addrs.Contains(c.reply.addr)), p.Inv, "")
	}
	if !c.reply.portKnown {
		return unsure("translated port")
	}
	return negatable(tri.Of(p.Ports.Contains(c.reply.port)), p.Inv, "")
}

func peerPart(a *netset.AddrSet, p *netset.PortSet, inv bool, f netfilter.Family) outcome {
	if inv && a != nil {
		a = a.Complement(f)
	}
	if inv && p != nil {
		p = p.Complement()
	}
	return hitAll.and(outcome{hit: tri.Yes, peers: a, ports: p})
}

func (v *packetView) matchMark(c rules.MarkMatch) outcome {
	m, blur := v.mark, v.markBlur
	if c.Conn {
		switch {
		case v.onTemplate:
			return unsure("conntrack entry") // the mark is that of the template
		case v.tracked == tri.No:
			return hitNone // without an entry it never matches, negated or not
		}
		m, blur = v.ctmark, v.ctmarkBlur
	}
	t := tri.Of(m&c.Mask == c.Value)
	if blur&c.Mask != 0 && (m^c.Value)&c.Mask&^blur == 0 && c.Value&^c.Mask == 0 {
		t = tri.Maybe
	}
	o := negatable(t, c.Inv, "mark")
	if c.Conn && v.tracked == tri.Maybe && o.hit == tri.Yes {
		o = unsure("conntrack entry")
	}
	return o
}

func (v *packetView) matchAddrType(c rules.AddrTypeMatch) outcome {
	t := v.localType
	isPeer := c.Src != v.out
	if isPeer {
		t = v.peerType
	}
	if t == 0 || !isPeer && !v.local.addrKnown {
		return unsure("addrtype")
	}
	if c.LimitIn || c.LimitOut {
		switch {
		case isPeer && c.Mask&netfilter.AddrTypeLocal == 0:
		case isPeer || t != netfilter.AddrTypeLocal || v.onLink == tri.Maybe || v.family == netfilter.IPv6 || c.LimitIn == v.out:
			return unsure("addrtype") // which link holds the address is not followed
		case v.onLink == tri.No:
			t = netfilter.AddrTypeUnicast // local, but not on that link (inet_dev_addr_type)
		}
	}
	if v.family == netfilter.IPv6 {
		return matchAddrType6(c, t)
	}
	return negatable(tri.Of(c.Mask&t != 0), c.Inv, "")
}

// matchAddrType6 follows the IPv6 rules: the kinds by form must all fit, local-ness is
// looked up in the routes.
func matchAddrType6(c rules.AddrTypeMatch, t uint16) outcome {
	if c.Mask&^(netfilter.AddrTypeUnicast|netfilter.AddrTypeLocal|netfilter.AddrTypeMulticast) != 0 {
		return unsure("addrtype")
	}
	hit := true
	if c.Mask&netfilter.AddrTypeMulticast != 0 && t != netfilter.AddrTypeMulticast || c.Mask&netfilter.AddrTypeUnicast != 0 && t == netfilter.AddrTypeMulticast {
		hit = false
	}
	if hit && c.Mask&netfilter.AddrTypeLocal != 0 {
		hit = t == netfilter.AddrTypeLocal
	}
	return negatable(tri.Of(hit), c.Inv, "")
}

func (v *packetView) matchICMP(c rules.ICMPMatch) outcome {
	if v.proto != 58 && v.proto != 1 {
		return hitNone
	}
	hit := v.proto == 1 && c.Type.Type == 255 ||
		c.Type.Type == v.icmpType && c.Type.CodeLo <= v.icmpCode && v.icmpCode <= c.Type.CodeHi
	return outcome{hit: tri.Of(hit != c.Inv)}
}

func (v *packetView) matchHopLimit(c rules.HopLimitMatch) outcome {
	if v.hop < 0 {
		return unsure(c.Name)
	}
	hit := v.hop == c.Val
	switch c.Op {
	case '<':
		hit = v.hop < c.Val
	case '>':
		hit = v.hop > c.Val
	}
	return negatable(tri.Of(hit), c.Inv, "")
}

func (v *packetView) matchRPFilter(c rules.RPFilterMatch) outcome {
	t := v.reverse
	if c.Loose {
		t = v.reverseLoose
	}
	return negatable(t, c.Inv, "rpfilter")
}

func (v *packetView) matchSet(c rules.SetMatch) outcome {
	x := v.sets.Set(c.Name)
	if x == nil || c.Counters || x.Uncertain != "" || len(c.Dirs) == 0 {
		return unsure("ipset")
	}
	if len(x.Pairs) > 0 && len(x.Types) == 2 {
		return v.matchSetPairs(c, x)
	}
	set, err := v.sets.Addresses(c.Name, 0)
	if err != nil {
		return unsure("ipset")
	}
	if c.Inv {
		set = set.Complement(v.family)
	}
	if c.Dirs[0] != v.out { // the peer
		return hitAll.and(v.peer(set, nil))
	}
	return v.localAddr(set)
}

// matchSetPairs looks at address,port sets whose port is this machine's, which is
// fixed; other combinations are not followed.
func (v *packetView) matchSetPairs(c rules.SetMatch, x *rules.IPSet) outcome {
	if len(c.Dirs) < 2 || c.Dirs[1] != v.out || !v.local.portKnown || v.proto != 6 {
		return unsure("ipset")
	}
	var spans []netset.Span
	for _, e := range x.Pairs {
		if e.Proto == v.proto && e.Ports.Lo <= v.local.port && v.local.port <= e.Ports.Hi {
			spans = append(spans, e.Addrs)
		}
	}
	set := netset.NewAddrSet(slices.Clone(spans))
	if c.Inv {
		set = set.Complement(v.family)
	}
	if c.Dirs[0] != v.out {
		return hitAll.and(v.peer(set, nil))
	}
	return v.localAddr(set)
}
