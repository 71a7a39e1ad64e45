package flow

import (
	"fmt"
	"net/netip"

	"lifeline/probes/iptables/netfilter"
	"lifeline/probes/iptables/netset"
	"lifeline/probes/iptables/tri"
)

// Warnings are sentences about what management does not need to work, but
// misses sooner or later.
func (a *Analysis) Warnings() []string {
	if len(a.targets) == 0 || a.exhausted {
		return nil
	}
	var out []string
	warn := func(l *packetStep, peer netset.Span, text string) {
		like := []segment{{set: a.cells.cellSet([]cell{{a.cells.id(class{syn: trackYes, joined: true, hop: -1}), netset.NewPortSet([]netset.PortRange{{Lo: 0, Hi: 0}})}})}}
		if t, by := a.tryPackets([]netset.Span{peer}, like, l); t != tri.Yes {
			out = append(out, fmt.Sprintf("%s (%s)", text, by.describe()))
		}
	}
	src := a.sources()
	if len(src.Spans) == 0 {
		return nil
	}
	near := netset.Span{Lo: src.Spans[0].Lo, Hi: src.Spans[0].Lo}
	if a.q.Family == netfilter.IPv4 {
		warn(&packetStep{name: "fragmentation needed", proto: 1, icmp: 3, code: 4, states: netfilter.StateRelated}, near,
			"ICMP \"fragmentation needed\" is dropped: behind a smaller MTU a session hangs at its first large packet")
		return out
	}
	warn(&packetStep{name: "packet too big", proto: 58, icmp: 2, states: netfilter.StateRelated}, near,
		"ICMPv6 \"packet too big\" is dropped: behind a smaller MTU a session hangs at its first large packet")
	router := netset.SpanOf(netip.MustParsePrefix("fe80::1/128"))
	all := netset.AddrOf(netip.MustParsePrefix("ff02::1/128").Addr())
	warn(&packetStep{name: "router advertisement", proto: 58, icmp: 134, states: netfilter.StateUntracked, local: all,
		localType: netfilter.AddrTypeMulticast, peerType: netfilter.AddrTypeUnicast}, router,
		"router advertisements are dropped: an address or default route that comes by them expires")
	return out
}
