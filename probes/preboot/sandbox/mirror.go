package sandbox

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"lifeline/probes/iptables"
	"lifeline/probes/preboot/hostinfo"
)

// maxLinks bounds the mirrored links: a host with a thousand containers
// has as many, and a rule that names one does not need it to exist.
const maxLinks = 48

// maxAddresses bounds the mirrored addresses: the kernel goes through those
// of a link for each that is added.
const maxAddresses = 4096

// Mirror mirrors a host as far as the questions go. Notes name what is left
// out.
func Mirror(h iptables.Host, qs []iptables.Question) (sc Network, notes []string) {
	sc.RPFilter = h.RPFilter
	needed := map[string]bool{}
	for _, q := range qs {
		needed[q.Iface] = true
	}
	for _, r := range h.Routes {
		needed[r.Link] = true
	}
	links := slices.Clone(h.Links)
	for _, name := range slices.Sorted(maps.Keys(needed)) {
		if !slices.ContainsFunc(links, func(l iptables.Link) bool { return l.Name == name }) {
			links = append(links, iptables.Link{Name: name})
		}
	}
	slices.SortStableFunc(links, func(a, b iptables.Link) int { return rank(needed[b.Name]) - rank(needed[a.Name]) })
	for i, l := range links {
		if i >= maxLinks && !needed[l.Name] {
			notes = append(notes, fmt.Sprintf("rehearsal: %d links without routes left out", len(links)-i))
			break
		}
		sc.Links = append(sc.Links, Link{l.Name, l.Addresses, linkGateways(l)})
	}
	if n := boundAddresses(sc.Links, qs); n > 0 {
		notes = append(notes, fmt.Sprintf("rehearsal: %d addresses left out that no question is about, of more than %d", n, maxAddresses))
	}
	routes := h.Routes
	if routes == nil {
		for _, q := range qs {
			routes = append(routes, iptables.Route{Dst: "default", Link: q.Iface})
		}
	}
	for _, r := range routes {
		for _, f := range []iptables.Family{iptables.IPv4, iptables.IPv6} {
			if p, ok := r.Prefix(f); ok && concernsFamily(qs, f) {
				sc.Routes = append(sc.Routes, Route{Dst: p, Link: r.Link, Via: gatewayOf(h, sc.Links, r.Link, p)})
			}
		}
	}
	return sc, notes
}

// boundAddresses leaves out addresses beyond the most that a network has, but none that a
// question is about, and tells how many.
func boundAddresses(links []Link, qs []iptables.Question) (left int) {
	asked := map[netip.Addr]bool{}
	for _, q := range qs {
		for _, a := range q.Dst {
			asked[a] = true
		}
	}
	room := maxAddresses
	for i, l := range links {
		if len(l.Addresses) <= room {
			room -= len(l.Addresses)
			continue
		}
		var keep []netip.Prefix
		for _, p := range l.Addresses {
			switch {
			case room > 0 || asked[p.Addr()]:
				keep, room = append(keep, p), room-1
			default:
				left++
			}
		}
		links[i].Addresses = keep
	}
	return left
}

func rank(needed bool) int {
	if needed {
		return 1
	}
	return 0
}

func concernsFamily(qs []iptables.Question, f iptables.Family) bool {
	return slices.ContainsFunc(qs, func(q iptables.Question) bool { return q.Family == f })
}

// gatewayOf is the gateway of a route; invalid where the destination is attached to
// the link.
func gatewayOf(h iptables.Host, links []Link, link string, dst netip.Prefix) netip.Addr {
	if link == "lo" || hostinfo.Connected(h, link, dst) {
		return netip.Addr{}
	}
	for _, l := range links {
		for _, g := range l.Gateways {
			if l.Name == link && g.Is4() == dst.Addr().Is4() {
				return g
			}
		}
	}
	return netip.Addr{}
}

// linkGateways are the neighbours that stand for everybody behind a link: in IPv4
// a free address of its network, in IPv6 a link-local one.
func linkGateways(l iptables.Link) []netip.Addr {
	v4, v6 := netip.MustParseAddr("169.254.254.2"), netip.MustParseAddr("fe80::1")
	if slices.ContainsFunc(l.Addresses, func(p netip.Prefix) bool { return p.Addr() == v6 }) {
		v6 = v6.Next()
	}
	for _, p := range l.Addresses {
		if p.Addr().Is4() && p.Bits() < 32 {
			v4 = freeIn(p)
			break
		}
	}
	return []netip.Addr{v4, v6}
}

// freeIn is an address of the network of p other than p's own, the network's
// and, where there is a choice, the broadcast address.
func freeIn(p netip.Prefix) netip.Addr {
	a := p.Masked().Addr()
	if p.Bits() < 31 {
		a = a.Next()
	}
	if a == p.Addr() {
		a = a.Next()
	}
	return a
}
