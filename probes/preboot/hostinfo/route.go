package hostinfo

import (
	"net/netip"

	"lifeline/probes/iptables"
)

// Way is where a machine sends packets for an address.
type Way struct {
	Link string
	// Neighbour says that the address is attached to the link itself.
	Neighbour bool
}

// WayTo looks an address up in the connected networks and routes of a host:
// the longest prefix wins, a connected one over an equal route. Without
// listed routes everything else leaves by the default link. ok is false where
// there is no route.
func WayTo(h iptables.Host, a netip.Addr, defaultLink string) (w Way, ok bool) {
	return wayToNet(h, netip.PrefixFrom(a, a.BitLen()), defaultLink)
}

// wayToNet looks up what holds for a whole network, as if nothing inside it
// were routed otherwise.
func wayToNet(h iptables.Host, n netip.Prefix, defaultLink string) (w Way, ok bool) {
	best := -1
	holds := func(p netip.Prefix) bool { return p.Bits() > best && p.Bits() <= n.Bits() && p.Contains(n.Addr()) }
	for _, l := range h.Links {
		for _, p := range l.Addresses {
			if p = p.Masked(); p.Bits() < p.Addr().BitLen() && holds(p) {
				best, w = p.Bits(), Way{l.Name, true}
			}
		}
	}
	for _, r := range h.Routes {
		if p, fits := r.Prefix(familyOf(n.Addr())); fits && holds(p) {
			best, w = p.Bits(), Way{r.Link, Connected(h, r.Link, p)}
		}
	}
	if best < 0 && h.Routes == nil && defaultLink != "" {
		return Way{Link: defaultLink}, true
	}
	return w, best >= 0
}

// Connected reports whether a route's destination is part of a network that
// its link is attached to.
func Connected(h iptables.Host, link string, dst netip.Prefix) bool {
	for _, l := range h.Links {
		for _, p := range l.Addresses {
			if l.Name == link && p.Bits() <= dst.Bits() && p.Masked().Contains(dst.Addr()) {
				return true
			}
		}
	}
	return false
}

// Part is a part of a network of sources that is answered by one link.
type Part struct {
	Net  netip.Prefix
	Link string // empty where there is no route
}

// SplitByLink cuts a network into the parts that different links lead to.
func SplitByLink(h iptables.Host, p netip.Prefix) []Part {
	w, _ := wayToNet(h, p, "")
	if p.Bits() == p.Addr().BitLen() || !dividedIn(h, p, w.Link) {
		return []Part{{p, w.Link}}
	}
	low, high := Halves(p)
	out := SplitByLink(h, low)
	for _, q := range SplitByLink(h, high) {
		if last := &out[len(out)-1]; last.Link == q.Link && last.Net == low && q.Net == high {
			*last = Part{p, q.Link}
			continue
		}
		out = append(out, q)
	}
	return out
}

// dividedIn reports whether a network inside p leaves by another link.
func dividedIn(h iptables.Host, p netip.Prefix, link string) bool {
	inside := func(q netip.Prefix, by string) bool {
		return by != link && q.Bits() > p.Bits() && p.Contains(q.Addr())
	}
	for _, l := range h.Links {
		for _, a := range l.Addresses {
			// An address that stands alone is the machine's own, no network.
			if a.Bits() < a.Addr().BitLen() && inside(a.Masked(), l.Name) {
				return true
			}
		}
	}
	for _, r := range h.Routes {
		if q, fits := r.Prefix(familyOf(p.Addr())); fits && inside(q, r.Link) {
			return true
		}
	}
	return false
}

// Halves cuts a network in two.
func Halves(p netip.Prefix) (low, high netip.Prefix) {
	b := p.Addr().AsSlice()
	b[p.Bits()/8] |= 0x80 >> (p.Bits() % 8)
	a, _ := netip.AddrFromSlice(b)
	return netip.PrefixFrom(p.Addr(), p.Bits()+1), netip.PrefixFrom(a, p.Bits()+1)
}

func familyOf(a netip.Addr) iptables.Family {
	if a.Is4() {
		return iptables.IPv4
	}
	return iptables.IPv6
}

// InFamily reports whether an address is of a family.
func InFamily(a netip.Addr, f iptables.Family) bool { return familyOf(a) == f }
