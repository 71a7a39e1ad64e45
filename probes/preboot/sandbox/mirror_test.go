package sandbox

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"lifeline/probes/iptables"
)

func networkWords(sc Network) string {
	var b strings.Builder
	for _, l := range sc.Links {
		fmt.Fprintf(&b, "%s %s gateways %s\n", l.Name, l.Addresses, l.Gateways)
	}
	for _, r := range sc.Routes {
		fmt.Fprintf(&b, "%s by %s", r.Dst, r.Link)
		if r.Via.IsValid() {
			fmt.Fprintf(&b, " via %s", r.Via)
		}
		b.WriteString("\n")
	}
	return b.String()
}

func TestNewScene(t *testing.T) {
	sc, notes := Mirror(testHost(), []iptables.Question{testQuestion(iptables.IPv4), testQuestion(iptables.IPv6)})
	want := `eth0 [192.0.2.10/24 2001:db8::10/64 fe80::10/64] gateways [192.0.2.1 fe80::1]
eth1 [10.1.0.1/24] gateways [10.1.0.2 fe80::1]
lo [127.0.0.1/8 ::1/128] gateways [127.0.0.2 fe80::1]
0.0.0.0/0 by eth0 via 192.0.2.1
::/0 by eth0 via fe80::1
10.2.0.0/16 by eth1 via 10.1.0.2
10.1.0.0/24 by eth1
`
	if got := networkWords(sc); got != want || len(notes) > 0 {
		t.Errorf("got\n%s%q\nwant\n%s", got, notes, want)
	}
}

func TestNewSceneWithoutRoutes(t *testing.T) {
	h := iptables.Host{Links: []iptables.Link{{Name: "eth9", Addresses: prefixes("198.51.100.7/32", "fe80::1/64")}}}
	q := testQuestion(iptables.IPv4)
	q.Iface, q.Host = "eth9", h
	sc, _ := Mirror(h, []iptables.Question{q})
	want := `eth9 [198.51.100.7/32 fe80::1/64] gateways [169.254.254.2 fe80::2]
0.0.0.0/0 by eth9 via 169.254.254.2
`
	if got := networkWords(sc); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestNewSceneIsBounded(t *testing.T) {
	h := testHost()
	for i := range 500 {
		h.Links = append(h.Links, iptables.Link{Name: fmt.Sprint("veth", i)})
	}
	h.Routes = append(h.Routes, iptables.Route{Dst: "172.16.0.0/12", Link: "veth499"}, iptables.Route{Dst: "172.0.0.0/12", Link: "gone0"})
	sc, notes := Mirror(h, []iptables.Question{testQuestion(iptables.IPv4)})
	names := func(n string) bool {
		return slices.ContainsFunc(sc.Links, func(l Link) bool { return l.Name == n })
	}
	if len(sc.Links) != maxLinks || len(notes) != 1 || !names("eth0") || !names("veth499") || !names("gone0") {
		t.Errorf("%d links, notes %q", len(sc.Links), notes)
	}
}

func TestFreeIn(t *testing.T) {
	for in, want := range map[string]string{
		"192.0.2.10/24": "192.0.2.1", "192.0.2.1/24": "192.0.2.2", "192.0.2.0/31": "192.0.2.1", "192.0.2.1/31": "192.0.2.0", "10.0.0.1/30": "10.0.0.2",
	} {
		if got := freeIn(prefixes(in)[0]); got.String() != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}

// TestSceneIsBounded: of very many addresses only those that are asked about are
// sure to be there, and that is said.
func TestSceneIsBounded(t *testing.T) {
	h := iptables.Host{Links: []iptables.Link{{Name: "eth0", Addresses: prefixes("192.0.2.10/24")}, {Name: "eth1"}}}
	a := netip.MustParseAddr("10.0.0.1")
	for range 3 * maxAddresses {
		h.Links[0].Addresses = append(h.Links[0].Addresses, netip.PrefixFrom(a, 32))
		a = a.Next()
	}
	h.Links[1].Addresses = []netip.Prefix{netip.PrefixFrom(a, 32)}
	last := h.Links[0].Addresses[len(h.Links[0].Addresses)-1].Addr()
	sc, notes := Mirror(h, []iptables.Question{{Family: iptables.IPv4, Iface: "eth0", Dst: []netip.Addr{last}, Host: h}})
	if n := len(sc.Links[0].Addresses) + len(sc.Links[1].Addresses); n > maxAddresses+1 {
		t.Errorf("%d addresses", n)
	}
	if !slices.Contains(sc.Links[0].Addresses, netip.PrefixFrom(last, 32)) {
		t.Error("the one that is asked about is left out")
	}
	if len(notes) != 1 || !strings.Contains(notes[0], "addresses left out") || len(h.Links[0].Addresses) != 3*maxAddresses+1 {
		t.Errorf("%q", notes)
	}
}
