package netset

import (
	"math/rand/v2"
	"testing"

	"lifeline/probes/iptables/netfilter"
)

func TestAddrSetComplement(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 200 {
		var spans []Span
		for range r.IntN(6) {
			lo := r.Uint64() & 0xffffffff
			spans = append(spans, Span{Addr{0, lo}, Addr{0, min(lo+r.Uint64()&0xfffffff, 0xffffffff)}})
		}
		s := NewAddrSet(spans)
		c := s.Complement(netfilter.IPv4)
		if got := s.Intersect(c); len(got.Spans) != 0 {
			t.Fatalf("a set and its complement share %v", got)
		}
		if got := NewAddrSet(append(append([]Span(nil), s.Spans...), c.Spans...)); len(got.Spans) != 1 ||
			got.Spans[0] != (Span{Addr{}, Last(netfilter.IPv4)}) {
			t.Fatalf("a set and its complement are not everything: %v", got)
		}
	}
}
