package netset

import (
	"cmp"
	"encoding/binary"
	"math/bits"
	"net/netip"
	"slices"

	"lifeline/probes/iptables/netfilter"
)

// Addr is an address as a number; IPv4 addresses use the low 32 bits.
type Addr struct{ Hi, Lo uint64 }

// AddrOf is an address as a number.
func AddrOf(a netip.Addr) Addr {
	if a.Is4() {
		b := a.As4()
		return Addr{0, uint64(binary.BigEndian.Uint32(b[:]))}
	}
	b := a.As16()
	return Addr{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])}
}

// IP is the inverse of AddrOf for one family.
func (w Addr) IP(f netfilter.Family) netip.Addr {
	if f == netfilter.IPv4 {
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], uint32(w.Lo))
		return netip.AddrFrom4(b)
	}
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], w.Hi)
	binary.BigEndian.PutUint64(b[8:], w.Lo)
	return netip.AddrFrom16(b)
}

// Less reports whether w comes before v.
func (w Addr) Less(v Addr) bool { return w.Hi < v.Hi || w.Hi == v.Hi && w.Lo < v.Lo }

// Compare orders two addresses, as cmp.Compare.
func (w Addr) Compare(v Addr) int {
	if c := cmp.Compare(w.Hi, v.Hi); c != 0 {
		return c
	}
	return cmp.Compare(w.Lo, v.Lo)
}

// Next is the address after w; 0 after the last of 128 bits.
func (w Addr) Next() Addr {
	lo, carry := bits.Add64(w.Lo, 1, 0)
	return Addr{w.Hi + carry, lo}
}

// Prev is the address before w.
func (w Addr) Prev() Addr {
	lo, borrow := bits.Sub64(w.Lo, 1, 0)
	return Addr{w.Hi - borrow, lo}
}

// And, Or, Xor and Not work bit by bit.
func (w Addr) And(v Addr) Addr { return Addr{w.Hi & v.Hi, w.Lo & v.Lo} }
func (w Addr) Or(v Addr) Addr  { return Addr{w.Hi | v.Hi, w.Lo | v.Lo} }
func (w Addr) Xor(v Addr) Addr { return Addr{w.Hi ^ v.Hi, w.Lo ^ v.Lo} }
func (w Addr) Not() Addr       { return Addr{^w.Hi, ^w.Lo} }

// Min is the lower of two addresses.
func Min(a, b Addr) Addr {
	if b.Less(a) {
		return b
	}
	return a
}

// Max is the higher of two addresses.
func Max(a, b Addr) Addr {
	if a.Less(b) {
		return b
	}
	return a
}

// Last is the highest address of the family.
func Last(f netfilter.Family) Addr {
	if f == netfilter.IPv4 {
		return Addr{0, 1<<32 - 1}
	}
	return Addr{^uint64(0), ^uint64(0)}
}

// Span is a closed range of addresses.
type Span struct{ Lo, Hi Addr }

// Contains reports whether the range has the address.
func (s Span) Contains(w Addr) bool { return !w.Less(s.Lo) && !s.Hi.Less(w) }

// Mask is the netmask of a prefix length in a family of width bits.
func Mask(n, width int) Addr {
	n += 128 - width
	switch {
	case n <= 0:
		return Addr{}
	case n <= 64:
		return Addr{^uint64(0) << (64 - n), 0}
	default:
		return Addr{^uint64(0), ^uint64(0) << (128 - n)}
	}
}

// AddrSet is a set of addresses: sorted spans that neither overlap nor touch.
// A nil *AddrSet stands for every address.
type AddrSet struct{ Spans []Span }

// NewAddrSet makes a set of spans in any order; reversed ones are empty.
func NewAddrSet(spans []Span) *AddrSet {
	spans = slices.DeleteFunc(spans, func(s Span) bool { return s.Hi.Less(s.Lo) })
	if !slices.IsSortedFunc(spans, compareSpan) {
		slices.SortFunc(spans, compareSpan)
	}
	out := spans[:0]
	for _, s := range spans {
		if n := len(out); n > 0 && (!out[n-1].Hi.Less(s.Lo) || out[n-1].Hi.Next() == s.Lo) {
			out[n-1].Hi = Max(out[n-1].Hi, s.Hi)
			continue
		}
		out = append(out, s)
	}
	return &AddrSet{out}
}

func compareSpan(a, b Span) int { return a.Lo.Compare(b.Lo) }

// Complement is what the family has outside the set.
func (s *AddrSet) Complement(f netfilter.Family) *AddrSet {
	if s == nil {
		return &AddrSet{}
	}
	out := make([]Span, 0, len(s.Spans)+1)
	var lo Addr
	for _, x := range s.Spans {
		if lo.Less(x.Lo) {
			out = append(out, Span{lo, x.Lo.Prev()})
		}
		if x.Hi == Last(f) {
			return &AddrSet{out}
		}
		lo = x.Hi.Next()
	}
	return &AddrSet{append(out, Span{lo, Last(f)})}
}

// Intersect is what both sets hold.
func (s *AddrSet) Intersect(t *AddrSet) *AddrSet {
	if s == nil {
		return t
	}
	if t == nil {
		return s
	}
	var out []Span
	for i, j := 0, 0; i < len(s.Spans) && j < len(t.Spans); {
		a, b := s.Spans[i], t.Spans[j]
		if lo, hi := Max(a.Lo, b.Lo), Min(a.Hi, b.Hi); !hi.Less(lo) {
			out = append(out, Span{lo, hi})
		}
		if a.Hi.Less(b.Hi) {
			i++
		} else {
			j++
		}
	}
	return &AddrSet{out}
}

// Contains reports whether the address is in the set.
func (s *AddrSet) Contains(w Addr) bool {
	if s == nil {
		return true
	}
	i := s.From(w)
	return i < len(s.Spans) && !w.Less(s.Spans[i].Lo)
}

// From is the index of the first span that ends at w or later.
func (s *AddrSet) From(w Addr) int {
	lo, hi := 0, len(s.Spans)
	for lo < hi {
		m := int(uint(lo+hi) >> 1)
		if s.Spans[m].Hi.Less(w) {
			lo = m + 1
		} else {
			hi = m
		}
	}
	return lo
}
