package hostinfo

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"lifeline/probes/iptables"
	"lifeline/probes/iptables/rules"
)

// Local asks the kernel and the files of this host.
type Local struct{}

// tunnels are link kinds whose packets travel inside others.
var tunnels = []string{"wireguard", "tun", "ppp", "gre", "gretap", "ip6gre", "ip6gretap", "ipip", "sit", "ip6tnl", "vti", "vti6", "xfrm", "vxlan", "geneve", "l2tp", "gtp"}

// Describe tells links, addresses and routes of this host, and what of them nothing here
// models. An error is one of netlink.
func (Local) Describe() (Description, error) {
	d := Description{Transient: map[netip.Addr]bool{}, Caveats: map[string][]iptables.Assumption{}}
	links, err := Dump(netlink.LinkList)
	if err != nil {
		return d, fmt.Errorf("list links: %w", err)
	}
	name := map[int]string{}
	kind := map[int]string{}
	for _, l := range links {
		name[l.Attrs().Index], kind[l.Attrs().Index] = l.Attrs().Name, l.Type()
	}
	for _, l := range links {
		a := l.Attrs()
		if slices.Contains(tunnels, l.Type()) {
			d.addCaveat(a.Name, "tunnel", fmt.Sprintf("%s is a tunnel (%s): whether it comes up, and whether its outer packets pass, is not checked", a.Name, l.Type()))
		}
		if kind[a.MasterIndex] == "vrf" {
			d.addCaveat(a.Name, "vrf", fmt.Sprintf("%s belongs to the VRF %s, which is not modelled", a.Name, name[a.MasterIndex]))
		}
		one, err := d.addresses(l)
		if err != nil {
			return d, err
		}
		d.Host.Links = append(d.Host.Links, one)
	}
	if err := d.routes(name); err != nil {
		return d, err
	}
	if err := d.rules(); err != nil {
		return d, err
	}
	d.Host.RPFilter = d.rpFilter()
	return d, nil
}

func (d *Description) addCaveat(link, name, why string) {
	d.Caveats[link] = append(d.Caveats[link], iptables.Assumption{Name: name, Why: why})
}

func (d *Description) addresses(l netlink.Link) (iptables.Link, error) {
	out := iptables.Link{Name: l.Attrs().Name}
	list, err := Dump(func() ([]netlink.Addr, error) { return netlink.AddrList(l, netlink.FAMILY_ALL) })
	if err != nil {
		return out, fmt.Errorf("link %q: list addresses: %w", out.Name, err)
	}
	for _, a := range list {
		ip, ok := netip.AddrFromSlice(a.IP)
		ones, _ := a.Mask.Size()
		if !ok {
			continue
		}
		ip = ip.Unmap()
		out.Addresses = append(out.Addresses, netip.PrefixFrom(ip, ones))
		if ip.IsLinkLocalUnicast() || ip.IsLoopback() || a.Flags&(unix.IFA_F_TEMPORARY|unix.IFA_F_TENTATIVE|unix.IFA_F_DADFAILED) != 0 {
			d.Transient[ip] = true
		} else if ip.Is6() && a.Flags&unix.IFA_F_PERMANENT == 0 {
			d.renewals(out.Name, ip, ones)
		}
	}
	return out, nil
}

func (d *Description) routes(name map[int]string) error {
	d.Host.Routes = []iptables.Route{}
	for _, f := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		list, err := Dump(func() ([]netlink.Route, error) {
			return netlink.RouteListFiltered(f, &netlink.Route{Table: unix.RT_TABLE_MAIN}, netlink.RT_FILTER_TABLE)
		})
		if err != nil {
			return fmt.Errorf("list routes: %w", err)
		}
		slices.SortStableFunc(list, func(a, b netlink.Route) int { return a.Priority - b.Priority })
		for _, r := range list {
			d.route(r, f, name)
		}
	}
	return nil
}

