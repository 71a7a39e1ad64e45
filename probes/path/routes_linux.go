package path

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Routes asks rtnetlink, in the network namespace of the calling thread.
type Routes struct{}

// Gateways are those of the main table's default routes.
func (Routes) Gateways() ([]netip.Addr, error) {
	var routes []netlink.Route
	for _, family := range []int{unix.AF_INET, unix.AF_INET6} {
		list, err := netlink.RouteListFiltered(family, &netlink.Route{}, netlink.RT_FILTER_DST)
		if err != nil && !errors.Is(err, unix.EAFNOSUPPORT) {
			return nil, err
		}
		slices.SortStableFunc(list, func(a, b netlink.Route) int { return cmp.Compare(a.Priority, b.Priority) })
		routes = append(routes, list[:min(1, len(list))]...) // the one in use, of each family
	}
	var gateways []netip.Addr
	for _, r := range routes {
		if r.Type == unix.RTN_UNICAST {
			gateways = append(gateways, gatewaysOf(r)...)
		}
	}
	return gateways, nil
}

// gatewaysOf are the next hops of a route; none when it is on the link.
func gatewaysOf(r netlink.Route) []netip.Addr {
	hops := r.MultiPath
	if len(hops) == 0 {
		hops = []*netlink.NexthopInfo{{Gw: r.Gw, Via: r.Via, LinkIndex: r.LinkIndex}}
	}
	var gateways []netip.Addr
	for _, h := range hops {
		if a := gateway(h.Gw, h.Via, h.LinkIndex); a.IsValid() {
			gateways = append(gateways, a)
		}
	}
	return gateways
}

// gateway is an address of a route; a link-local one has its link as zone.
func gateway(gw net.IP, via netlink.Destination, link int) netip.Addr {
	if v, ok := via.(*netlink.Via); ok && gw == nil { // IPv4 by an IPv6 gateway
		gw = v.Addr
	}
	a, ok := netip.AddrFromSlice(gw)
	if !ok {
		return netip.Addr{}
	}
	a = a.Unmap()
	if a.IsLinkLocalUnicast() && a.Is6() {
		if l, err := net.InterfaceByIndex(link); err == nil {
			return a.WithZone(l.Name)
		}
	}
	return a
}

// Route asks how packets leave for target.
func (Routes) Route(target netip.Addr) (Route, error) {
	var options netlink.RouteGetOptions
	if target.Zone() != "" {
		options.Oif = target.Zone()
	}
	list, err := netlink.RouteGetWithOptions(target.AsSlice(), &options)
	if err != nil {
		return Route{}, err
	}
	if len(list) == 0 {
		return Route{}, errors.New("the kernel names none")
	}
	found := list[0]
	route := Route{Link: found.LinkIndex, Local: found.Type == unix.RTN_LOCAL}
	link, err := net.InterfaceByIndex(found.LinkIndex)
	if err != nil {
		return Route{}, fmt.Errorf("link %d: %w", found.LinkIndex, err)
	}
	route.Way.Link = link.Name
	neighbour := target
	if g := gateway(found.Gw, found.Via, found.LinkIndex); g.IsValid() {
		route.Gateway, neighbour = g.WithZone(""), g
	}
	route.MAC, err = neighbourMAC(found.LinkIndex, neighbour.WithZone(""))
	return route, err
}

// neighbourMAC is empty when the neighbour is not resolved now.
func neighbourMAC(link int, addr netip.Addr) (string, error) {
	family := unix.AF_INET
	if addr.Is6() {
		family = unix.AF_INET6
	}
	list, err := netlink.NeighList(link, family)
	if err != nil {
		return "", fmt.Errorf("read neighbours: %w", err)
	}
	for _, n := range list {
		if a, ok := netip.AddrFromSlice(n.IP); ok && a.Unmap() == addr {
			return n.HardwareAddr.String(), nil
		}
	}
	return "", nil
}

// Watch subscribes to IPv4 and IPv6 routes. Changes that come together are
// told once.
func (Routes) Watch(ctx context.Context, changed func()) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	failed := make(chan error, 1)
	updates := make(chan netlink.RouteUpdate, 64)
	err := netlink.RouteSubscribeWithOptions(updates, ctx.Done(), netlink.RouteSubscribeOptions{
		ErrorCallback: func(err error) {
			select {
			case failed <- err:
			default: // the first one is the cause
			}
			cancel()
		},
	})
	if err != nil {
		return fmt.Errorf("subscribe to route events: %w", err)
	}
	var settled <-chan time.Time
	for {
		select {
		case _, ok := <-updates:
			if !ok {
				return fmt.Errorf("receive route events: %w", <-failed)
			}
			if settled == nil {
				settled = time.After(routeQuietFor)
			}
		case <-settled:
			settled = nil
			changed()
		}
	}
}
