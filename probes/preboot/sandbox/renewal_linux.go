package sandbox

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"lifeline/probes/preboot/hostinfo"
)

// UDP ports of DHCPv6 (RFC 8415).
const (
	dhcpClient = 546
	dhcpServer = 547
)

var (
	allNodes    = netip.MustParseAddr("ff02::1")
	dhcpServers = netip.MustParseAddr("ff02::1:2")
	// advertised is a network that nothing is ever sent to (RFC 6666).
	advertised = netip.MustParsePrefix("100::/64")
)

// renewIPv6 sends what gives a machine its IPv6 address and route, and looks
// whether it arrives behind the rules.
func (t *topology) renewIPv6(r Renewal) (RenewalResult, error) {
	end := t.joined[r.Link]
	if end == "" || !t.ipv6 {
		return RenewalResult{}, fmt.Errorf("link %q is not part of the network", r.Link)
	}
	there, err := t.others.nl.LinkByName(end)
	if err != nil {
		return RenewalResult{}, fmt.Errorf("link %q: %w", end, err)
	}
	here, err := t.machine.nl.LinkByName(r.Link)
	if err != nil {
		return RenewalResult{}, fmt.Errorf("link %q: %w", r.Link, err)
	}
	var out RenewalResult
	if out.Advertised, err = t.advertise(here, there, r.Deadline); err != nil || !r.DHCP {
		return out, err
	}
	out.Leased, err = t.lease(here, there, r.Deadline)
	return out, err
}

// advertisement is a router advertisement (RFC 4861, section 4.2) of no
// default router, with one on-link prefix.
func advertisement() []byte {
	p := make([]byte, 16+32)
	p[0] = 134                  // type
	option := p[16:]            // prefix information, section 4.6.2
	option[0], option[1] = 3, 4 // type, length in units of 8
	option[2] = byte(advertised.Bits())
	option[3] = 0x80               // on-link
	option[7], option[11] = 60, 60 // valid and preferred, s
	a := advertised.Addr().As16()
	copy(option[16:], a[:])
	return p
}

// advertise sends a router advertisement and waits for the route that comes
// of it.
func (t *topology) advertise(here, there netlink.Link, deadline time.Duration) (bool, error) {
	if err := t.machine.set("ipv6/conf/"+here.Attrs().Name+"/accept_ra", "2"); err != nil {
		return false, err
	}
	err := t.others.do(func() error {
		fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_ICMPV6)
		if err != nil {
			return fmt.Errorf("advertise: %w", err)
		}
		defer unix.Close(fd)
		err = errors.Join(
			unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_HOPS, 255),
			unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_IF, there.Attrs().Index),
			unix.Sendto(fd, advertisement(), 0, &unix.SockaddrInet6{Addr: allNodes.As16(), ZoneId: uint32(there.Attrs().Index)}))
		if err != nil {
			return fmt.Errorf("advertise: %w", err)
		}
		return nil
	})
	if err != nil {
		return false, err
	}
	for end := time.Now().Add(deadline); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		routes, err := hostinfo.Dump(func() ([]netlink.Route, error) {
			return t.machine.nl.RouteListFiltered(netlink.FAMILY_V6, &netlink.Route{LinkIndex: here.Attrs().Index, Dst: ipNet(advertised)}, netlink.RT_FILTER_OIF|netlink.RT_FILTER_DST)
		})
		if err != nil {
			return false, fmt.Errorf("list routes: %w", err)
		}
		if len(routes) > 0 {
			return true, nil
		}
	}
	return false, nil
}

// lease plays the two packets that every DHCPv6 exchange has (RFC 8415): the
// client's to all servers, and a server's answer to the client's link-local
// address.
func (t *topology) lease(here, there netlink.Link, deadline time.Duration) (bool, error) {
	client, err := t.machine.packetSocket(dhcpClient, here, netip.Addr{})
	if err != nil {
		return false, err
	}
	defer client.Close()
	server, err := t.others.packetSocket(dhcpServer, there, dhcpServers)
	if err != nil {
		return false, err
	}
	defer server.Close()
	end := time.Now().Add(deadline)
	_ = client.SetDeadline(end)
	_ = server.SetDeadline(end)
	to := netip.AddrPortFrom(dhcpServers.WithZone(here.Attrs().Name), dhcpServer)
	if _, err := client.WriteToUDPAddrPort([]byte("solicit"), to); err != nil {
		return false, refusal(err)
	}
	buf := make([]byte, 64)
	_, from, err := server.ReadFromUDPAddrPort(buf)
	if err != nil {
		return false, refusal(err)
	}
	if _, err := server.WriteToUDPAddrPort([]byte("reply"), from); err != nil {
		return false, refusal(err)
	}
	_, _, err = client.ReadFromUDPAddrPort(buf)
	return err == nil, refusal(err)
}

// refusal drops the errors that are an answer: nothing came, or a local rule
// did not let the packet out.
func refusal(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, unix.EPERM) {
		return nil
	}
	return err
}

// packetSocket opens a UDP socket on a link of the namespace, joined to a
// group if one is given.
func (s *namespace) packetSocket(port uint16, on netlink.Link, group netip.Addr) (conn *net.UDPConn, err error) {
	err = s.do(func() error {
		fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		f := os.NewFile(uintptr(fd), "udp")
		defer f.Close()
		err = errors.Join(unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1),
			unix.SetsockoptString(fd, unix.SOL_SOCKET, unix.SO_BINDTODEVICE, on.Attrs().Name),
			unix.Bind(fd, &unix.SockaddrInet6{Port: int(port)}))
		if err == nil && group.IsValid() {
			err = unix.SetsockoptIPv6Mreq(fd, unix.IPPROTO_IPV6, unix.IPV6_JOIN_GROUP, &unix.IPv6Mreq{Multiaddr: group.As16(), Interface: uint32(on.Attrs().Index)})
		}
		if err != nil {
			return err
		}
		c, err := net.FilePacketConn(f)
		if err != nil {
			return err
		}
		conn, _ = c.(*net.UDPConn)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("port %d on %q: %w", port, on.Attrs().Name, err)
	}
	return conn, nil
}
