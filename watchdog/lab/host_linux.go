package lab

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// Host is one machine of the lab: a network namespace with a link eth0 (the
// switch and the gateway have others).
type Host struct {
	Name string     // srv, cli, mgmt, sw or gw
	IPv4 netip.Addr // of eth0; not valid at the switch
	IPv6 netip.Addr // not valid without Options.IPv6

	lab   *Lab
	ns    netns.NsHandle
	inode uint64
	mount string          // name under /run/netns
	nl    *netlink.Handle // sockets inside the namespace
}

// newHost makes an empty host. What was made before an error stays in the
// lab's list and is removed by Close.
func (l *Lab) newHost(name string) (*Host, error) {
	h := &Host{Name: name, lab: l, mount: l.id.String() + "-" + name, ns: netns.None()}
	l.hosts = append(l.hosts, h)
	var err error
	if h.ns, err = newNetns(h.mount); err != nil {
		return nil, err
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(h.ns), &st); err != nil {
		return nil, fmt.Errorf("lab: namespace %s: %w", h.mount, err)
	}
	h.inode = st.Ino
	if h.nl, err = netlink.NewHandleAt(h.ns, unix.NETLINK_ROUTE); err != nil {
		return nil, fmt.Errorf("lab: %s: netlink: %w", name, err)
	}
	return h, h.quietIPv6(l.opts.IPv6)
}

// quietIPv6 switches IPv6 off, or takes from it what would delay an address.
func (h *Host) quietIPv6(on bool) error {
	settings := [][2]string{{"disable_ipv6", "1"}}
	if on {
		settings = [][2]string{{"accept_dad", "0"}, {"accept_ra", "0"}, {"router_solicitations", "0"}, {"keep_addr_on_down", "1"}}
	}
	return h.Do(func() error {
		if _, err := os.Stat("/proc/sys/net/ipv6"); errors.Is(err, os.ErrNotExist) && !on {
			return nil // a kernel without IPv6 has nothing to switch off
		}
		for _, s := range settings {
			for _, conf := range []string{"all", "default"} {
				if err := sysctl("net.ipv6.conf."+conf+"."+s[0], s[1]); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// Do runs f on a thread in the host's network namespace. Sockets that f opens
// belong to the host and may be used from anywhere later. In f, /proc/net is
// still the caller's; read /proc/thread-self/net.
func (h *Host) Do(f func() error) error {
	if err := inNetns(h.ns, f); err != nil {
		return fmt.Errorf("%s: %w", h.Name, err)
	}
	return nil
}

// Netns returns the inode number of the host's network namespace, which is
// that of /proc/PID/ns/net of its processes, and the path of its name.
func (h *Host) Netns() (inode uint64, path string) {
	return h.inode, filepath.Join(netnsDir, h.mount)
}

// Sysctl writes a setting, for example "net.ipv4.tcp_rmem", in the host.
func (h *Host) Sysctl(key, value string) error {
	return h.Do(func() error { return sysctl(key, value) })
}

// Counters are what has passed a link up to one moment. A packet may be a
// superpacket of 64 KB that the kernel did not cut (GSO).
type Counters struct {
	At                   time.Time
	RxBytes, TxBytes     uint64
	RxPackets, TxPackets uint64
}

// Counters reads the counters of the host's link. At is the middle of the reading;
// one during which this process had to wait for others is made again.
func (h *Host) Counters(link string) (c Counters, err error) {
	const prompt, tries = time.Millisecond, 5
	for range tries {
		begin := time.Now()
		if c, err = h.counters(link); err != nil {
			return c, err
		}
		took := time.Since(begin)
		if c.At = begin.Add(took / 2); took < prompt {
			break
		}
	}
	return c, nil
}

func (h *Host) counters(link string) (Counters, error) {
	l, err := h.link(link)
	if err != nil {
		return Counters{}, err
	}
	s := l.Attrs().Statistics
	if s == nil {
		return Counters{}, fmt.Errorf("lab: %s: link %q: no statistics", h.Name, link)
	}
	return Counters{RxBytes: s.RxBytes, TxBytes: s.TxBytes, RxPackets: s.RxPackets, TxPackets: s.TxPackets}, nil
}

// SetCarrier plugs the cable of the host's eth0 in or pulls it, at the other
// end, where queued packets are lost: the host sees its carrier come and go.
// It is for srv, cli and mgmt.
func (h *Host) SetCarrier(on bool) error {
	far, port := h.lab.Sw, "p-"+h.Name
	if h == h.lab.Srv && h.lab.opts.Bottleneck == BeyondGateway {
		far, port = h.lab.Gw, "eth0"
	}
	link, err := far.link(port)
	if err != nil {
		return err
	}
	set := far.nl.LinkSetDown
	if on {
		set = far.nl.LinkSetUp
	}
	if err := set(link); err != nil {
		return fmt.Errorf("lab: %s: carrier: %w", h.Name, err)
	}
	return nil
}

// remove ends the host. Its processes must be gone.
func (h *Host) remove() error {
	if h.nl != nil {
		h.nl.Close()
	}
	if h.ns.IsOpen() {
		h.ns.Close()
	}
	return removeNetns(h.mount)
}
