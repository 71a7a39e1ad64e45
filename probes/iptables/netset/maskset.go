package netset

import (
	"math/bits"

	"lifeline/probes/iptables/netfilter"
)

// MaskSet are the addresses that agree with an address under a mask with
// holes. They may be too many spans to list, so they are listed among the
// question's sources only, as far as that goes.
type MaskSet struct {
	Addr, Mask Addr // addr has no bits outside mask
	Inv        bool
}

// Contains reports whether the address is in the set.
func (m MaskSet) Contains(w Addr) bool { return (w.And(m.Mask) == m.Addr) != m.Inv }

// maskLimit bounds the spans that one mask is listed as, over all sources.
const maskLimit = 4096

// Listed is what is known of a MaskSet: which addresses of Looked belong to it.
type Listed struct{ Looked, In *AddrSet }

// List enumerates the set within the given addresses.
func (m MaskSet) List(among *AddrSet, f netfilter.Family) Listed {
	limit := max(1, maskLimit/max(1, len(among.Spans)))
	mask := m.Mask.Or(Last(f).Not())
	var looked, agree []Span
	for _, s := range among.Spans {
		x := s.Lo
		for range limit {
			hit, ok := nextRun(x, m.Addr, mask)
			if !ok || s.Hi.Less(hit.Lo) {
				x = Addr{} // nothing is left
				break
			}
			hit.Hi = Min(hit.Hi, s.Hi)
			agree = append(agree, hit)
			if x = hit.Hi.Next(); hit.Hi == s.Hi {
				x = Addr{}
				break
			}
		}
		if x != (Addr{}) {
			s.Hi = x.Prev()
		}
		looked = append(looked, s)
	}
	l := Listed{NewAddrSet(looked), NewAddrSet(agree)}
	if m.Inv {
		l.In = l.Looked.Intersect(l.In.Complement(f))
	}
	return l
}

// nextRun finds the lowest run of addresses from x on that agree with a under
// the mask; ok is false where there is none.
func nextRun(x, a, mask Addr) (s Span, ok bool) {
	free := mask.Not()
	if diff := x.And(mask).Xor(a); diff != (Addr{}) {
		below := onesBelow(topBit(diff)) // the highest wrong bit and all under it
		if a.And(below).Less(x.And(mask).And(below)) {
			// It must become 0, so a free bit above it must become 1.
			y := x.Or(mask).Or(below).Next()
			if y == (Addr{}) {
				return Span{}, false
			}
			x = y
		}
		x = x.And(free).And(below.Not()).Or(a)
	}
	low := onesBelow(trailingOnes(free) - 1)
	return Span{x, x.Or(low)}, true
}

// onesBelow has bit n and all below it set; n is -1 for none.
func onesBelow(n int) Addr { return Mask(127-n, 128).Not() }

// topBit is the number of the highest bit that is set, of one at least.
func topBit(w Addr) int {
	if w.Hi != 0 {
		return 127 - bits.LeadingZeros64(w.Hi)
	}
	return 63 - bits.LeadingZeros64(w.Lo)
}

func trailingOnes(w Addr) int {
	if n := bits.TrailingZeros64(^w.Lo); n < 64 {
		return n
	}
	return 64 + bits.TrailingZeros64(^w.Hi)
}
