package iptables

import (
	"net/netip"
	"strconv"
	"strings"
)

// number reads what C's strtoul with base 0 reads, as a whole: decimal, octal
// with a leading 0, hexadecimal with 0x. A negative one is refused.
func number(s string, lo, hi uint64) (uint64, bool) {
	v, rest, ok := numberPrefix(s)
	return v, ok && rest == "" && v >= lo && v <= hi
}

// numberPrefix reads a number from the beginning and returns what follows.
func numberPrefix(s string) (v uint64, rest string, ok bool) {
	t := strings.TrimLeft(s, " \t\n\v\f\r")
	t = strings.TrimPrefix(t, "+")
	base := 10
	if len(t) > 1 && t[0] == '0' {
		base = 8
		if t[1] == 'x' || t[1] == 'X' {
			base = 16
		}
	}
	i := 0
	if base == 16 {
		if len(t) < 3 || digit(t[2]) >= 16 {
			return 0, t[1:], true // "0x" alone is a zero with an x behind it
		}
		i = 2
	}
	start := i
	for i < len(t) && digit(t[i]) < base {
		i++
	}
	if i == start {
		return 0, s, false
	}
	v, err := strconv.ParseUint(t[start:i], base, 64)
	return v, t[i:], err == nil
}

func digit(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return 99
}

// numberRange reads "a", "a:b", ":b" and "a:" up to a maximum.
func numberRange(s string, hi uint64) (a, b uint64, ok bool) {
	l, r, isRange := strings.Cut(s, ":")
	b = hi
	if l != "" {
		if a, ok = number(l, 0, hi); !ok {
			return 0, 0, false
		}
	}
	if !isRange {
		return a, a, true
	}
	if r != "" {
		if b, ok = number(r, 0, hi); !ok {
			return 0, 0, false
		}
	}
	return a, b, true
}

// valueMask reads "value[/mask]".
func valueMask(s string) (v, mask uint32, ok bool) {
	n, rest, ok := numberPrefix(s)
	if !ok || n > 1<<32-1 {
		return 0, 0, false
	}
	if rest == "" {
		return uint32(n), 1<<32 - 1, true
	}
	if rest[0] != '/' {
		return 0, 0, false
	}
	m, ok := number(rest[1:], 0, 1<<32-1)
	return uint32(n), uint32(m), ok
}

// v4Words reads an IPv4 address as the tool does: each part may be octal or
// hexadecimal, and missing parts at the end are zero.
func v4Words(s string, whole bool) (word128, bool) {
	parts := strings.SplitN(s, ".", 4)
	if whole && len(parts) != 4 {
		return word128{}, false
	}
	var v uint64
	for i := range 4 {
		v <<= 8
		if i >= len(parts) {
			continue
		}
		n, ok := number(parts[i], 0, 255)
		if !ok {
			return word128{}, false
		}
		v |= n
	}
	return word128{0, v}, true
}

// numericAddr reads an address of the family without asking any resolver.
func numericAddr(s string, f Family) (word128, bool) {
	if f == IPv4 {
		return v4Words(s, false)
	}
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" || !strings.Contains(s, ":") {
		return word128{}, false
	}
	return wordOf(netip.AddrFrom16(a.As16())), true
}

// plainAddr reads an address as inet_pton does.
func plainAddr(s string, f Family) (word128, bool) {
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" || strings.Contains(s, ":") != (f == IPv6) {
		return word128{}, false
	}
	return wordOf(a), true
}

// netMask reads a prefix length or a mask in address form.
func netMask(s string, f Family) (word128, bool) {
	if f == IPv4 {
		if m, ok := v4Words(s, true); ok {
			return m, true
		}
	} else if m, ok := numericAddr(s, f); ok {
		return m, true
	}
	n, ok := number(s, 0, uint64(f.bits()))
	if !ok {
		return word128{}, false
	}
	m := maskWord(int(n), f.bits())
	if f == IPv4 {
		m = m.and(f.lastAddr())
	}
	return m, true
}

// host is an address with a mask, or a name that only a resolver knows.
type host struct {
	addr, mask word128
	name       string
}

// parseHost reads "address[/mask]". A mask of zero makes the name not matter.
func parseHost(s string, f Family) (h host, why string) {
	name, mask := s, ""
	if i := strings.LastIndexByte(s, '/'); i >= 0 {
		name, mask = s[:i], s[i+1:]
		var ok bool
		if h.mask, ok = netMask(mask, f); !ok {
			return h, "invalid mask `" + mask + "' specified"
		}
	} else {
		h.mask = f.lastAddr()
	}
	if h.mask == (word128{}) {
		return h, ""
	}
	var ok bool
	if h.addr, ok = numericAddr(name, f); ok {
		h.addr = h.addr.and(h.mask)
		return h, ""
	}
	h.name = name
	if notAHostName(name) {
		return h, "host/network `" + name + "' not found"
	}
	return h, ""
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
func (h host) contiguous(f Family) bool {
	free := h.mask.not().and(f.lastAddr())
	return free.and(free.next()) == (word128{})
}

// span is what a host without name and without holes in its mask stands for.
func (h host) span(f Family) span { return span{h.addr, h.addr.or(h.mask.not().and(f.lastAddr()))} }
