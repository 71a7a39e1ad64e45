package netset

import (
	"net/netip"

	"lifeline/probes/iptables/netfilter"
)

// All is the prefix of length 0.
func All(f netfilter.Family) netip.Prefix {
	if f == netfilter.IPv4 {
		return netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	}
	return netip.PrefixFrom(netip.IPv6Unspecified(), 0)
}

// ParsePrefix reads a prefix or a single address, and clears the host bits.
func ParsePrefix(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return netip.Prefix{}, err
	}
	return p.Masked(), nil
}

// SpanOf is the range of addresses of a prefix.
func SpanOf(p netip.Prefix) Span {
	m := Mask(p.Bits(), p.Addr().BitLen())
	lo := AddrOf(p.Addr()).And(m)
	hi := lo.Or(m.Not())
	if p.Addr().Is4() {
		hi = hi.And(Last(netfilter.IPv4))
	}
	return Span{lo, hi}
}
