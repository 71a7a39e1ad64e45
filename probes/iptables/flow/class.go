package flow

import (
	"lifeline/probes/iptables/rules"
	"lifeline/probes/iptables/tri"
)

// class is what all packets of one part of the question have in common at one
// moment, beside the peer's address and port. It is a small value: the
// analysis keeps one number for each distinct class.
type class struct {
	// target indexes the question's destinations: address and port.
	target uint16
	// cur indexes the endpoints: where the flow goes after translation.
	cur uint16
	// link indexes the links: by which replies leave; 0 means none.
	link uint16
	// reverse tells whether the route back uses the link that the flow comes
	// in on, reverseLoose whether there is one at all.
	reverse, reverseLoose tri.Value
	// syn is how the flow's first packet was tracked.
	syn trackKind
	// joined: the SYN/ACK found the entry of the first packet.
	joined bool
	// gap: a later packet of the flow did not, so that conntrack's idea of the
	// windows goes wrong and it may take any packet for INVALID.
	gap bool
	// zone is the conntrack zone of the first packet, template what the raw
	// table has set for the present packet.
	zone     int32
	template template
	// states are the possible conntrack states of the present packet.
	states uint8
	// hidden: the source is translated before the local program sees it.
	hidden             bool
	mark, markBlur     uint32
	ctmark, ctmarkBlur uint32
	// hop is the hop limit of neighbour discovery, -1 where not known.
	hop int16
}

// trackKind says how a packet met conntrack.
type trackKind uint8

const (
	trackNone trackKind = iota
	trackYes
	trackNo
)

// template is what NOTRACK or CT has put on a packet before conntrack saw it.
type template struct {
	set     bool
	notrack bool
	zone    int32 // -1 not known
}

// onTemplate reports whether what hangs on the packet is not the entry of its
// connection but what CT in the raw table has put there: one object for all
// packets of that rule, with a mark of its own.
func (c class) onTemplate(st stage) bool {
	return c.template.set && !c.template.notrack && !st.conntracked
}

// flow is the identity of a class beyond the moment: which destination of the
// question it belongs to.
func (c class) flow() class { return class{target: c.target} }

// blend makes one class of two that differ in marks only; ok is false where
// they differ in more.
func (c class) blend(d class) (class, bool) {
	e := c
	e.markBlur |= d.markBlur | c.mark ^ d.mark
	e.ctmarkBlur |= d.ctmarkBlur | c.ctmark ^ d.ctmark
	e.mark &^= e.markBlur
	e.ctmark &^= e.ctmarkBlur
	if c.hop != d.hop {
		e.hop = -1
	}
	c.mark, c.markBlur, c.ctmark, c.ctmarkBlur, c.hop = d.mark, d.markBlur, d.ctmark, d.ctmarkBlur, d.hop
	return e, c == d
}

// applyMark runs MARK or CONNMARK on the class.
func (c class) applyMark(op rules.MarkChange, conn bool) class {
	switch {
	case op.Shifted:
		if conn && op.Restore || !conn {
			c.mark, c.markBlur = 0, 1<<32-1
		} else {
			c.ctmark, c.ctmarkBlur = 0, 1<<32-1
		}
	case op.Save:
		c.ctmark = c.ctmark&^op.Ctmask ^ c.mark&op.Nfmask
		c.ctmarkBlur = c.ctmarkBlur&^op.Ctmask | c.markBlur&op.Nfmask
	case op.Restore:
		c.mark = c.mark&^op.Nfmask ^ c.ctmark&op.Ctmask
		c.markBlur = c.markBlur&^op.Nfmask | c.ctmarkBlur&op.Ctmask
	case conn:
		c.ctmark = c.ctmark&^op.Mask ^ op.Value
		c.ctmarkBlur &^= op.Mask
	default:
		c.mark = c.mark&^op.Mask ^ op.Value
		c.markBlur &^= op.Mask
	}
	c.mark &^= c.markBlur
	c.ctmark &^= c.ctmarkBlur
	return c
}

// applyHop runs TTL or HL on the class.
func (c class) applyHop(op rules.HopLimitChange) class {
	switch {
	case op.Set:
		c.hop = int16(op.Val)
	case c.hop >= 0:
		c.hop = int16(min(max(int(c.hop)+op.Val, 0), 255))
	}
	return c
}
