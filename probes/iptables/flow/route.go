package flow

import (
	"net/netip"
	"slices"

	"lifeline/probes/iptables/netfilter"
	"lifeline/probes/iptables/netset"
	"lifeline/probes/iptables/tri"
)

// routedSpan is a range of peers and the link by which replies to them leave.
type routedSpan struct {
	netset.Span
	link uint16 // 0: no route
	name string
}

// routeTable lists the machine's routes: those given (or the default through
// the question's link where none are), then the networks of its links, and
// the link-local one of the question's link.
func (m *machine) routeTable() []Route {
	var out []Route
	if m.q.Routes == nil {
		out = append(out, Route{netset.All(m.q.Family), m.q.Iface})
	}
	out = append(out, m.q.Routes...)
	if m.q.Family == netfilter.IPv6 {
		out = append(out, Route{netip.MustParsePrefix("fe80::/10"), m.q.Iface})
	}
	for _, l := range m.q.Links {
		for _, p := range l.Addresses {
			out = append(out, Route{p.Masked(), l.Name})
		}
	}
	return out
}

// routes cuts a set of peers into ranges that the same route serves. The
// longest prefix wins, among equal ones the first.
func (m *machine) routes(src *netset.AddrSet) []routedSpan {
	var out []routedSpan
	painted := flattenRoutes(m.routeTable())
	i := 0
	for _, s := range src.Spans {
		for i < len(painted) && painted[i].Hi.Less(s.Lo) {
			i++
		}
		rest := segment{s, &cellSet{}}
		for j := i; rest.set != nil && j < len(painted) && !s.Hi.Less(painted[j].Lo); j++ {
			x := netset.Span{Lo: netset.Max(rest.Lo, painted[j].Lo), Hi: netset.Min(s.Hi, painted[j].Hi)}
			if rest.Lo.Less(x.Lo) {
				out = append(out, routedSpan{Span: netset.Span{Lo: rest.Lo, Hi: x.Lo.Prev()}})
			}
			out = append(out, routedSpan{x, m.link(painted[j].name), painted[j].name})
			rest.cut(x.Hi)
		}
		if rest.set != nil {
			out = append(out, routedSpan{Span: rest.Span})
		}
	}
	return out
}

// flattenRoutes turns routes, which nest in each other, into disjoint ranges in order.
func flattenRoutes(table []Route) []routedSpan {
	slices.SortStableFunc(table, func(x, y Route) int {
		if c := netset.AddrOf(x.Dst.Addr()).Compare(netset.AddrOf(y.Dst.Addr())); c != 0 {
			return c
		}
		return x.Dst.Bits() - y.Dst.Bits()
	})
	p := routeFlattener{}
	for i, r := range table {
		if i > 0 && r.Dst == table[i-1].Dst {
			continue
		}
		s := netset.SpanOf(r.Dst)
		p.endBefore(s.Lo)
		p.emitUpTo(s.Lo)
		p.open = append(p.open, routedSpan{Span: s, name: r.Link})
		p.at = s.Lo
	}
	for len(p.open) > 0 {
		p.endInnermost()
	}
	return p.out
}

// routeFlattener holds the routes that are open at an address.
type routeFlattener struct {
	open []routedSpan
	at   netset.Addr
	out  []routedSpan
}

// endBefore ends the routes that end before an address.
func (p *routeFlattener) endBefore(lo netset.Addr) {
	for len(p.open) > 0 && p.open[len(p.open)-1].Hi.Less(lo) {
		p.endInnermost()
	}
}

// emitUpTo paints the innermost open route up to an address, without it.
func (p *routeFlattener) emitUpTo(lo netset.Addr) {
	if len(p.open) > 0 && p.at.Less(lo) {
		top := p.open[len(p.open)-1]
		p.out = append(p.out, routedSpan{Span: netset.Span{Lo: p.at, Hi: lo.Prev()}, name: top.name})
	}
}

// endInnermost ends the innermost open route.
func (p *routeFlattener) endInnermost() {
	top := p.open[len(p.open)-1]
	p.open = p.open[:len(p.open)-1]
	if !top.Hi.Less(p.at) {
		p.out = append(p.out, routedSpan{Span: netset.Span{Lo: p.at, Hi: top.Hi}, name: top.name})
		p.at = top.Hi.Next()
	}
	if p.at == (netset.Addr{}) {
		p.open = nil // the last address is painted
	}
}

// routeIn is the routing decision for an incoming packet: to this machine, or
// elsewhere after a translation; and the reverse path check.
func (a *Analysis) routeIn(st stage, set []segment) []segment {
	st.hook = "routing"
	set = a.dropWhere(set, st, "nat", "the destination is translated to an address that is not this machine's", func(c class) tri.Value {
		return a.ends[c.cur].local.Not()
	})
	set = a.perhapsDropWhere(set, st, "nat", "the port that is translated to is picked at run time", func(c class) tri.Value {
		if !a.ends[c.cur].portKnown {
			return tri.Maybe
		}
		return tri.No
	})
	if a.q.Family == netfilter.IPv6 || a.q.RPFilter == 0 {
		return set
	}
	return a.dropWhere(set, st, "routes", "rp_filter: the route back to the source leaves by another link", func(c class) tri.Value {
		if a.q.RPFilter == 1 {
			return c.reverse.Not()
		}
		return c.reverseLoose.Not()
	})
}

// lowHop: a reply may leave with a TTL too low to arrive.
func lowHop(c class) tri.Value {
	if c.hop >= 0 && c.hop < 48 {
		return tri.Maybe
	}
	return tri.No
}
