package nic

import (
	"errors"
	"fmt"
	"log/slog"
	"net"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"lifeline/watchdog/rtattr"
)

const (
	extMask         = 1 << 3 // RTEXT_FILTER_SKIP_STATS: counters come from elsewhere
	iflaExtMask     = unix.IFLA_EXT_MASK
	iflaCarrierChgs = unix.IFLA_CARRIER_CHANGES
	ifInfoSize      = unix.SizeofIfInfomsg
	lowerUp         = 1 << 16 // IFF_LOWER_UP
)

// netlinkTimeout bounds one netlink answer, which takes microseconds.
var netlinkTimeout = unix.Timeval{Sec: 1}

// New opens the kernel's link interfaces in the network namespace of the
// calling thread. Run is to be called in the same one.
func New(log *slog.Logger) (*Probe, error) {
	k, err := openKernel()
	if err != nil {
		return nil, err
	}
	return NewProbe(k, subscription{}, log), nil
}

// kernel reads links by rtnetlink and ethtool.
type kernel struct {
	route   *nl.SocketHandle
	stats   *statsSocket
	ethtool int // a socket for the ethtool ioctl
}

func openKernel() (*kernel, error) {
	route, err := nl.GetNetlinkSocketAt(netns.None(), netns.None(), unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open rtnetlink: %w", err)
	}
	if err := errors.Join(route.SetReceiveTimeout(&netlinkTimeout), route.SetSendTimeout(&netlinkTimeout)); err != nil {
		route.Close()
		return nil, fmt.Errorf("set rtnetlink timeout: %w", err)
	}
	stats, err := openStats()
	if err != nil {
		route.Close()
		return nil, err
	}
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_GENERIC)
	if err != nil {
		route.Close()
		return nil, errors.Join(fmt.Errorf("open socket for ethtool: %w", err), stats.close())
	}
	return &kernel{route: &nl.SocketHandle{Socket: route}, stats: stats, ethtool: fd}, nil
}

// Close closes all sockets.
func (k *kernel) Close() error {
	k.route.Close()
	return errors.Join(k.stats.close(), unix.Close(k.ethtool))
}

// Counters dumps the counters of all links.
func (k *kernel) Counters(buf []Reading) ([]Reading, error) { return k.stats.dump(buf) }

// Links lists all links, with their speed as their drivers give it.
func (k *kernel) Links() ([]Info, error) {
	var msgs [][]byte
	var err error
	for range 3 { // a list that changed while it was read is read again
		if msgs, err = k.ask(0); !errors.Is(err, nl.ErrDumpInterrupted) {
			break
		}
	}
	if err != nil {
		return nil, err
	}
	infos := make([]Info, 0, len(msgs))
	for _, m := range msgs {
		info, err := k.info(m)
		if err != nil {
			return nil, err
		}
		infos = append(infos, info)
	}
	return infos, nil
}

// Link looks at one link.
func (k *kernel) Link(index int) (Info, error) {
	msgs, err := k.ask(index)
	if errors.Is(err, unix.ENODEV) || err == nil && len(msgs) == 0 {
		return Info{}, ErrNoLink
	}
	if err != nil {
		return Info{}, err
	}
	return k.info(msgs[0])
}

// ask sends RTM_GETLINK for one link, or for all when index is 0.
func (k *kernel) ask(index int) ([][]byte, error) {
	flags := unix.NLM_F_ACK
	if index == 0 {
		flags = unix.NLM_F_DUMP
	}
	req := nl.NewNetlinkRequest(unix.RTM_GETLINK, flags)
	req.Sockets = map[int]*nl.SocketHandle{unix.NETLINK_ROUTE: k.route}
	msg := nl.NewIfInfomsg(unix.AF_UNSPEC)
	msg.Index = int32(index)
	req.AddData(msg)
	req.AddData(nl.NewRtAttr(iflaExtMask, nl.Uint32Attr(extMask)))
	return req.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWLINK)
}

// info reads one RTM_NEWLINK message and asks the driver for the speed.
func (k *kernel) info(msg []byte) (Info, error) {
	if len(msg) < ifInfoSize {
		return Info{}, errShort
	}
	l, err := netlink.LinkDeserialize(nil, msg)
	if err != nil {
		return Info{}, err
	}
	a := l.Attrs()
	info := Info{
		Index: a.Index, Name: a.Name, Kind: kind(l), Address: a.HardwareAddr.String(),
		Up:       a.RawFlags&unix.IFF_UP != 0,
		Carrier:  carrier(a),
		Loopback: a.Flags&net.FlagLoopback != 0,
		Master:   a.MasterIndex,
	}
	if a.NetNsID < 0 { // otherwise the index is of another namespace
		info.Parent = a.ParentIndex
		if v, ok := l.(*netlink.Vxlan); ok { // the only kind that tells it elsewhere
			info.Parent = v.VtepDevIndex
		}
	}
	if info.CarrierChanges, err = carrierChanges(msg[ifInfoSize:]); err != nil {
		return Info{}, fmt.Errorf("link %q: %w", a.Name, err)
	}
	info.Driver, info.Speed = driverSpeed(k.ethtool, a.Name)
	return info, nil
}

// kind is IFLA_INFO_KIND, or "device".
func kind(l netlink.Link) string {
	if t := l.Type(); t != "tuntap" { // the library's word
		return t
	}
	return "tun"
}

// carrier goes by RFC 2863 operational state; drivers that keep none leave it
// unknown, and then the lower layer's flag decides.
func carrier(a *netlink.LinkAttrs) bool {
	return a.OperState == netlink.OperUp ||
		a.OperState == netlink.OperUnknown && a.RawFlags&lowerUp != 0
}

// carrierChanges finds IFLA_CARRIER_CHANGES; 0 on kernels that have none.
func carrierChanges(attrs []byte) (uint64, error) {
	v, err := rtattr.Find(attrs, iflaCarrierChgs)
	if err != nil || len(v) < 4 {
		return 0, err
	}
	return uint64(ne.Uint32(v)), nil
}
