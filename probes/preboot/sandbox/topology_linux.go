package sandbox

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"lifeline/probes/preboot/hostinfo"
)

// The network: the mirrored machine in one namespace, everybody else in a
// second one that every link of the machine leads to, and a third one behind
// a hop of narrowMTU bytes.
//
//	machine [eth0]----[p0] others [hop]--1280--[far] narrow
type topology struct {
	machine, others, narrow *namespace
	links                   []Link
	// joined are the links that lead to others, by name.
	joined map[string]string
	// placed are the sources that were given to others and narrow.
	placed map[placement]bool
	// toward says by which link others reach an address of the machine.
	toward map[netip.Addr]string
	ipv6   bool
}

type placement struct {
	src       netip.Addr
	neighbour string
	narrow    bool
}

const (
	// narrowMTU is the least MTU that IPv6 allows (RFC 8200, section 5).
	narrowMTU = 1280
	hopLink   = "hop"
	farLink   = "far"
	// firstIndex numbers the near ends of links beyond those that the kernel
	// gives to the far ends. Where both ends have the same number the kernel
	// takes its time, up to a second, to notice that a link came up
	// (linkwatch_urgent_event in net/core/link_watch.c).
	firstIndex = 1000
	// linkDeadline is how long links may take to come up.
	linkDeadline = 3 * time.Second
)

// hopGateways are the near end's addresses, seen from the narrow side only.
var hopGateways = []netip.Addr{netip.MustParseAddr("169.254.254.1"), netip.MustParseAddr("fe80::fe")}

// build makes the namespaces, links, addresses and routes of a network.
func build(proc hostProc, sc Network) (*topology, error) {
	t := &topology{links: sc.Links, joined: map[string]string{}, placed: map[placement]bool{}, toward: map[netip.Addr]string{}}
	for _, s := range []struct {
		to  **namespace
		own bool
	}{{&t.machine, true}, {&t.others, false}, {&t.narrow, false}} {
		var err error
		if *s.to, err = newNamespace(proc, s.own); err != nil {
			return nil, err
		}
		if err := t.tune(*s.to); err != nil {
			return nil, err
		}
	}
	if err := t.addLinks(); err != nil {
		return nil, err
	}
	if err := t.addHop(); err != nil {
		return nil, err
	}
	for _, l := range sc.Links {
		if err := t.address(l, sc.RPFilter); err != nil {
			return nil, err
		}
	}
	if err := t.await("come up", (*namespace).downLink); err != nil {
		return nil, err
	}
	if err := t.await("take its address", (*namespace).tentative); err != nil {
		return nil, err
	}
	for _, r := range sc.Routes {
		if err := t.route(r); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// tune sets what must not disturb: no duplicate address detection, no reverse
// path filter but the mirrored one, any port for anybody.
func (t *topology) tune(s *namespace) error {
	set := []string{"ipv4/conf/all/rp_filter", "0", "ipv4/conf/default/rp_filter", "0", "ipv4/ip_unprivileged_port_start", "0"}
	if s != t.machine {
		// A gateway asks for neighbours in its own name.
		set = append(set, "ipv4/ip_forward", "1", "ipv4/conf/all/arp_announce", "2")
	}
	if t.ipv6 = s.has("ipv6"); t.ipv6 {
		set = append(set, "ipv6/conf/all/accept_dad", "0", "ipv6/conf/default/accept_dad", "0",
			"ipv6/conf/all/accept_ra", "0", "ipv6/conf/default/accept_ra", "0")
		if s != t.machine {
			set = append(set, "ipv6/conf/all/forwarding", "1")
		}
	}
	return s.set(set...)
}

// otherEnd is the name of the far end of a link of the machine.
func otherEnd(i int) string { return "p" + itoa(i) }

func (t *topology) addLinks() error {
	for i, l := range t.links {
		if l.Name == "lo" {
			continue
		}
		attrs := netlink.NewLinkAttrs()
		attrs.Name, attrs.Index = l.Name, firstIndex+i
		v := &netlink.Veth{LinkAttrs: attrs, PeerName: otherEnd(i), PeerNamespace: netlink.NsFd(int(t.others.ns.Fd()))}
		err := t.machine.nl.LinkAdd(v)
		if errors.Is(err, unix.EEXIST) {
			continue // every namespace has some, such as sit0
		}
		if err != nil {
			return fmt.Errorf("link %q: %w", l.Name, err)
		}
		t.joined[l.Name] = otherEnd(i)
		if err := t.others.up(otherEnd(i)); err != nil {
			return err
		}
		if err := t.machine.up(l.Name); err != nil {
			return err
		}
	}
	return nil
}

// addHop joins others and narrow. Only the near end has the small MTU: the
// far end still announces segments for 1500 bytes, as a client behind a
// tunnel does, so that the machine must learn the path's MTU.
func (t *topology) addHop() error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MTU, attrs.Index = hopLink, narrowMTU, firstIndex
	v := &netlink.Veth{LinkAttrs: attrs, PeerName: farLink, PeerMTU: 1500, PeerNamespace: netlink.NsFd(int(t.narrow.ns.Fd()))}
	if err := t.others.nl.LinkAdd(v); err != nil {
		return fmt.Errorf("narrow hop: %w", err)
	}
	if err := t.narrow.up(farLink); err != nil {
		return err
	}
	if err := t.others.up(hopLink); err != nil {
		return err
	}
	for _, g := range hopGateways {
		if err := t.addAddress(t.others, hopLink, netip.PrefixFrom(g, hostBits(g))); err != nil {
			return err
		}
	}
	return nil
}

// address gives both ends of a link their addresses.
func (t *topology) address(l Link, rpFilter int) error {
	if err := t.machine.set("ipv4/conf/"+l.Name+"/rp_filter", itoa(rpFilter)); err != nil {
		return fmt.Errorf("link %q: %w", l.Name, err)
	}
	for _, a := range l.Addresses {
		if err := t.addAddress(t.machine, l.Name, a); err != nil {
			return err
		}
	}
	end := t.joined[l.Name]
	if end == "" {
		return nil
	}
	for _, g := range l.Gateways {
		if err := t.addAddress(t.others, end, netip.PrefixFrom(g, hostBits(g))); err != nil {
			return err
		}
	}
	return nil
}

// hostBits is the prefix length of a gateway: alone in IPv4, so that nothing
// is on-link by accident; IPv6 gateways are link-local.
func hostBits(a netip.Addr) int {
	if a.Is4() {
		return 32
	}
	return 64
}

func (t *topology) addAddress(s *namespace, link string, p netip.Prefix) error {
	if p.Addr().Is6() && !t.ipv6 {
		return nil // missed, and named, by the first connection that needs it
	}
	l, err := s.nl.LinkByName(link)
	if err != nil {
		return fmt.Errorf("link %q: %w", link, err)
	}
	a := &netlink.Addr{IPNet: ipNet(p)}
	if err := s.nl.AddrAdd(l, a); err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("link %q: address %s: %w", link, p, err)
	}
	return nil
}

