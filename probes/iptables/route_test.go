package iptables

import (
	"math/rand/v2"
	"net/netip"
	"testing"
)

// TestRoutesAgainstLookup compares the painted routes with a lookup of single
// addresses.
func TestRoutesAgainstLookup(t *testing.T) {
	r := rand.New(rand.NewPCG(8, 9))
	links := []string{"eth0", "eth1", "wg0"}
	for round := range 200 {
		q := benchQuestion(1)
		q.Mgmt = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("255.0.0.0/9")}
		q.Host.Routes = []Route{}
		for range r.IntN(12) {
			p := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(r.IntN(4)), byte(r.IntN(4)), byte(r.IntN(256))}), r.IntN(33)).Masked()
			q.Host.Routes = append(q.Host.Routes, Route{Dst: p.String(), Link: links[r.IntN(3)]})
		}
		a := newAnalysis(q, nil, nil)
		src := a.sources()
		got := a.routes(src)
		at := 0
		for _, s := range src.spans {
			w := s.lo
			for at < len(got) && !s.hi.less(got[at].lo) {
				if got[at].lo != w {
					t.Fatalf("round %d: a gap before %v", round, got[at].lo.addr(IPv4))
				}
				w = got[at].hi.next()
				at++
			}
			if w != s.hi.next() {
				t.Fatalf("round %d: a gap at %v", round, w.addr(IPv4))
			}
		}
		for range 200 {
			w := word128{0, uint64(10<<24 | r.IntN(4)<<16 | r.IntN(4)<<8 | r.IntN(256))}
			want, best := "", -1
			for _, rt := range q.Host.Routes {
				p, _ := rt.Prefix(IPv4)
				if p.Contains(w.addr(IPv4)) && p.Bits() > best {
					want, best = rt.Link, p.Bits()
				}
			}
			for _, g := range got {
				if g.contains(w) && g.name != want {
					t.Fatalf("round %d: %v by %q, want %q of %v", round, w.addr(IPv4), g.name, want, q.Host.Routes)
				}
			}
		}
	}
}
