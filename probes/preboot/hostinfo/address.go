package hostinfo

import (
	"net/netip"

	"lifeline/probes/iptables"
)

// IsLocal reports whether an address is one of the host's own.
func IsLocal(h iptables.Host, a netip.Addr) bool {
	for _, l := range h.Links {
		for _, p := range l.Addresses {
			if p.Addr() == a {
				return true
			}
		}
	}
	return false
}

// UsableSource reports whether a packet with this source address can reach
// the machine at all: the kernel drops martians before any rule sees them.
func UsableSource(h iptables.Host, a netip.Addr) bool {
	if !UsableAnywhere(a) || IsLocal(h, a) {
		return false
	}
	for _, l := range h.Links {
		for _, p := range l.Addresses {
			// Network and broadcast address of an attached network.
			if a.Is4() && p.Addr().Is4() && p.Bits() < 31 && (a == p.Masked().Addr() || a == rawLast(p)) {
				return false
			}
		}
	}
	return true
}

func rawLast(p netip.Prefix) netip.Addr {
	b := p.Masked().Addr().As4()
	for i := p.Bits(); i < 32; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	return netip.AddrFrom4(b)
}

// UsableAnywhere leaves out what is no address of a host (RFC 6890): this
// network, loopback, multicast, reserved, and link-local IPv6, which needs a
// zone.
func UsableAnywhere(a netip.Addr) bool {
	if !a.IsValid() || a.IsUnspecified() || a.IsLoopback() || a.IsMulticast() || a.Is4In6() {
		return false
	}
	if a.Is4() {
		return a.As4()[0] != 0 && a.As4()[0] < 240
	}
	return !a.IsLinkLocalUnicast()
}
