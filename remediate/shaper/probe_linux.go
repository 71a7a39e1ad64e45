package shaper

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"lifeline/remediate/process"
	"lifeline/remediate/remedy"
	"lifeline/remediate/sockopt"
	"lifeline/watchdog"
)

var capabilityDirection = map[string]watchdog.Direction{remedy.ShaperEgress: watchdog.Tx, remedy.ShaperIngress: watchdog.Rx}

// Probe tries in a network namespace of its own whether packets can be
// shaped: going out by SO_PRIORITY, coming in through an ifb. The kernel may
// load modules for it (sch_htb, act_mirred and so on), which stay; the one whose
// loading would make links, ifb, is loaded so that it makes none.
func Probe() []watchdog.Capability {
	noIFBModule := loadIFBModule(hostModules{})
	egress, ingress := inScratchNetns(tryEgress), inScratchNetns(tryIngress)
	if noIFBModule != nil {
		ingress = noIFBModule // says more
	}
	return capabilities(egress, ingress)
}

// NoCapabilities are the shaper's capabilities where none may be made.
func NoCapabilities(why error) []watchdog.Capability { return capabilities(why, why) }

func capabilities(egress, ingress error) []watchdog.Capability {
	return []watchdog.Capability{remedy.Capability(remedy.ShaperEgress, egress), remedy.Capability(remedy.ShaperIngress, ingress)}
}

// inScratchNetns runs f in a new network namespace with a pair of links.
func inScratchNetns(f func(t *tc, near, far int) error) error {
	return process.InNewNetns(func() error { return scratch(f) })
}

func scratch(f func(t *tc, near, far int) error) error {
	t, err := openTC()
	if err != nil {
		return err
	}
	defer t.close()
	near, far, err := scratchLinks(t)
	if err != nil {
		return err
	}
	return f(t, near, far)
}

var (
	scratchNear = net.HardwareAddr{2, 'L', 'I', 'F', 'E', 1}
	scratchFar  = net.HardwareAddr{2, 'L', 'I', 'F', 'E', 2}
)

func scratchLinks(t *tc) (near, far int, err error) {
	v := &netlink.Veth{
		LinkAttrs: netlink.LinkAttrs{Name: "near", HardwareAddr: scratchNear, TxQLen: 1000},
		PeerName:  "far", PeerHardwareAddr: scratchFar,
	}
	if err := t.h.LinkAdd(v); err != nil {
		return 0, 0, fmt.Errorf("veth to try it on: %w", err)
	}
	for _, name := range []string{"near", "far"} {
		l, err := t.h.LinkByName(name)
		if err == nil {
			err = t.h.LinkSetUp(l)
		}
		if err != nil {
			return 0, 0, fmt.Errorf("veth to try it on: %w", err)
		}
		near, far = far, l.Attrs().Index
	}
	return near, far, nil
}

// The connection of the packets that are tried.
var scratchFlow = flow{netip.MustParseAddrPort("192.0.2.1:873"), netip.MustParseAddrPort("192.0.2.2:40000")}

// tryEgress sends a packet with our SO_PRIORITY and looks for it in the class.
func tryEgress(t *tc, near, _ int) error {
	e := egress{t: t}
	if _, err := e.install(near, tokenBucket{1e6, 10000}); err != nil {
		return likelyCause(err)
	}
	if err := sendFrame(near, classRsync, scratchFrame()); err != nil {
		return err
	}
	err := t.awaitPacket(near, "a packet with SO_PRIORITY did not get into its class")
	return errors.Join(err, e.remove(near, true))
}

// tryIngress lets a packet of a known connection arrive and looks for it in
// the ifb.
func tryIngress(t *tc, near, far int) error {
	g := ingress{t}
	st, err := g.install(near, tokenBucket{1e6, 10000})
	if err != nil {
		return likelyCause(err)
	}
	s := st.(*ingressShaper)
	if err := s.addMember(scratchFlow, 0); err != nil {
		return likelyCause(err)
	}
	if err := sendFrame(far, 0, scratchFrame()); err != nil {
		return err
	}
	err = t.awaitPacket(s.ifb, "a packet did not get from its filter into the ifb")
	return errors.Join(err, g.remove(near, true))
}

// probeTimeout bounds the wait for a packet that is delivered in microseconds.
const probeTimeout = time.Second

// awaitPacket waits until the rsync class has seen a packet.
func (t *tc) awaitPacket(link int, otherwise string) error {
	for end := time.Now().Add(probeTimeout); ; time.Sleep(time.Millisecond) {
		s, err := t.classStats(link, classRsync)
		switch {
		case err != nil:
			return err
		case s.packets > 0:
			return nil
		case time.Now().After(end):
			return errors.New(otherwise)
		}
	}
}

// likelyCause names the likely cause of a refusal.
func likelyCause(err error) error {
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.EOPNOTSUPP):
		return fmt.Errorf("%w (is the kernel module there: sch_htb, sch_fifo, sch_ingress, cls_u32, act_mirred, ifb?)", err)
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return fmt.Errorf("%w (CAP_NET_ADMIN is needed)", err)
	}
	return err
}

// sendFrame sends one Ethernet frame on a link, with a priority. It is through
// the link's qdisc, and with a veth at the far end, when it returns.
func sendFrame(link, priority int, frame []byte) error {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("socket to try it with: %w", err)
	}
	defer unix.Close(fd)
	if priority != 0 {
		if err := sockopt.SetPriority(fd, priority); err != nil {
			return err
		}
	}
	if err := unix.Sendto(fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: link}); err != nil {
		return fmt.Errorf("send a packet to try it with: %w", err)
	}
	return nil
}

// scratchFrame is a TCP segment of scratchFlow, from its remote end.
func scratchFrame() []byte {
	b := append(append([]byte{}, scratchNear...), scratchFar...)
	b = append(b, 0x08, 0x00)                                             // IPv4
	b = append(b, 0x45, 0, 0, 40, 0, 0, 0, 0, 64, unix.IPPROTO_TCP, 0, 0) // header without options
	b = append(b, scratchFlow.remote.Addr().AsSlice()...)
	b = append(b, scratchFlow.local.Addr().AsSlice()...)
	b = append(b, byte(scratchFlow.remote.Port()>>8), byte(scratchFlow.remote.Port()&0xff))
	b = append(b, byte(scratchFlow.local.Port()>>8), byte(scratchFlow.local.Port()&0xff))
	return append(b, make([]byte, 16)...) // the rest of the TCP header
}
