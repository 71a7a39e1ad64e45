package iptables

import (
	"cmp"
	"encoding/binary"
	"math/bits"
	"net/netip"
	"slices"
)

// word128 is an address as a number; IPv4 addresses use the low 32 bits.
type word128 struct{ hi, lo uint64 }

func wordOf(a netip.Addr) word128 {
	if a.Is4() {
		b := a.As4()
		return word128{0, uint64(binary.BigEndian.Uint32(b[:]))}
	}
	b := a.As16()
	return word128{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])}
}

// addr is the inverse of wordOf for one family.
func (w word128) addr(f Family) netip.Addr {
	if f == IPv4 {
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], uint32(w.lo))
		return netip.AddrFrom4(b)
	}
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], w.hi)
	binary.BigEndian.PutUint64(b[8:], w.lo)
	return netip.AddrFrom16(b)
}

func (w word128) less(v word128) bool { return w.hi < v.hi || w.hi == v.hi && w.lo < v.lo }

func (w word128) compare(v word128) int {
	if c := cmp.Compare(w.hi, v.hi); c != 0 {
		return c
	}
	return cmp.Compare(w.lo, v.lo)
}

func (w word128) next() word128 {
	lo, carry := bits.Add64(w.lo, 1, 0)
	return word128{w.hi + carry, lo}
}

func (w word128) prev() word128 {
	lo, borrow := bits.Sub64(w.lo, 1, 0)
	return word128{w.hi - borrow, lo}
}

func (w word128) and(v word128) word128 { return word128{w.hi & v.hi, w.lo & v.lo} }
func (w word128) or(v word128) word128  { return word128{w.hi | v.hi, w.lo | v.lo} }
func (w word128) xor(v word128) word128 { return word128{w.hi ^ v.hi, w.lo ^ v.lo} }
func (w word128) not() word128          { return word128{^w.hi, ^w.lo} }

func minWord(a, b word128) word128 {
	if b.less(a) {
		return b
	}
	return a
}

func maxWord(a, b word128) word128 {
	if a.less(b) {
		return b
	}
	return a
}

// lastAddr is the highest address of the family.
func (f Family) lastAddr() word128 {
	if f == IPv4 {
		return word128{0, 1<<32 - 1}
	}
	return word128{^uint64(0), ^uint64(0)}
}

// span is a closed range of addresses.
type span struct{ lo, hi word128 }

func (s span) contains(w word128) bool { return !w.less(s.lo) && !s.hi.less(w) }

func spanOfPrefix(p netip.Prefix) span {
	m := maskWord(p.Bits(), p.Addr().BitLen())
	lo := wordOf(p.Addr()).and(m)
	hi := lo.or(m.not())
	if p.Addr().Is4() {
		hi = hi.and(IPv4.lastAddr())
	}
	return span{lo, hi}
}

// maskWord is the netmask of a prefix length in a family of width bits.
func maskWord(n, width int) word128 {
	n += 128 - width
	switch {
	case n <= 0:
		return word128{}
	case n <= 64:
		return word128{^uint64(0) << (64 - n), 0}
	default:
		return word128{^uint64(0), ^uint64(0) << (128 - n)}
	}
}

// addrSet is a set of addresses: sorted spans that neither overlap nor touch.
// A nil *addrSet stands for every address.
type addrSet struct{ spans []span }

// newAddrSet makes a set of spans in any order; reversed ones are empty.
func newAddrSet(spans []span) *addrSet {
	spans = slices.DeleteFunc(spans, func(s span) bool { return s.hi.less(s.lo) })
	if !slices.IsSortedFunc(spans, compareSpan) {
		slices.SortFunc(spans, compareSpan)
	}
	out := spans[:0]
	for _, s := range spans {
		if n := len(out); n > 0 && (!out[n-1].hi.less(s.lo) || out[n-1].hi.next() == s.lo) {
			out[n-1].hi = maxWord(out[n-1].hi, s.hi)
			continue
		}
		out = append(out, s)
	}
	return &addrSet{out}
}

func compareSpan(a, b span) int { return a.lo.compare(b.lo) }

// complement is what the family has outside the set.
func (s *addrSet) complement(f Family) *addrSet {
	if s == nil {
		return &addrSet{}
	}
	out := make([]span, 0, len(s.spans)+1)
	var lo word128
	for _, x := range s.spans {
		if lo.less(x.lo) {
			out = append(out, span{lo, x.lo.prev()})
		}
		if x.hi == f.lastAddr() {
			return &addrSet{out}
		}
		lo = x.hi.next()
	}
	return &addrSet{append(out, span{lo, f.lastAddr()})}
}

// intersect is what both sets hold.
func (s *addrSet) intersect(t *addrSet) *addrSet {
	if s == nil {
		return t
	}
	if t == nil {
		return s
	}
	var out []span
	for i, j := 0, 0; i < len(s.spans) && j < len(t.spans); {
		a, b := s.spans[i], t.spans[j]
		if lo, hi := maxWord(a.lo, b.lo), minWord(a.hi, b.hi); !hi.less(lo) {
			out = append(out, span{lo, hi})
		}
		if a.hi.less(b.hi) {
			i++
		} else {
			j++
		}
	}
	return &addrSet{out}
}

// contains reports whether the address is in the set.
func (s *addrSet) contains(w word128) bool {
	if s == nil {
		return true
	}
	i := s.from(w)
	return i < len(s.spans) && !w.less(s.spans[i].lo)
}

// from is the index of the first span that ends at w or later.
func (s *addrSet) from(w word128) int {
	lo, hi := 0, len(s.spans)
	for lo < hi {
		m := int(uint(lo+hi) >> 1)
		if s.spans[m].hi.less(w) {
			lo = m + 1
		} else {
			hi = m
		}
	}
	return lo
}
