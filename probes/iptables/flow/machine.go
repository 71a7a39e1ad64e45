package flow

import (
	"net/netip"
	"slices"

	"lifeline/probes/iptables/netfilter"
	"lifeline/probes/iptables/netset"
	"lifeline/probes/iptables/rules"
	"lifeline/probes/iptables/tri"
)

// maxNumbered bounds the links, and the pairs of address and port, that are told
// apart.
const maxNumbered = 4096

// machine is what the question says of its machine: its addresses, links and endpoints,
// by number.
type machine struct {
	q Question
	// targets are the question's destinations; ends begins with the same and
	// goes on with what they are translated to.
	targets   []endpoint
	ends      []end
	links     []string // links[0] is "no route"
	locals    map[netset.Addr]bool
	localsAll bool // locals is complete
	// exhausted: the question or the rules are too much to follow.
	exhausted bool
}

// end is an endpoint and whether it is on this machine.
type end struct {
	endpoint
	local tri.Value
}

func newMachine(q Question) machine {
	m := machine{q: q, links: []string{""}, locals: map[netset.Addr]bool{}, localsAll: len(q.Links) > 0}
	for _, l := range q.Links {
		for _, p := range l.Addresses {
			m.locals[netset.AddrOf(p.Addr())] = true
		}
	}
	for _, d := range q.Dst {
		m.locals[netset.AddrOf(d)] = true
		for _, port := range q.Ports {
			if len(m.targets) == maxNumbered {
				m.exhausted = true
				continue
			}
			e := endpoint{netset.AddrOf(d), port, true, true}
			m.targets = append(m.targets, e)
			m.ends = append(m.ends, end{e, tri.Yes})
		}
	}
	return m
}

// link numbers a link.
func (m *machine) link(name string) uint16 {
	i := slices.Index(m.links, name)
	if i < 0 {
		i = len(m.links)
		m.links = append(m.links, name)
		m.exhausted = m.exhausted || i > maxNumbered
	}
	return uint16(min(i, maxNumbered))
}

// sources are the question's peers: management sources that can send to this
// machine at all. Its own addresses, loopback, multicast and the broadcast
// addresses of its networks cannot.
func (m *machine) sources() *netset.AddrSet {
	var in, out []netset.Span
	for _, p := range m.q.Mgmt {
		in = append(in, netset.SpanOf(p.Masked()))
	}
	if m.q.Iface == "lo" {
		return netset.NewAddrSet(in)
	}
	for w := range m.locals {
		out = append(out, netset.Span{Lo: w, Hi: w})
	}
	out = append(out, m.impossible()...)
	return netset.NewAddrSet(in).Intersect(netset.NewAddrSet(out).Complement(m.q.Family))
}

func (m *machine) impossible() []netset.Span {
	var out []netset.Span
	never := []string{"0.0.0.0/8", "127.0.0.0/8", "224.0.0.0/4", "255.255.255.255/32"}
	if m.q.Family == netfilter.IPv6 {
		never = []string{"::/127", "ff00::/8"}
	}
	for _, n := range never {
		out = append(out, netset.SpanOf(netip.MustParsePrefix(n)))
	}
	if m.q.Family == netfilter.IPv6 {
		return out
	}
	for _, l := range m.q.Links {
		for _, p := range l.Addresses {
			if p.Bits() < 31 {
				s := netset.SpanOf(p.Masked())
				out = append(out, netset.Span{Lo: s.Lo, Hi: s.Lo}, netset.Span{Lo: s.Hi, Hi: s.Hi})
			}
		}
	}
	return out
}

// translated is the endpoint that a NAT rule sends a class to.
func (m *machine) translated(c class, r *rules.Rule) uint16 {
	e := m.ends[c.cur]
	n := &r.Target.Nat
	switch r.Target.Kind {
	case rules.TargetRedirect:
		e = m.redirected(e)
	case rules.TargetNetmap:
		e.addr = e.addr.And(r.Target.Mask.Not()).Or(n.Lo)
		e.local = m.isLocal(e.addr)
	default:
		if n.HasAddr {
			e.addr, e.addrKnown = n.Lo, n.Lo == n.Hi
			e.local = m.isLocal(n.Lo)
			if !e.addrKnown {
				e.local = tri.Maybe
			}
		}
	}
	if n.HasPort {
		e.port, e.portKnown = n.Port.Lo, n.Port.Lo == n.Port.Hi && !n.Shifting
	}
	return m.end(e)
}

// redirected is this machine's own address on the incoming link, known if
// there is only one.
func (m *machine) redirected(e end) end {
	e.local = tri.Yes
	n := 0
	for _, l := range m.q.Links {
		for _, p := range l.Addresses {
			if l.Name == m.q.Iface {
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

func (m *machine) isLocal(w netset.Addr) tri.Value {
	switch {
	case m.locals[w]:
		return tri.Yes
	case m.q.Family == netfilter.IPv4 && w.Lo>>24 == 127:
		return tri.Maybe // needs route_localnet
	case m.localsAll:
		return tri.No
	}
	return tri.Maybe
}

// end numbers an endpoint; when there are too many, they become one that is
// not known.
func (m *machine) end(e end) uint16 {
	if !e.addrKnown {
		e.addr = netset.Addr{}
	}
	if !e.portKnown {
		e.port = 0
	}
	if i := slices.Index(m.ends, e); i >= 0 {
		return uint16(i)
	}
	if unknown := (end{local: tri.Maybe}); len(m.ends) > 2*maxNumbered && e != unknown {
		return m.end(unknown)
	}
	m.ends = append(m.ends, e)
	return uint16(len(m.ends) - 1)
}

// holdsAddress tells whether a link holds an address of this machine.
func (m *machine) holdsAddress(w netset.Addr, link string) tri.Value {
	if link == "" || !m.localsAll {
		return tri.Maybe
	}
	owned := false
	for _, l := range m.q.Links {
		for _, p := range l.Addresses {
			switch {
			case netset.AddrOf(p.Addr()) != w:
			case l.Name == link:
				return tri.Yes
			default:
				owned = true
			}
		}
	}
	if owned {
		return tri.No
	}
	return tri.Maybe
}
