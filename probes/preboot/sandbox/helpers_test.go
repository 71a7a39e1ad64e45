package sandbox

import (
	"net/netip"

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

// testQuestion is about ssh to the first address of the family on eth0 of testHost.
func testQuestion(f iptables.Family) iptables.Question {
	q := iptables.Question{Family: f, Backend: iptables.NFT, Iface: "eth0", Ports: []uint16{22}, Host: testHost(), Dst: addrs("192.0.2.10")}
	if f == iptables.IPv6 {
		q.Dst = addrs("2001:db8::10")
	}
	return q
}
