package lab

import (
	"context"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
)

// Networks: the server's, and beyond a gateway the others'.
const (
	nearNet, farNet = 77, 78
	gwNumber        = 254
)

// wire makes the hosts and joins them as the package comment draws.
func (l *Lab) wire(context.Context) error {
	if err := shareNetnsDir(); err != nil {
		return err
	}
	if err := l.makeHosts(); err != nil {
		return err
	}
	if err := adoptCC(l.opts.CC, l.Srv, l.Cli, l.Mgmt); err != nil {
		return err
	}
	if err := l.makeSwitch(); err != nil {
		return err
	}
	if l.opts.Bottleneck == BeyondGateway {
		return l.wireRouted()
	}
	return l.wireFlat()
}

// pingGroups lets every group use ping sockets, as systemd does on the servers that
// the lab stands for (its sysctl.d/50-default.conf); a new namespace lets none.
const pingGroups = "0 2147483647"

func (l *Lab) makeHosts() error {
	hosts := []struct {
		at   **Host
		name string
	}{{&l.Sw, "sw"}, {&l.Srv, "srv"}, {&l.Cli, "cli"}, {&l.Mgmt, "mgmt"}, {&l.Gw, "gw"}}
	if l.opts.Gateway == NoGateway {
		hosts = hosts[:4]
	}
	for _, h := range hosts {
		host, err := l.newHost(h.name)
		if err != nil {
			return err
		}
		*h.at = host
		if err := host.up("lo"); err != nil {
			return err
		}
		if err := host.Sysctl("net.ipv4.ping_group_range", pingGroups); err != nil {
			return err
		}
	}
	if l.opts.SendBuffer > 0 {
		return l.Cli.Sysctl("net.ipv4.tcp_wmem", fmt.Sprintf("4096 %d %d", l.opts.SendBuffer, maxSendBuffer))
	}
	return nil
}

// makeSwitch makes br1 and br2 and the cable between them, and slows the cable
// unless the bottleneck is at srv's link.
func (l *Lab) makeSwitch() error {
	for _, name := range []string{"br1", "br2"} {
		a := netlink.NewLinkAttrs()
		a.Name = name
		if err := l.Sw.nl.LinkAdd(&netlink.Bridge{LinkAttrs: a}); err != nil {
			return fmt.Errorf("lab: sw: add bridge %s: %w", name, err)
		}
		if err := l.Sw.up(name); err != nil {
			return err
		}
	}
	if err := l.joinBridges("up1", "up2"); err != nil {
		return err
	}
	for link, bridge := range map[string]string{"up1": "br1", "up2": "br2"} {
		if err := l.Sw.enslave(link, bridge); err != nil {
			return err
		}
		if l.opts.Bottleneck != AtServerLink {
			if err := l.Sw.slow(link, l.opts); err != nil {
				return err
			}
		}
	}
	return nil
}

// joinBridges makes the cable between the bridges.
func (l *Lab) joinBridges(a, b string) error {
	if l.opts.BaseRTT > 0 {
		return l.cableWithDelay(a, b, l.opts.BaseRTT/2)
	}
	return cable(l.Sw, a, nil, l.Sw, b, nil)
}

// wireFlat plugs all hosts into one network.
func (l *Lab) wireFlat() error {
	if err := l.plug(l.Srv, "br1", nearNet, 1); err != nil {
		return err
	}
	if err := l.plug(l.Cli, "br2", nearNet, 2); err != nil {
		return err
	}
	if err := l.plug(l.Mgmt, "br2", nearNet, 3); err != nil {
		return err
	}
	if err := meet(l.Srv, l.Cli, l.Mgmt); err != nil {
		return err
	}
	if l.Gw != nil {
		if err := l.plug(l.Gw, "br2", nearNet, gwNumber); err != nil {
			return err
		}
		if err := meet(l.Gw, l.Srv); err != nil {
			return err
		}
		if err := l.routeVia(l.Srv, l.Gw.IPv4, l.Gw.IPv6); err != nil {
			return err
		}
	}
	if l.opts.Bottleneck != AtServerLink {
		return nil
	}
	if err := l.Srv.slow("eth0", l.opts); err != nil {
		return err
	}
	return l.Sw.slow("p-srv", l.opts)
}