// route adds one route; where several lead to the same network, the first has
// the best metric.
func (d *Description) route(r netlink.Route, family int, name map[int]string) {
	dst := "0.0.0.0/0"
	if family == netlink.FAMILY_V6 {
		dst = "::/0"
	}
	if r.Dst != nil {
		ip, _ := netip.AddrFromSlice(r.Dst.IP)
		ones, _ := r.Dst.Mask.Size()
		dst = netip.PrefixFrom(ip.Unmap(), ones).String()
	}
	index := r.LinkIndex
	if len(r.MultiPath) > 0 {
		index = r.MultiPath[0].LinkIndex
		d.addCaveat("", "multipath", fmt.Sprintf("the route to %s has several ways; the first is taken", dst))
	}
	if r.Type != unix.RTN_UNICAST || name[index] == "" || dst == "fe80::/64" {
		return
	}
	if slices.ContainsFunc(d.Host.Routes, func(have iptables.Route) bool { return have.Dst == dst }) {
		return
	}
	d.Host.Routes = append(d.Host.Routes, iptables.Route{Dst: dst, Link: name[index]})
	if r.Protocol == unix.RTPROT_RA {
		d.addCaveat(name[index]+"/6", ByAdvertisement, fmt.Sprintf("the IPv6 route to %s by %s comes by router advertisement, which the rules must let in", dst, name[index]))
	}
}

// renewals notes what an IPv6 address with a lifetime needs: DHCPv6 hands out
// single addresses, router advertisements give a network.
func (d *Description) renewals(link string, a netip.Addr, bits int) {
	if bits == a.BitLen() {
		d.addCaveat(link+"/6", ByDHCP, fmt.Sprintf("the address %s of %s comes by DHCPv6, which the rules must let in", a, link))
		return
	}
	d.addCaveat(link+"/6", ByAdvertisement, fmt.Sprintf("the address %s of %s comes by router advertisement, which the rules must let in", a, link))
}

// rules notices policy routing: more than the kernel's own rules (ip-rule(8))
// and the one that VRFs bring.
func (d *Description) rules() error {
	for _, f := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		list, err := Dump(func() ([]netlink.Rule, error) { return netlink.RuleList(f) })
		if err != nil {
			return fmt.Errorf("list routing rules: %w", err)
		}
		n := 0
		for _, r := range list {
			switch r.Table {
			case unix.RT_TABLE_LOCAL, unix.RT_TABLE_MAIN, unix.RT_TABLE_DEFAULT:
			default:
				n++
			}
		}
		if n > 0 {
			d.addCaveat("", "policy-routing", fmt.Sprintf("policy routing (%d rules of `ip -%d rule`) is not modelled", n, map[int]int{netlink.FAMILY_V4: 4, netlink.FAMILY_V6: 6}[f]))
		}
	}
	return nil
}

// rpFilter is the reverse path filter of the link of the default route; the
// kernel takes the higher of the link's value and that of all.
func (d *Description) rpFilter() int {
	value := 0
	names := []string{"all"}
	for _, r := range d.Host.Routes {
		if r.Dst == "0.0.0.0/0" {
			names = append(names, r.Link)
			break
		}
	}
	for _, n := range names {
		text, err := os.ReadFile(filepath.Join("/proc/sys/net/ipv4/conf", n, "rp_filter"))
		if err != nil {
			continue // no IPv4
		}
		if v, err := strconv.Atoi(strings.TrimSpace(string(text))); err == nil && v <= 2 {
			value = max(value, v)
		}
	}
	return value
}

// Names reads the name tables; one that cannot be read stays unknown.
func (Local) Names() iptables.Names {
	read := func(path string) []byte {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil
		}
		return text
	}
	return rules.ReadNames(rules.NameFiles{
		Services: read("/etc/services"), Protocols: read("/etc/protocols"), Passwd: read("/etc/passwd"), Group: read("/etc/group"),
	})
}

// Backend follows iptables-restore to the program behind it.
func (Local) Backend() (iptables.Backend, string) {
	path := FindProgram("iptables-restore")
	if path == "" {
		return iptables.NFT, "the default: iptables-restore is not installed"
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		switch base := filepath.Base(real); {
		case strings.Contains(base, "nft"):
			return iptables.NFT, path + " is " + base
		case strings.Contains(base, "legacy"):
			return iptables.Legacy, path + " is " + base
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, path, "--version").Output()
	if err == nil && strings.Contains(string(out), "nf_tables") {
		return iptables.NFT, path + " --version"
	}
	return iptables.Legacy, path + " --version"
}
