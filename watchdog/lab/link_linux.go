package lab

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// cable joins two links, each made in its host with its hardware address (nil:
// the kernel's choice), and sets them up.
func cable(a *Host, aLink string, aMAC net.HardwareAddr, b *Host, bLink string, bMAC net.HardwareAddr) error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.HardwareAddr = aLink, aMAC
	veth := &netlink.Veth{
		LinkAttrs:        attrs,
		PeerName:         bLink,
		PeerHardwareAddr: bMAC,
		PeerNamespace:    netlink.NsFd(b.ns),
	}
	if err := a.nl.LinkAdd(veth); err != nil {
		return fmt.Errorf("lab: cable %s %s - %s %s: %w", a.Name, aLink, b.Name, bLink, err)
	}
	if err := a.up(aLink); err != nil {
		return err
	}
	return b.up(bLink)
}

func (h *Host) link(name string) (netlink.Link, error) {
	link, err := h.nl.LinkByName(name)
	if err != nil {
		return nil, fmt.Errorf("lab: %s: link %q: %w", h.Name, name, err)
	}
	return link, nil
}

func (h *Host) up(name string) error {
	link, err := h.link(name)
	if err != nil {
		return err
	}
	if err := h.nl.LinkSetUp(link); err != nil {
		return fmt.Errorf("lab: %s: set %s up: %w", h.Name, name, err)
	}
	return nil
}

func (h *Host) enslave(name, bridge string) error {
	link, err := h.link(name)
	if err != nil {
		return err
	}
	br, err := h.link(bridge)
	if err != nil {
		return err
	}
	if err := h.nl.LinkSetMaster(link, br); err != nil {
		return fmt.Errorf("lab: %s: put %s into %s: %w", h.Name, name, bridge, err)
	}
	return nil
}

// addAddress adds a /24 or /64, usable at once (no duplicate detection).
func (h *Host) addAddress(name string, ip netip.Addr) error {
	link, err := h.link(name)
	if err != nil {
		return err
	}
	bits := 24
	if ip.Is6() {
		bits = 64
	}
	addr := &netlink.Addr{
		IPNet: &net.IPNet{IP: ip.AsSlice(), Mask: net.CIDRMask(bits, ip.BitLen())},
		Flags: unix.IFA_F_NODAD,
	}
	if err := h.nl.AddrAdd(link, addr); err != nil {
		return fmt.Errorf("lab: %s: add %v to %s: %w", h.Name, ip, name, err)
	}
	return nil
}

func (h *Host) neighbour(name string, ip netip.Addr, hw net.HardwareAddr) error {
	link, err := h.link(name)
	if err != nil {
		return err
	}
	neigh := &netlink.Neigh{
		LinkIndex:    link.Attrs().Index,
		State:        netlink.NUD_PERMANENT,
		IP:           ip.AsSlice(),
		HardwareAddr: hw,
	}
	if err := h.nl.NeighSet(neigh); err != nil {
		return fmt.Errorf("lab: %s: neighbour %v: %w", h.Name, ip, err)
	}
	return nil
}

// slow makes a link's root qdisc, handle 1:, a token bucket (tc-tbf(8)) with a
// byte-limited FIFO.
func (h *Host) slow(name string, o Options) error {
	link, err := h.link(name)
	if err != nil {
		return err
	}
	bytesPerSecond := o.Rate / 8
	// One whole GSO packet of 64 KiB must fit; on fast links the bucket must
	// outlast the timer's granularity.
	burst := uint32(max(70_000, bytesPerSecond/4000))
	tbf := &netlink.Tbf{
		QdiscAttrs: netlink.QdiscAttrs{
			LinkIndex: link.Attrs().Index,
			Handle:    netlink.MakeHandle(1, 0),
			Parent:    netlink.HANDLE_ROOT,
		},
		Rate:   bytesPerSecond,
		Limit:  o.Queue,
		Buffer: netlink.Xmittime(bytesPerSecond, burst),
	}
	if err := h.nl.QdiscAdd(tbf); err != nil {
		return fmt.Errorf("lab: %s: slow %s down: %w", h.Name, name, err)
	}
	return nil
}
