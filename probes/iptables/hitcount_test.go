package iptables

import (
	"fmt"
	"net/netip"
	"testing"
)

// TestHitCountsOfNewKernels: what xt_recent looks back for was bounded by 255 before Linux
// 6.8, so that only the restore tool can tell whether such a rule loads.
func TestHitCountsOfNewKernels(t *testing.T) {
	q := Question{Family: IPv4, Backend: NFT, Iface: "eth0", Ports: []uint16{22},
		Dst: []netip.Addr{netip.MustParseAddr("192.0.2.10")}, Mgmt: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}
	for _, tc := range []struct {
		hits int
		told Load
		load Load
		want Verdict
	}{
		{255, "", LoadOK, Allowed}, {300, "", LoadUnknown, Conditional}, {300, LoadOK, LoadOK, Allowed},
		{300, LoadFails, LoadFails, Conditional}, {70000, "", LoadFails, Conditional},
	} {
		text := fmt.Sprintf("*filter\n-A INPUT -p tcp --dport 80 -m recent --update --hitcount %d -j DROP\nCOMMIT\n", tc.hits)
		r := Analyse(q, Inputs{Rules: []File{{Name: "rules", Text: []byte(text), Told: Told{Load: tc.told}}}})
		if r.Load != tc.load || r.Verdict != tc.want {
			t.Errorf("%d hits, told %q: %s %s, want %s %s", tc.hits, tc.told, r.Load, r.Verdict, tc.load, tc.want)
		}
	}
}
