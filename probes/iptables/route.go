package iptables

import (
	"net/netip"
	"slices"
)

// routed is a range of peers and the link by which replies to them leave.
type routed struct {
	span
	link uint16 // 0: no route
	name string
}

// route is a destination with its link.
type route struct {
	net  netip.Prefix
	link string
}

// routeTable lists the machine's routes: those given (or the default through
// the question's link where none are), then the networks of its links, and
// the link-local one of the question's link.
func (a *analysis) routeTable() []route {
	var out []route
	if a.q.Host.Routes == nil {
		p, _ := Route{Dst: "default"}.Prefix(a.q.Family)
		out = append(out, route{p, a.q.Iface})
	}
	for _, r := range a.q.Host.Routes {
		if p, ok := r.Prefix(a.q.Family); ok {
			out = append(out, route{p, r.Link})
		}
	}
	if a.q.Family == IPv6 {
		out = append(out, route{mustPrefix("fe80::/10"), a.q.Iface})
	}
	for _, l := range a.q.Host.Links {
		for _, p := range l.Addresses {
			if a.q.Family.of(p.Addr()) {
				out = append(out, route{p.Masked(), l.Name})
			}
		}
	}
	return out
}

// routes cuts a set of peers into ranges that the same route serves. The
// longest prefix wins, among equal ones the first.
func (a *analysis) routes(src *addrSet) []routed {
	var out []routed
	painted := paint(a.routeTable())
	i := 0
	for _, s := range src.spans {
		for i < len(painted) && painted[i].hi.less(s.lo) {
			i++
		}
		rest := segment{s, &fiber{}}
		for j := i; rest.f != nil && j < len(painted) && !s.hi.less(painted[j].lo); j++ {
			x := span{maxWord(rest.lo, painted[j].lo), minWord(s.hi, painted[j].hi)}
			if rest.lo.less(x.lo) {
				out = append(out, routed{span: span{rest.lo, x.lo.prev()}})
			}
			out = append(out, routed{x, a.link(painted[j].name), painted[j].name})
			rest.cut(x.hi)
		}
		if rest.f != nil {
			out = append(out, routed{span: rest.span})
		}
	}
	return out
}

// paint turns routes, which nest in each other, into disjoint ranges in order.
func paint(table []route) []routed {
	slices.SortStableFunc(table, func(x, y route) int {
		if c := wordOf(x.net.Addr()).compare(wordOf(y.net.Addr())); c != 0 {
			return c
		}
		return x.net.Bits() - y.net.Bits()
	})
	p := painter{}
	for i, r := range table {
		if i > 0 && r.net == table[i-1].net {
			continue
		}
		s := spanOfPrefix(r.net)
		p.close(s.lo)
		p.upTo(s.lo)
		p.open = append(p.open, routed{span: s, name: r.link})
		p.at = s.lo
	}
	for len(p.open) > 0 {
		p.pop()
	}
	return p.out
}

// painter holds the routes that are open at an address.
type painter struct {
	open []routed
	at   word128
	out  []routed
}

// close ends the routes that end before an address.
func (p *painter) close(lo word128) {
	for len(p.open) > 0 && p.open[len(p.open)-1].hi.less(lo) {
		p.pop()
	}
}

// upTo paints the innermost open route up to an address, without it.
func (p *painter) upTo(lo word128) {
	if len(p.open) > 0 && p.at.less(lo) {
		top := p.open[len(p.open)-1]
		p.out = append(p.out, routed{span: span{p.at, lo.prev()}, name: top.name})
	}
}

// pop ends the innermost open route.
func (p *painter) pop() {
	top := p.open[len(p.open)-1]
	p.open = p.open[:len(p.open)-1]
	if !top.hi.less(p.at) {
		p.out = append(p.out, routed{span: span{p.at, top.hi}, name: top.name})
		p.at = top.hi.next()
	}
	if p.at == (word128{}) {
		p.open = nil // the last address is painted
	}
}
