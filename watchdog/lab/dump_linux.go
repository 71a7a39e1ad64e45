package lab

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Dump describes the host's links, addresses, routes, qdiscs, classes and
// filters as sorted text, one object a line. It leaves out what traffic alone
// changes (counters, learnt neighbours), so that the same configuration always
// gives the same text: compare a dump before with a dump after.
func (h *Host) Dump() (string, error) {
	var lines []string
	err := h.Do(func() error {
		links, err := netlink.LinkList()
		if err != nil {
			return fmt.Errorf("links: %w", err)
		}
		slices.SortFunc(links, func(a, b netlink.Link) int {
			return cmp.Compare(a.Attrs().Name, b.Attrs().Name)
		})
		names := map[int]string{}
		for _, l := range links {
			names[l.Attrs().Index] = l.Attrs().Name
		}
		for _, l := range links {
			lines = append(lines, describeLink(l, names))
		}
		for _, part := range []func(map[int]string) ([]string, error){describeAddresses, describeRoutes} {
			more, err := part(names)
			if err != nil {
				return err
			}
			slices.Sort(more)
			lines = append(lines, more...)
		}
		for _, l := range links {
			more, err := describeTC(l.Attrs())
			if err != nil {
				return fmt.Errorf("link %q: %w", l.Attrs().Name, err)
			}
			lines = append(lines, more...)
		}
		return nil
	})
	if err != nil {
		return "", fmt.Errorf("lab: dump %w", err)
	}
	return strings.Join(lines, "\n") + "\n", nil
}

func describeLink(l netlink.Link, names map[int]string) string {
	a := l.Attrs()
	s := fmt.Sprintf("link %s %s mtu %d txqlen %d", a.Name, l.Type(), a.MTU, a.TxQLen)
	if a.RawFlags&unix.IFF_UP != 0 {
		s += " up"
	}
	if a.RawFlags&unix.IFF_LOWER_UP != 0 {
		s += " carrier"
	}
	if a.Promisc > 0 {
		s += " promisc"
	}
	if master, ok := names[a.MasterIndex]; ok {
		s += " master " + master
	}
	return s
}

func describeAddresses(names map[int]string) ([]string, error) {
	addrs, err := netlink.AddrList(nil, netlink.FAMILY_ALL)
	if err != nil {
		return nil, fmt.Errorf("addresses: %w", err)
	}
	var lines []string
	for _, a := range addrs {
		if a.IP.IsLinkLocalUnicast() {
			continue // made by the kernel from a hardware address
		}
		lines = append(lines, fmt.Sprintf("address %s %v", names[a.LinkIndex], a.IPNet))
	}
	return lines, nil
}

func describeRoutes(names map[int]string) ([]string, error) {
	routes, err := netlink.RouteList(nil, netlink.FAMILY_ALL)
	if err != nil {
		return nil, fmt.Errorf("routes: %w", err)
	}
	var lines []string
	for _, r := range routes {
		if r.Dst != nil && r.Dst.IP.IsLinkLocalUnicast() {
			continue
		}
		s := fmt.Sprintf("route %v dev %s", r.Dst, names[r.LinkIndex])
		if r.Gw != nil {
			s += " via " + r.Gw.String()
		}
		lines = append(lines, s)
	}
	return lines, nil
}

// describeTC lists a link's qdiscs, then the classes and filters of each.
func describeTC(link *netlink.LinkAttrs) ([]string, error) {
	qdiscs, err := dumpTC(unix.RTM_GETQDISC, link.Index, 0)
	if err != nil {
		return nil, fmt.Errorf("qdiscs: %w", err)
	}
	classes, err := dumpTC(unix.RTM_GETTCLASS, link.Index, 0)
	if err != nil {
		return nil, fmt.Errorf("classes: %w", err)
	}
	parents := map[uint32]bool{}
	var lines []string
	for _, o := range qdiscs {
		lines = append(lines, fmt.Sprintf("qdisc %s %s", link.Name, o))
		parents[o.handle] = true
		if o.kind == "clsact" {
			parents[netlink.HANDLE_MIN_INGRESS], parents[netlink.HANDLE_MIN_EGRESS] = true, true
		}
	}
	for _, o := range classes {
		lines = append(lines, fmt.Sprintf("class %s %s", link.Name, o))
		parents[o.handle] = true
	}
	slices.Sort(lines)
	filters, err := describeFilters(link, parents)
	return append(lines, filters...), err
}

func describeFilters(link *netlink.LinkAttrs, parents map[uint32]bool) ([]string, error) {
	var lines []string
	for parent := range parents {
		if parent == 0 {
			continue // the kernel's own default has none
		}
		filters, err := dumpTC(unix.RTM_GETTFILTER, link.Index, parent)
		if err != nil {
			return nil, fmt.Errorf("filters of %s: %w", netlink.HandleStr(parent), err)
		}
		for _, o := range filters {
			lines = append(lines, fmt.Sprintf("filter %s %s", link.Name, o))
		}
	}
	slices.Sort(lines)
	return lines, nil
}

// tcObject is a qdisc, class or filter as the kernel lists it.
type tcObject struct {
	handle, parent uint32
	info           uint32 // of a filter: its priority and protocol
	kind           string
	options        string // without counters
}

func (o tcObject) String() string {
	handle := netlink.HandleStr(o.handle)
	if o.info != 0 { // filters number themselves in their own ways
		handle = fmt.Sprintf("%#x info %#x", o.handle, o.info)
	}
	return fmt.Sprintf("%s %s parent %s options %s", o.kind, handle, netlink.HandleStr(o.parent), o.options)
}

// dumpTC asks the kernel for a link's objects of one sort (rtnetlink(7)), with
// the request's parent where the sort needs one.
func dumpTC(sort, link int, parent uint32) ([]tcObject, error) {
	req := nl.NewNetlinkRequest(sort, unix.NLM_F_DUMP)
	req.AddData(&nl.TcMsg{Family: nl.FAMILY_ALL, Ifindex: int32(link), Parent: parent})
	msgs, err := req.Execute(unix.NETLINK_ROUTE, 0)
	if err != nil {
		return nil, err
	}
	var objects []tcObject
	for _, m := range msgs {
		if len(m) < nl.SizeofTcMsg {
			return nil, fmt.Errorf("a message of %d bytes", len(m))
		}
		head := nl.DeserializeTcMsg(m)
		if int(head.Ifindex) != link {
			continue // the kernel lists every link's qdiscs
		}
		o := tcObject{handle: head.Handle, parent: head.Parent}
		if sort == unix.RTM_GETTFILTER {
			o.info = head.Info // elsewhere a count of references
		}
		if err := o.read(m[nl.SizeofTcMsg:]); err != nil {
			return nil, err
		}
		objects = append(objects, o)
	}
	return objects, nil
}

func (o *tcObject) read(b []byte) error {
	attrs, err := parseAttrs(b)
	if err != nil {
		return err
	}
	var options []byte
	for _, a := range attrs {
		switch a.typ {
		case nl.TCA_KIND:
			o.kind = nl.BytesToString(a.value)
		case nl.TCA_OPTIONS:
			options = a.value
		}
	}
	o.options = describeOptions(o.kind, options)
	return nil
}
