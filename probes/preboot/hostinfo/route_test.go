package hostinfo

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"lifeline/probes/iptables"
)

// testHost is a machine with an inner and an outer link.
func testHost() iptables.Host {
	return iptables.Host{
		Links: []iptables.Link{
			{Name: "lo", Addresses: prefixes("127.0.0.1/8", "::1/128")},
			{Name: "eth0", Addresses: prefixes("192.0.2.10/24", "2001:db8::10/64", "fe80::10/64")},
			{Name: "eth1", Addresses: prefixes("10.1.0.1/24")},
		},
		Routes: []iptables.Route{{Dst: "default", Link: "eth0"}, {Dst: "10.2.0.0/16", Link: "eth1"}, {Dst: "10.1.0.0/24", Link: "eth1"}},
	}
}

func prefixes(list ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, s := range list {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

func addrs(list ...string) []netip.Addr {
	var out []netip.Addr
	for _, s := range list {
		out = append(out, netip.MustParseAddr(s))
	}
	return out
}

func TestWayTo(t *testing.T) {
	bare := iptables.Host{Links: testHost().Links}
	none := iptables.Host{Links: testHost().Links, Routes: []iptables.Route{}}
	for _, c := range []struct {
		host iptables.Host
		addr string
		want string
	}{
		{testHost(), "198.51.100.1", "eth0 gateway"}, {testHost(), "192.0.2.77", "eth0 neighbour"},
		{testHost(), "10.2.3.4", "eth1 gateway"}, {testHost(), "10.1.0.9", "eth1 neighbour"}, {testHost(), "10.3.0.1", "eth0 gateway"},
		{testHost(), "2001:db8::9", "eth0 neighbour"}, {testHost(), "2001:db8:1::9", "eth0 gateway"},
		{bare, "198.51.100.1", "ethX gateway"}, {bare, "192.0.2.77", "eth0 neighbour"},
		{none, "198.51.100.1", "none"}, {none, "10.1.0.9", "eth1 neighbour"},
	} {
		w, ok := WayTo(c.host, netip.MustParseAddr(c.addr), "ethX")
		got := w.Link + map[bool]string{true: " neighbour", false: " gateway"}[w.Neighbour]
		if !ok {
			got = "none"
		}
		if got != c.want {
			t.Errorf("%s: %s, want %s", c.addr, got, c.want)
		}
	}
}

func TestSplit(t *testing.T) {
	for _, c := range []struct{ net, want string }{
		{"198.51.100.0/24", "198.51.100.0/24 eth0"},
		{"10.2.3.0/24", "10.2.3.0/24 eth1"},
		{"10.2.0.0/15", "10.2.0.0/16 eth1, 10.3.0.0/16 eth0"},
		{"10.1.0.0/23", "10.1.0.0/24 eth1, 10.1.1.0/24 eth0"},
		{"192.0.2.0/24", "192.0.2.0/24 eth0"},
		{"2001:db8::/32", "2001:db8::/32 eth0"},
	} {
		var got []string
		for _, p := range SplitByLink(testHost(), netip.MustParsePrefix(c.net)) {
			got = append(got, fmt.Sprintf("%s %s", p.Net, p.Link))
		}
		if s := strings.Join(got, ", "); s != c.want {
			t.Errorf("%s: %s, want %s", c.net, s, c.want)
		}
	}
	// However it is cut, no address may be lost or double.
	var size uint64
	for _, p := range SplitByLink(testHost(), netip.MustParsePrefix("0.0.0.0/0")) {
		size += 1 << (32 - p.Net.Bits())
	}
	if size != 1<<32 {
		t.Errorf("the parts of everything hold %d addresses", size)
	}
}
