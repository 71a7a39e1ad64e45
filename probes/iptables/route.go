package iptables

import (
	"net/netip"
	"slices"
)

// routed is a range of peers and the link by which replies to them leave.
type routed struct {
	span
	link uint8 // 0: no route
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
	table := a.routeTable()
	slices.SortStableFunc(table, func(x, y route) int { return y.net.Bits() - x.net.Bits() })
	rest := src
	var out []routed
	for _, r := range table {
		here := newAddrSet([]span{spanOfPrefix(r.net)})
		for _, s := range rest.intersect(here).spans {
			out = append(out, routed{s, a.link(r.link), r.link})
		}
		rest = rest.intersect(here.complement(a.q.Family))
		if len(rest.spans) == 0 {
			break
		}
	}
	for _, s := range rest.spans {
		out = append(out, routed{span: s})
	}
	slices.SortFunc(out, func(x, y routed) int { return x.lo.compare(y.lo) })
	return out
}
