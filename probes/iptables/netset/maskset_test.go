package netset

import (
	"math/rand/v2"
	"net/netip"
	"testing"

	"lifeline/probes/iptables/netfilter"
)

// TestMaskSetList compares the listing with a look at every address.
func TestMaskSetList(t *testing.T) {
	r := rand.New(rand.NewPCG(8, 9))
	for range 3000 {
		shift := r.IntN(24)
		m := MaskSet{Mask: Addr{0, r.Uint64() & 0xff << shift & 0xffffffff}, Inv: r.IntN(3) == 0}
		m.Addr = Addr{0, r.Uint64()}.And(m.Mask)
		var among []Span
		for range 1 + r.IntN(3) {
			lo := r.Uint64() & 0xffffffff
			if r.IntN(2) == 0 {
				lo = m.Addr.Lo - min(m.Addr.Lo, r.Uint64N(300))
			}
			among = append(among, Span{Addr{0, lo}, Addr{0, min(lo+r.Uint64N(2000), 0xffffffff)}})
		}
		set := NewAddrSet(among)
		l := m.List(set, netfilter.IPv4)
		for _, s := range set.Spans {
			for w := s.Lo; !s.Hi.Less(w); w = w.Next() {
				if !l.Looked.Contains(w) {
					t.Fatalf("%+v: %x was not looked at", m, w.Lo)
				}
				if l.In.Contains(w) != m.Contains(w) {
					t.Fatalf("%+v: %x is said to be in: %v", m, w.Lo, l.In.Contains(w))
				}
			}
		}
	}
}

// TestMaskSetListEnds has more runs than may be listed.
func TestMaskSetListEnds(t *testing.T) {
	all := NewAddrSet([]Span{SpanOf(netip.MustParsePrefix("2001:db8::/32"))})
	for _, inv := range []bool{false, true} {
		m := MaskSet{Addr{0, 0x1234}, Addr{0, 0xffff}, inv}
		l := m.List(all, netfilter.IPv6)
		if len(l.Looked.Spans) != 1 || l.Looked.Spans[0].Lo != all.Spans[0].Lo || !l.Looked.Spans[0].Hi.Less(all.Spans[0].Hi) {
			t.Fatalf("looked at %v", l.Looked)
		}
		if n := len(l.In.Spans); n < maskLimit-1 || n > maskLimit+1 {
			t.Errorf("%d runs", n)
		}
		for _, s := range l.In.Spans {
			if !m.Contains(s.Lo) || !m.Contains(s.Hi) || !l.Looked.Contains(s.Hi) {
				t.Fatalf("%v is not in the set", s)
			}
		}
	}
}
