package preboot

import (
	"net/netip"

	"lifeline/probes/iptables"
)

// way is where a machine sends packets for an address.
type way struct {
	link string
	// neighbour says that the address is attached to the link itself.
	neighbour bool
}

// wayTo looks an address up in the connected networks and routes of a host:
// the longest prefix wins, a connected one over an equal route. Without
// listed routes everything else leaves by the default link. ok is false where
// there is no route.
func wayTo(h iptables.Host, a netip.Addr, defaultLink string) (w way, ok bool) {
	return wayToNet(h, netip.PrefixFrom(a, a.BitLen()), defaultLink)
}

// wayToNet looks up what holds for a whole network, as if nothing inside it
// were routed otherwise.
func wayToNet(h iptables.Host, n netip.Prefix, defaultLink string) (w way, ok bool) {
	best := -1
	holds := func(p netip.Prefix) bool { return p.Bits() > best && p.Bits() <= n.Bits() && p.Contains(n.Addr()) }
	for _, l := range h.Links {
		for _, p := range l.Addresses {
			if p = p.Masked(); p.Bits() < p.Addr().BitLen() && holds(p) {
				best, w = p.Bits(), way{l.Name, true}
			}
		}
	}
	for _, r := range h.Routes {
		if p, fits := r.Prefix(familyOf(n.Addr())); fits && holds(p) {
			best, w = p.Bits(), way{r.Link, connected(h, r.Link, p)}
		}
	}
	if best < 0 && h.Routes == nil && defaultLink != "" {
		return way{link: defaultLink}, true
	}
	return w, best >= 0
}

// connected reports whether a route's destination is part of a network that
// its link is attached to.
func connected(h iptables.Host, link string, dst netip.Prefix) bool {
	for _, l := range h.Links {
		for _, p := range l.Addresses {
			if l.Name == link && p.Bits() <= dst.Bits() && p.Masked().Contains(dst.Addr()) {
				return true
			}
		}
	}
	return false
}

// part is a part of a network of sources that is answered by one link.
type part struct {
	net  netip.Prefix
	link string // empty where there is no route
}

// split cuts a network into the parts that different links lead to.
func split(h iptables.Host, p netip.Prefix) []part {
	w, _ := wayToNet(h, p, "")
	if p.Bits() == p.Addr().BitLen() || !dividedIn(h, p, w.link) {
		return []part{{p, w.link}}
	}
	low, high := halves(p)
	out := split(h, low)
	for _, q := range split(h, high) {
		if last := &out[len(out)-1]; last.link == q.link && last.net == low && q.net == high {
			*last = part{p, q.link}
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

// halves cuts a network in two.
func halves(p netip.Prefix) (low, high netip.Prefix) {
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

func inFamily(a netip.Addr, f iptables.Family) bool { return familyOf(a) == f }
