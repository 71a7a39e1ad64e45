package iptables

import "math/bits"

// maskSet are the addresses that agree with an address under a mask with
// holes. They may be too many spans to list, so they are listed among the
// question's sources only, as far as that goes.
type maskSet struct {
	addr, mask word128 // addr has no bits outside mask
	inv        bool
}

// contains reports whether the address is in the set.
func (m maskSet) contains(w word128) bool { return (w.and(m.mask) == m.addr) != m.inv }

// maskLimit bounds the spans that one mask is listed as, over all sources.
const maskLimit = 4096

// listed is what is known of a maskSet: which addresses of looked belong to it.
type listed struct{ looked, in *addrSet }

// list enumerates the set within the given addresses.
func (m maskSet) list(among *addrSet, f Family) listed {
	limit := max(1, maskLimit/max(1, len(among.spans)))
	mask := m.mask.or(f.lastAddr().not())
	var looked, agree []span
	for _, s := range among.spans {
		x := s.lo
		for range limit {
			hit, ok := nextRun(x, m.addr, mask)
			if !ok || s.hi.less(hit.lo) {
				x = word128{} // nothing is left
				break
			}
			hit.hi = minWord(hit.hi, s.hi)
			agree = append(agree, hit)
			if x = hit.hi.next(); hit.hi == s.hi {
				x = word128{}
				break
			}
		}
		if x != (word128{}) {
			s.hi = x.prev()
		}
		looked = append(looked, s)
	}
	l := listed{newAddrSet(looked), newAddrSet(agree)}
	if m.inv {
		l.in = l.looked.intersect(l.in.complement(f))
	}
	return l
}

// nextRun finds the lowest run of addresses from x on that agree with a under
// the mask; ok is false where there is none.
func nextRun(x, a, mask word128) (s span, ok bool) {
	free := mask.not()
	if diff := x.and(mask).xor(a); diff != (word128{}) {
		below := onesBelow(topBit(diff)) // the highest wrong bit and all under it
		if a.and(below).less(x.and(mask).and(below)) {
			// It must become 0, so a free bit above it must become 1.
			y := x.or(mask).or(below).next()
			if y == (word128{}) {
				return span{}, false
			}
			x = y
		}
		x = x.and(free).and(below.not()).or(a)
	}
	low := onesBelow(trailingOnes(free) - 1)
	return span{x, x.or(low)}, true
}

// onesBelow has bit n and all below it set; n is -1 for none.
func onesBelow(n int) word128 { return maskWord(127-n, 128).not() }

// topBit is the number of the highest bit that is set, of one at least.
func topBit(w word128) int {
	if w.hi != 0 {
		return 127 - bits.LeadingZeros64(w.hi)
	}
	return 63 - bits.LeadingZeros64(w.lo)
}

func trailingOnes(w word128) int {
	if n := bits.TrailingZeros64(^w.lo); n < 64 {
		return n
	}
	return 64 + bits.TrailingZeros64(^w.hi)
}
