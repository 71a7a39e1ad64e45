package flow

import "lifeline/probes/iptables/netfilter"

// conntrack gives every class its state, after the raw table.
func (a *Analysis) conntrack(l *packetStep, set []segment) []segment {
	return a.classes(set, func(c class) class {
		if l.states != 0 && !c.template.notrack {
			c.states = l.states
			return c
		}
		if l.neighbourDiscovery() || c.template.notrack {
			c.states = netfilter.StateUntracked
			if l.first {
				c.syn = trackNo
			}
			c.gap = c.gap || c.syn == trackYes && l.proto == 6
			return c
		}
		if l.first {
			c.syn, c.zone, c.states = trackYes, c.template.zone, netfilter.StateNew
			return c
		}
		c.states = laterState(c, l)
		c.joined = c.joined || l.flags&netfilter.FlagSYN != 0 && c.states == netfilter.StateEstablished
		c.gap = c.gap || c.syn == trackYes && c.states != netfilter.StateEstablished
		return c
	})
}

// laterState is the state of a packet after the first. In the entry of the
// first one it is ESTABLISHED, but an ACK is INVALID there while no SYN/ACK
// was seen. If there is no such entry, a SYN/ACK is INVALID, and what follows
// may be picked up in the middle, or not (nf_conntrack_tcp_loose). The table
// of nf_conntrack_proto_tcp.c says so.
func laterState(c class, l *packetStep) uint8 {
	switch {
	case c.syn == trackYes && (c.zone < 0 || c.template.zone < 0):
		return netfilter.StateEstablished | netfilter.StateInvalid | netfilter.StateNew
	case c.syn == trackYes && c.template.zone == c.zone && !l.out && !c.joined:
		return netfilter.StateInvalid
	case c.syn == trackYes && c.template.zone == c.zone && c.gap:
		return netfilter.StateEstablished | netfilter.StateInvalid
	case c.syn == trackYes && c.template.zone == c.zone:
		return netfilter.StateEstablished
	case l.flags&netfilter.FlagSYN != 0:
		return netfilter.StateInvalid
	}
	return netfilter.StateInvalid | netfilter.StateNew | netfilter.StateEstablished
}