// toAddress leads one address out of a link. It stands in the local table,
// which is asked first: a management network may contain the address.
func (s *namespace) toAddress(a netip.Addr, link string) error {
	l, err := s.nl.LinkByName(link)
	if err != nil {
		return fmt.Errorf("link %q: %w", link, err)
	}
	r := &netlink.Route{LinkIndex: l.Attrs().Index, Dst: ipNet(netip.PrefixFrom(a, a.BitLen())), Scope: netlink.SCOPE_LINK, Table: unix.RT_TABLE_LOCAL}
	if a.Is6() {
		r.Scope = netlink.SCOPE_UNIVERSE
	}
	if err := s.nl.RouteReplace(r); err != nil {
		return fmt.Errorf("route to %s by %q: %w", a, link, err)
	}
	return nil
}

// route adds a route of the mirrored machine.
func (t *topology) route(r Route) error {
	l, err := t.machine.nl.LinkByName(r.Link)
	if err != nil {
		return fmt.Errorf("route to %s: link %q: %w", r.Dst, r.Link, err)
	}
	nr := &netlink.Route{LinkIndex: l.Attrs().Index, Dst: ipNet(r.Dst)}
	if r.Via.IsValid() {
		nr.Gw = r.Via.AsSlice()
		nr.Flags = int(netlink.FLAG_ONLINK)
	} else if r.Dst.Addr().Is4() {
		nr.Scope = netlink.SCOPE_LINK
	}
	if err := t.machine.nl.RouteReplace(nr); err != nil {
		return fmt.Errorf("route to %s by %q: %w", r.Dst, r.Link, err)
	}
	return nil
}

// await waits until a namespace no longer names a link that is not ready. The
// kernel gets links and addresses ready in the background; a packet that
// comes before is lost without a trace.
func (t *topology) await(what string, unready func(*namespace) (string, error)) error {
	end := time.Now().Add(linkDeadline)
	for _, s := range []*namespace{t.machine, t.others, t.narrow} {
		for {
			link, err := unready(s)
			if err != nil {
				return err
			}
			if link == "" {
				break
			}
			if time.Now().After(end) {
				return fmt.Errorf("link %q did not %s", link, what)
			}
			time.Sleep(time.Millisecond)
		}
	}
	return nil
}

// downLink names a link that does not carry packets yet.
func (s *namespace) downLink() (string, error) {
	links, err := hostinfo.Dump(s.nl.LinkList)
	if err != nil {
		return "", fmt.Errorf("list links: %w", err)
	}
	for _, l := range links {
		if a := l.Attrs(); l.Type() == "veth" && a.OperState != netlink.OperUp {
			return a.Name, nil
		}
	}
	return "", nil
}

// tentative names a link whose IPv6 address does not answer solicitations
// yet. Duplicate address detection is off, but the flag goes only once the
// address's multicast group is joined; with IFA_F_NODAD there is no telling.
func (s *namespace) tentative() (string, error) {
	list, err := hostinfo.Dump(func() ([]netlink.Addr, error) { return s.nl.AddrList(nil, netlink.FAMILY_V6) })
	if err != nil {
		return "", fmt.Errorf("list addresses: %w", err)
	}
	for _, a := range list {
		if a.Flags&unix.IFA_F_TENTATIVE != 0 {
			return a.IP.String(), nil
		}
	}
	return "", nil
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}
