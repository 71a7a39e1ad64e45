package iptables

import (
	"slices"
)

// neverCond looks for something that no packet of the question has.
type neverCond struct{}

// setUse notes a set that a target needs: it must exist, and it may be changed.
type setUse struct {
	name   string
	writes bool
}

// eitherPortCond matches the source or the destination port.
type eitherPortCond struct {
	ports *portSet
	inv   bool
}

func (c eitherPortCond) eval(v *view) outcome {
	if !v.local.portKnown || v.peerHidden {
		return unsure("translated port")
	}
	switch local := c.ports.contains(v.local.port); {
	case local:
		return outcome{hit: triOf(!c.inv)}
	case c.inv:
		return outcome{hit: yes, ports: c.ports.complement()}
	default:
		return outcome{hit: yes, ports: c.ports}
	}
}

// flagsCond matches TCP flags.
type flagsCond struct {
	mask, want uint8
	inv        bool
}

func (c flagsCond) eval(v *view) outcome {
	return outcome{hit: triOf((v.flags&c.mask == c.want) != c.inv)}
}

// stateCond matches the conntrack state.
type stateCond struct {
	mask uint8
	inv  bool
}

func (c stateCond) eval(v *view) outcome {
	const pseudo = stSNAT | stDNAT
	t := no
	switch in := v.states & c.mask &^ pseudo; {
	case in == v.states:
		t = yes
	case in != 0:
		t = maybe
	}
	if c.mask&stDNAT != 0 && t != yes && v.tracked != no {
		if d := v.conn.dnat.and(v.tracked); d == yes || d == maybe && t == no {
			t = d
		}
	}
	if c.mask&stSNAT != 0 && t == no && v.peerHidden {
		t = maybe
	}
	return decided(t, c.inv, "conntrack state")
}

// connKind is a property of a conntrack entry.
type connKind uint8

const (
	ctProto connKind = iota
	ctDir
	ctOrigSrc
	ctOrigDst
	ctReplSrc
	ctReplDst
	ctOrigSrcPort
	ctOrigDstPort
	ctReplSrcPort
	ctReplDstPort
)

// connPart is one option of the conntrack match.
type connPart struct {
	kind  connKind
	num   uint32
	addrs *addrSet
	ports *portSet
	inv   bool
}

// connCond is the conntrack match beside --ctstate.
type connCond struct {
	parts     []connPart
	withState bool
	other     bool
}

func (c connCond) eval(v *view) outcome {
	switch v.tracked {
	case no:
		// Without an entry only --ctstate is looked at, and must be there.
		return outcome{hit: triOf(c.withState)}
	case maybe:
		return unsure("conntrack entry")
	}
	o := hitAll
	for _, p := range c.parts {
		o = o.both(p.eval(v))
	}
	if c.other {
		o = o.both(unsure("conntrack entry"))
	}
	return o
}

func (p connPart) eval(v *view) outcome {
	c := v.conn
	switch p.kind {
	case ctProto:
		return decided(triOf(uint32(v.proto) == p.num), p.inv, "")
	case ctDir:
		return decided(triOf(!c.isReply), p.inv, "")
	case ctOrigSrc:
		return peerPart(p.addrs, nil, p.inv, v.family)
	case ctOrigSrcPort:
		return peerPart(nil, p.ports, p.inv, v.family)
	case ctReplDst, ctReplDstPort:
		if v.peerHidden {
			return unsure("translated source")
		}
		return peerPart(p.addrs, p.ports, p.inv, v.family)
	case ctOrigDst:
		return decided(triOf(p.addrs.contains(c.orig.addr)), p.inv, "")
	case ctOrigDstPort:
		return decided(triOf(p.ports.contains(c.orig.port)), p.inv, "")
	case ctReplSrc:
		if !c.reply.addrKnown {
			return unsure("translated address")
		}
		return decided(triOf(p.addrs.contains(c.reply.addr)), p.inv, "")
	}
	if !c.reply.portKnown {
		return unsure("translated port")
	}
	return decided(triOf(p.ports.contains(c.reply.port)), p.inv, "")
}

func peerPart(a *addrSet, p *portSet, inv bool, f Family) outcome {
	if inv && a != nil {
		a = a.complement(f)
	}
	if inv && p != nil {
		p = p.complement()
	}
	return hitAll.both(outcome{hit: yes, peers: a, ports: p})
}

// markCond matches the packet's or the connection's mark.
type markCond struct {
	conn        bool
	value, mask uint32
	inv         bool
}

