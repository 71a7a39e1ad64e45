package rules

import (
	"errors"
	"net/netip"
	"strings"

	"lifeline/probes/iptables/lex"
	"lifeline/probes/iptables/netfilter"
	"lifeline/probes/iptables/netset"
)

// numberRange reads "a", "a:b", ":b" and "a:" up to a maximum.
func numberRange(s string, hi uint64) (a, b uint64, ok bool) {
	l, r, isRange := strings.Cut(s, ":")
	b = hi
	if l != "" {
		if a, ok = lex.Number(l, 0, hi); !ok {
			return 0, 0, false
		}
	}
	if !isRange {
		return a, a, true
	}
	if r != "" {
		if b, ok = lex.Number(r, 0, hi); !ok {
			return 0, 0, false
		}
	}
	return a, b, true
}

// valueMask reads "value[/mask]".
func valueMask(s string) (v, mask uint32, ok bool) {
	n, rest, ok := lex.NumberPrefix(s)
	if !ok || n > 1<<32-1 {
		return 0, 0, false
	}
	if rest == "" {
		return uint32(n), 1<<32 - 1, true
	}
	if rest[0] != '/' {
		return 0, 0, false
	}
	m, ok := lex.Number(rest[1:], 0, 1<<32-1)
	return uint32(n), uint32(m), ok
}

// v4Words reads an IPv4 address as the tool does: each part may be octal or
// hexadecimal, and missing parts at the end are zero.
func v4Words(s string, whole bool) (netset.Addr, bool) {
	parts := strings.SplitN(s, ".", 4)
	if whole && len(parts) != 4 {
		return netset.Addr{}, false
	}
	var v uint64
	for i := range 4 {
		v <<= 8
		if i >= len(parts) {
			continue
		}
		n, ok := lex.Number(parts[i], 0, 255)
		if !ok {
			return netset.Addr{}, false
		}
		v |= n
	}
	return netset.Addr{Hi: 0, Lo: v}, true
}

// numericAddr reads an address of the family without asking any resolver.
func numericAddr(s string, f netfilter.Family) (netset.Addr, bool) {
	if f == netfilter.IPv4 {
		return v4Words(s, false)
	}
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" || !strings.Contains(s, ":") {
		return netset.Addr{}, false
	}
	return netset.AddrOf(netip.AddrFrom16(a.As16())), true
}

// plainAddr reads an address as inet_pton does.
func plainAddr(s string, f netfilter.Family) (netset.Addr, bool) {
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" || strings.Contains(s, ":") != (f == netfilter.IPv6) {
		return netset.Addr{}, false
	}
	return netset.AddrOf(a), true
}

// netMask reads a prefix length or a mask in address form.
func netMask(s string, f netfilter.Family) (netset.Addr, bool) {
	if f == netfilter.IPv4 {
		if m, ok := v4Words(s, true); ok {
			return m, true
		}
	} else if m, ok := numericAddr(s, f); ok {
		return m, true
	}
	n, ok := lex.Number(s, 0, uint64(f.Bits()))
	if !ok {
		return netset.Addr{}, false
	}
	m := netset.Mask(int(n), f.Bits())
	if f == netfilter.IPv4 {
		m = m.And(netset.Last(f))
	}
	return m, true
}

// host is an address with a mask, or a name that only a resolver knows.
type host struct {
	addr, mask netset.Addr
	name       string
}

// parseHost reads "address[/mask]". A mask of zero makes the name not matter.
func parseHost(s string, f netfilter.Family) (h host, err error) {
	name, mask := s, ""
	if i := strings.LastIndexByte(s, '/'); i >= 0 {
		name, mask = s[:i], s[i+1:]
		var ok bool
		if h.mask, ok = netMask(mask, f); !ok {
			return h, errors.New("invalid mask `" + mask + "' specified")
		}
	} else {
		h.mask = netset.Last(f)
	}
	if h.mask == (netset.Addr{}) {
		return h, nil
	}
	var ok bool
	if h.addr, ok = numericAddr(name, f); ok {
		h.addr = h.addr.And(h.mask)
		return h, nil
	}
	h.name = name
	if notAHostName(name) {
		return h, errors.New("host/network `" + name + "' not found")
	}
	return h, nil
}

// notAHostName tells names that no resolver would answer.
func notAHostName(s string) bool {
	if s == "" || strings.ContainsAny(s, ":!/ \t\"'\\,") || s[0] == '-' {
		return true
	}
	last := s[strings.LastIndexByte(strings.TrimSuffix(s, "."), '.')+1:]
	return strings.Trim(last, "0123456789.") == "" || strings.HasSuffix(s, ".invalid")
}

// contiguous reports whether the mask is a prefix: it has no holes.
func (h host) contiguous(f netfilter.Family) bool {
	free := h.mask.Not().And(netset.Last(f))
	return free.And(free.Next()) == (netset.Addr{})
}

// span is what a host without name and without holes in its mask stands for.
func (h host) span(f netfilter.Family) netset.Span {
	return netset.Span{Lo: h.addr, Hi: h.addr.Or(h.mask.Not().And(netset.Last(f)))}
}
