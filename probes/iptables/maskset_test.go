package iptables

import (
	"math/rand/v2"
	"testing"
)

// TestMaskSetList compares the listing with a look at every address.
func TestMaskSetList(t *testing.T) {
	r := rand.New(rand.NewPCG(8, 9))
	for range 3000 {
		shift := r.IntN(24)
		m := maskSet{mask: word128{0, r.Uint64() & 0xff << shift & 0xffffffff}, inv: r.IntN(3) == 0}
		m.addr = word128{0, r.Uint64()}.and(m.mask)
		var among []span
		for range 1 + r.IntN(3) {
			lo := r.Uint64() & 0xffffffff
			if r.IntN(2) == 0 {
				lo = m.addr.lo - min(m.addr.lo, r.Uint64N(300))
			}
			among = append(among, span{word128{0, lo}, word128{0, min(lo+r.Uint64N(2000), 0xffffffff)}})
		}
		set := newAddrSet(among)
		l := m.list(set, IPv4)
		for _, s := range set.spans {
			for w := s.lo; !s.hi.less(w); w = w.next() {
				if !l.looked.contains(w) {
					t.Fatalf("%+v: %x was not looked at", m, w.lo)
				}
				if l.in.contains(w) != m.contains(w) {
					t.Fatalf("%+v: %x is said to be in: %v", m, w.lo, l.in.contains(w))
				}
			}
		}
	}
}

// TestMaskSetListEnds has more runs than may be listed.
func TestMaskSetListEnds(t *testing.T) {
	all := newAddrSet([]span{spanOfPrefix(mustPrefix("2001:db8::/32"))})
	for _, inv := range []bool{false, true} {
		m := maskSet{word128{0, 0x1234}, word128{0, 0xffff}, inv}
		l := m.list(all, IPv6)
		if len(l.looked.spans) != 1 || l.looked.spans[0].lo != all.spans[0].lo || !l.looked.spans[0].hi.less(all.spans[0].hi) {
			t.Fatalf("looked at %v", l.looked)
		}
		if n := len(l.in.spans); n < maskLimit-1 || n > maskLimit+1 {
			t.Errorf("%d runs", n)
		}
		for _, s := range l.in.spans {
			if !m.contains(s.lo) || !m.contains(s.hi) || !l.looked.contains(s.hi) {
				t.Fatalf("%v is not in the set", s)
			}
		}
	}
}