func (c markCond) eval(v *view) outcome {
	m, blur := v.mark, v.markBlur
	if c.conn {
		switch {
		case v.onTemplate:
			return unsure("conntrack entry") // the mark is that of the template
		case v.tracked == no:
			return hitNone // without an entry it never matches, negated or not
		}
		m, blur = v.ctmark, v.ctmarkBlur
	}
	t := triOf(m&c.mask == c.value)
	if blur&c.mask != 0 && (m^c.value)&c.mask&^blur == 0 && c.value&^c.mask == 0 {
		t = maybe
	}
	o := decided(t, c.inv, "mark")
	if c.conn && v.tracked == maybe && o.hit == yes {
		o = unsure("conntrack entry")
	}
	return o
}

// addrTypeCond matches the type of an address.
type addrTypeCond struct {
	src               bool
	mask              uint16
	inv               bool
	limitIn, limitOut bool
}

func (c addrTypeCond) eval(v *view) outcome {
	t := v.localType
	isPeer := c.src != v.out
	if isPeer {
		t = v.peerType
	}
	if t == 0 || !isPeer && !v.local.addrKnown {
		return unsure("addrtype")
	}
	if (c.limitIn || c.limitOut) && (t == atLocal || c.mask&atLocal != 0) {
		return unsure("addrtype") // which link holds the address is not followed
	}
	if v.family == IPv6 {
		return c.eval6(t)
	}
	return decided(triOf(c.mask&t != 0), c.inv, "")
}

// eval6 follows the IPv6 rules: the kinds by form must all fit, local-ness is
// looked up in the routes.
func (c addrTypeCond) eval6(t uint16) outcome {
	if c.mask&^(atUnicast|atLocal|atMulticast) != 0 {
		return unsure("addrtype")
	}
	hit := true
	if c.mask&atMulticast != 0 && t != atMulticast || c.mask&atUnicast != 0 && t == atMulticast {
		hit = false
	}
	if hit && c.mask&atLocal != 0 {
		hit = t == atLocal
	}
	return decided(triOf(hit), c.inv, "")
}

// icmpCond matches an ICMP type with a range of codes.
type icmpCond struct {
	r   icmpRange
	inv bool
}

func (c icmpCond) eval(v *view) outcome {
	if v.proto != 58 && v.proto != 1 {
		return hitNone
	}
	hit := v.proto == 1 && c.r.typ == 255 ||
		c.r.typ == v.icmpType && c.r.codeLo <= v.icmpCode && v.icmpCode <= c.r.code
	return outcome{hit: triOf(hit != c.inv)}
}

// hopCond matches the hop limit or TTL, known for neighbour discovery only.
type hopCond struct {
	op   byte
	val  int
	inv  bool
	name string
}

func (c hopCond) eval(v *view) outcome {
	if v.hop < 0 {
		return unsure(c.name)
	}
	hit := v.hop == c.val
	switch c.op {
	case '<':
		hit = v.hop < c.val
	case '>':
		hit = v.hop > c.val
	}
	return decided(triOf(hit), c.inv, "")
}

// rpfilterCond matches packets whose route back leads where they came from.
type rpfilterCond struct{ loose, inv bool }

func (c rpfilterCond) eval(v *view) outcome {
	t := v.reverse
	if c.loose {
		t = v.reverseLoose
	}
	return decided(t, c.inv, "rpfilter")
}

// setCond matches an ipset.
type setCond struct {
	name     string
	dirs     []bool // true: src
	inv      bool
	counters bool
}

func (c setCond) eval(v *view) outcome {
	x := v.sets.get(c.name)
	if x == nil || c.counters || x.uncertain != "" || len(c.dirs) == 0 {
		return unsure("ipset")
	}
	if len(x.pairs) > 0 && len(x.types) == 2 {
		return c.evalPairs(x, v)
	}
	set, why := v.sets.addresses(c.name, 0)
	if why != "" {
		return unsure("ipset")
	}
	if c.inv {
		set = set.complement(v.family)
	}
	if c.dirs[0] != v.out { // the peer
		return v.peer(set, nil).nonEmpty()
	}
	return v.localAddr(set)
}

func (o outcome) nonEmpty() outcome { return hitAll.both(o) }

// evalPairs looks at address,port sets whose port is this machine's, which is
// fixed; other combinations are not followed.
func (c setCond) evalPairs(x *ipset, v *view) outcome {
	if len(c.dirs) < 2 || c.dirs[1] != v.out || !v.local.portKnown || v.proto != 6 {
		return unsure("ipset")
	}
	var spans []span
	for _, e := range x.pairs {
		if e.proto == v.proto && e.ports.lo <= v.local.port && v.local.port <= e.ports.hi {
			spans = append(spans, e.addrs)
		}
	}
	set := newAddrSet(slices.Clone(spans))
	if c.inv {
		set = set.complement(v.family)
	}
	if c.dirs[0] != v.out {
		return v.peer(set, nil).nonEmpty()
	}
	return v.localAddr(set)
}