// wireRouted puts the gateway between srv and the switch. The gateway's eth0
// is its end of srv's cable, wan its switch port.
func (l *Lab) wireRouted() error {
	if err := cable(l.Srv, "eth0", mac(nearNet, 1), l.Gw, "eth0", mac(nearNet, gwNumber)); err != nil {
		return err
	}
	if err := l.address(l.Srv, nearNet, 1); err != nil {
		return err
	}
	if err := l.address(l.Gw, nearNet, gwNumber); err != nil {
		return err
	}
	if err := cable(l.Sw, "p-gw", nil, l.Gw, "wan", mac(farNet, gwNumber)); err != nil {
		return err
	}
	if err := l.Sw.enslave("p-gw", "br1"); err != nil {
		return err
	}
	for _, ip := range l.addresses(farNet, gwNumber) {
		if err := l.Gw.addAddress("wan", ip); err != nil {
			return err
		}
	}
	if err := l.plug(l.Cli, "br2", farNet, 2); err != nil {
		return err
	}
	if err := l.plug(l.Mgmt, "br2", farNet, 3); err != nil {
		return err
	}
	if err := meet(l.Srv, l.Gw); err != nil {
		return err
	}
	if err := meet(l.Cli, l.Mgmt); err != nil {
		return err
	}
	return l.routeAcross()
}

// routeAcross makes the gateway forward between its two networks.
func (l *Lab) routeAcross() error {
	if err := l.Gw.Sysctl("net.ipv4.ip_forward", "1"); err != nil {
		return err
	}
	if l.opts.IPv6 {
		if err := l.Gw.Sysctl("net.ipv6.conf.all.forwarding", "1"); err != nil {
			return err
		}
	}
	if err := l.routeVia(l.Srv, l.Gw.IPv4, l.Gw.IPv6); err != nil {
		return err
	}
	far := l.addresses(farNet, gwNumber)
	for i, h := range []*Host{l.Cli, l.Mgmt} {
		for _, ip := range far {
			if err := h.neighbour("eth0", ip, mac(farNet, gwNumber)); err != nil {
				return err
			}
		}
		for _, ip := range l.addresses(farNet, byte(2+i)) {
			if err := l.Gw.neighbour("wan", ip, mac(farNet, byte(2+i))); err != nil {
				return err
			}
		}
		if err := l.routeVia(h, far...); err != nil {
			return err
		}
	}
	return nil
}

// addresses returns the addresses of host number n in a network: 10.NET.0.n
// and, with IPv6, fdNET::n.
func (l *Lab) addresses(network, n byte) []netip.Addr {
	ips := []netip.Addr{netip.AddrFrom4([4]byte{10, network, 0, n})}
	if l.opts.IPv6 {
		ips = append(ips, netip.MustParseAddr(fmt.Sprintf("fd%d::%d", network, n)))
	}
	return ips
}

// mac returns the hardware address of host number n in a network. It is
// locally administered and the same in every lab, so that dumps compare.
func mac(network, n byte) net.HardwareAddr {
	return net.HardwareAddr{0x02, 'L', 'L', 0, network, n}
}

// plug cables the host's eth0 to a bridge of the switch and gives it addresses.
func (l *Lab) plug(h *Host, bridge string, network, n byte) error {
	port := "p-" + h.Name
	if err := cable(l.Sw, port, nil, h, "eth0", mac(network, n)); err != nil {
		return err
	}
	if err := l.Sw.enslave(port, bridge); err != nil {
		return err
	}
	return l.address(h, network, n)
}

func (l *Lab) address(h *Host, network, n byte) error {
	ips := l.addresses(network, n)
	h.IPv4 = ips[0]
	if len(ips) > 1 {
		h.IPv6 = ips[1]
	}
	for _, ip := range ips {
		if err := h.addAddress("eth0", ip); err != nil {
			return err
		}
	}
	return nil
}

// meet makes the hosts permanent neighbours of each other on eth0.
func meet(hosts ...*Host) error {
	for _, a := range hosts {
		for _, b := range hosts {
			if a == b {
				continue
			}
			link, err := b.link("eth0")
			if err != nil {
				return err
			}
			for _, ip := range []netip.Addr{b.IPv4, b.IPv6} {
				if !ip.IsValid() {
					continue
				}
				if err := a.neighbour("eth0", ip, link.Attrs().HardwareAddr); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// routeVia gives a host its default routes.
func (l *Lab) routeVia(h *Host, gateways ...netip.Addr) error {
	link, err := h.link("eth0")
	if err != nil {
		return err
	}
	for _, gw := range gateways {
		if !gw.IsValid() {
			continue
		}
		route := &netlink.Route{LinkIndex: link.Attrs().Index, Gw: gw.AsSlice()}
		if err := h.nl.RouteAdd(route); err != nil {
			return fmt.Errorf("lab: %s: default route via %v: %w", h.Name, gw, err)
		}
	}
	return nil
}
