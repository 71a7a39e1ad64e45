package sandbox

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"lifeline/probes/preboot/hostinfo"
)

// place gives a connection's source to the namespace that it comes from, and
// leads its destination to the link that it is to arrive on.
func (t *topology) place(c Connection) error {
	end := t.joined[c.Link]
	if end == "" {
		return fmt.Errorf("link %q is not part of the network", c.Link)
	}
	if t.toward[c.Dst] != end {
		if err := t.others.toAddress(c.Dst, end); err != nil {
			return err
		}
		t.toward[c.Dst] = end
	}
	p := placement{c.Src, c.Neighbour, c.Narrow}
	if t.placed[p] {
		return nil
	}
	t.placed[p] = true
	if c.Narrow {
		return t.placeNarrow(c.Src)
	}
	if at := t.joined[c.Neighbour]; at != "" {
		return t.addAddress(t.others, at, netip.PrefixFrom(c.Src, c.Src.BitLen()))
	}
	return t.others.placeLocal(c.Src)
}

// placeLocal makes an address local without telling any neighbour.
func (s *namespace) placeLocal(a netip.Addr) error {
	lo, err := s.nl.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("find lo: %w", err)
	}
	r := &netlink.Route{LinkIndex: lo.Attrs().Index, Dst: ipNet(netip.PrefixFrom(a, a.BitLen())), Type: unix.RTN_LOCAL, Table: unix.RT_TABLE_LOCAL, Scope: netlink.SCOPE_HOST}
	if err := s.nl.RouteReplace(r); err != nil {
		return fmt.Errorf("source %s: %w", a, err)
	}
	return nil
}

// placeNarrow puts a source behind the narrow hop. Its own packets stay below
// the hop's MTU, its announced segment size does not.
func (t *topology) placeNarrow(a netip.Addr) error {
	if err := t.addAddress(t.narrow, farLink, netip.PrefixFrom(a, a.BitLen())); err != nil {
		return err
	}
	if err := t.others.toAddress(a, hopLink); err != nil {
		return err
	}
	far, err := t.narrow.nl.LinkByName(farLink)
	if err != nil {
		return fmt.Errorf("link %q: %w", farLink, err)
	}
	zero, mss, via := netip.IPv4Unspecified(), 1460, hopGateways[0]
	if a.Is6() {
		zero, mss, via = netip.IPv6Unspecified(), 1440, hopGateways[1]
	}
	r := &netlink.Route{LinkIndex: far.Attrs().Index, Dst: ipNet(netip.PrefixFrom(zero, 0)), Gw: via.AsSlice(),
		Flags: int(netlink.FLAG_ONLINK), MTU: narrowMTU, AdvMSS: mss}
	if err := t.narrow.nl.RouteReplace(r); err != nil {
		return fmt.Errorf("narrow hop: %w", err)
	}
	return nil
}

// forget makes everybody forget what they learnt of each other: neighbours,
// and the connections that the machine tracks.
func (t *topology) forget() error {
	for _, s := range []*namespace{t.machine, t.others, t.narrow} {
		if err := s.forgetNeighbours(); err != nil {
			return err
		}
	}
	return t.machine.do(func() error {
		// A kernel without connection tracking has nothing to forget.
		if err := netlink.ConntrackTableFlush(netlink.ConntrackTable); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.EPROTONOSUPPORT) {
			return fmt.Errorf("forget tracked connections: %w", err)
		}
		return nil
	})
}

// forgetNeighbours empties the neighbour tables of a namespace.
func (s *namespace) forgetNeighbours() error {
	for _, family := range []int{unix.AF_INET, unix.AF_INET6} {
		list, err := hostinfo.Dump(func() ([]netlink.Neigh, error) { return s.nl.NeighList(0, family) })
		if err != nil {
			return fmt.Errorf("list neighbours: %w", err)
		}
		for _, n := range list {
			if n.State&(netlink.NUD_PERMANENT|netlink.NUD_NOARP) != 0 {
				continue
			}
			if err := s.nl.NeighDel(&n); err != nil && !errors.Is(err, unix.ENOENT) {
				return fmt.Errorf("forget neighbour %s: %w", n.IP, err)
			}
		}
	}
	return nil
}
