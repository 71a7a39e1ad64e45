package flow

import (
	"math/rand/v2"
	"net/netip"
	"testing"

	"lifeline/probes/iptables/netfilter"
	"lifeline/probes/iptables/netset"
)

// TestRoutesAgainstLookup compares the painted routes with a lookup of single
// addresses.
func TestRoutesAgainstLookup(t *testing.T) {
	r := rand.New(rand.NewPCG(8, 9))
	links := []string{"eth0", "eth1", "wg0"}
	for round := range 200 {
		q := Question{Family: netfilter.IPv4, Iface: "eth0", Dst: []netip.Addr{netip.MustParseAddr("192.0.2.10")}, Ports: []uint16{22}}
		q.Mgmt = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("255.0.0.0/9")}
		q.Routes = []Route{}
		for range r.IntN(12) {
			p := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(r.IntN(4)), byte(r.IntN(4)), byte(r.IntN(256))}), r.IntN(33)).Masked()
			q.Routes = append(q.Routes, Route{Dst: p, Link: links[r.IntN(3)]})
		}
		a := New(q, nil, nil)
		src := a.sources()
		got := a.routes(src)
		at := 0
		for _, s := range src.Spans {
			w := s.Lo
			for at < len(got) && !s.Hi.Less(got[at].Lo) {
				if got[at].Lo != w {
					t.Fatalf("round %d: a gap before %v", round, got[at].Lo.IP(netfilter.IPv4))
				}
				w = got[at].Hi.Next()
				at++
			}
			if w != s.Hi.Next() {
				t.Fatalf("round %d: a gap at %v", round, w.IP(netfilter.IPv4))
			}
		}
		for range 200 {
			w := netset.Addr{Hi: 0, Lo: uint64(10<<24 | r.IntN(4)<<16 | r.IntN(4)<<8 | r.IntN(256))}
			want, best := "", -1
			for _, rt := range q.Routes {
				if rt.Dst.Contains(w.IP(netfilter.IPv4)) && rt.Dst.Bits() > best {
					want, best = rt.Link, rt.Dst.Bits()
				}
			}
			for _, g := range got {
				if g.Contains(w) && g.name != want {
					t.Fatalf("round %d: %v by %q, want %q of %v", round, w.IP(netfilter.IPv4), g.name, want, q.Routes)
				}
			}
		}
	}
}
