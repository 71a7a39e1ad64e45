package shaper

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"lifeline/watchdog/rtattr"
)

// errLinkGone says that a link does not exist (any more).
var errLinkGone = errors.New("no such link")

// errReplaced says that what stands where ours was is not ours.
var errReplaced = errors.New("is not ours any more")

// tcTimeout bounds every request: the control loop must not hang in netlink.
const tcTimeout = 2 * time.Second

const ingressHandle = 0xffff0000 // of ingress and clsact; there is one per link

// tc speaks rtnetlink in the network namespace in which it was opened,
// whichever thread calls it.
type tc struct {
	h   *netlink.Handle
	raw map[int]*nl.SocketHandle // for requests that netlink.Handle cannot express
	ask int                      // a socket for netdevice(7) requests
}

func openTC() (*tc, error) {
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open rtnetlink: %w", err)
	}
	s, err := nl.Subscribe(unix.NETLINK_ROUTE)
	if err != nil {
		h.Close()
		return nil, fmt.Errorf("open rtnetlink: %w", err)
	}
	t := &tc{h: h, raw: map[int]*nl.SocketHandle{unix.NETLINK_ROUTE: {Socket: s}}}
	if t.ask, err = unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0); err != nil {
		h.Close()
		s.Close()
		return nil, fmt.Errorf("open a socket for netdevice requests: %w", err)
	}
	tv := unix.NsecToTimeval(tcTimeout.Nanoseconds())
	err = errors.Join(h.SetSocketTimeout(tcTimeout), s.SetSendTimeout(&tv), s.SetReceiveTimeout(&tv))
	// Without it the kernel's own words are missing from errors, no more.
	_ = s.SetExtAck(true)
	if err != nil {
		t.close()
		return nil, fmt.Errorf("open rtnetlink: %w", err)
	}
	return t, nil
}

func (t *tc) close() {
	t.h.Close()
	unix.Close(t.ask)
	for _, s := range t.raw {
		s.Close()
	}
}

// tcObject is the head of a qdisc, class or filter as the kernel dumps it.
type tcObject struct {
	what           string // qdisc, class or filter
	kind           string // htb, ingress, u32 ...
	link           int
	handle, parent uint32
	info           uint32 // of a filter: priority<<16 | protocol in network order
	attrs          map[uint16][]byte
}

// String names a qdisc or class by its handle, a filter by its priority.
func (o tcObject) String() string {
	if o.what == "filter" {
		return fmt.Sprintf("%s filter of priority %d, protocol %#04x, at %x:%x", o.kind, o.prio(), o.proto(), o.parent>>16, o.parent&0xffff)
	}
	return fmt.Sprintf("%s %s %x:%x parent %x:%x", o.what, o.kind, o.handle>>16, o.handle&0xffff, o.parent>>16, o.parent&0xffff)
}

func (o tcObject) prio() uint16  { return uint16(o.info >> 16) }
func (o tcObject) proto() uint16 { return nl.Swap16(uint16(o.info)) }

// parseObject reads struct tcmsg and its attributes (linux/rtnetlink.h).
func parseObject(b []byte) (tcObject, error) {
	if len(b) < nl.SizeofTcMsg {
		return tcObject{}, fmt.Errorf("tc message of %d bytes", len(b))
	}
	ne := binary.NativeEndian
	o := tcObject{
		link:   int(int32(ne.Uint32(b[4:]))),
		handle: ne.Uint32(b[8:]), parent: ne.Uint32(b[12:]), info: ne.Uint32(b[16:]),
	}
	attrs, err := parseAttrs(b[nl.SizeofTcMsg:])
	if err != nil {
		return tcObject{}, err
	}
	o.attrs = attrs
	o.kind = unix.ByteSliceToString(attrs[nl.TCA_KIND])
	return o, nil
}

// parseAttrs reads a row of struct rtattr; of twins the last counts.
func parseAttrs(b []byte) (map[uint16][]byte, error) {
	out := map[uint16][]byte{}
	for a, err := range rtattr.All(b) {
		if err != nil {
			return nil, err
		}
		out[a.Type] = a.Value
	}
	return out, nil
}

// request sends one tc message and gives the answers.
func (t *tc) request(typ, flags int, m nl.TcMsg, kind string, more ...nl.NetlinkRequestData) ([]tcObject, error) {
	req := nl.NewNetlinkRequest(typ, flags)
	req.Sockets = t.raw
	req.AddData(&m)
	if kind != "" {
		req.AddData(nl.NewRtAttr(nl.TCA_KIND, nl.ZeroTerminated(kind)))
	}
	for _, d := range more {
		req.AddData(d)
	}
	msgs, err := req.Execute(unix.NETLINK_ROUTE, 0)
	if errors.Is(err, unix.ENODEV) {
		return nil, errLinkGone
	}
	if err != nil {
		return nil, err
	}
	return parseObjects(msgs)
}

func parseObjects(msgs [][]byte) ([]tcObject, error) {
	out := make([]tcObject, 0, len(msgs))
	for _, b := range msgs {
		o, err := parseObject(b)
		if err != nil {
			return nil, err
		}
		out = append(out, o)
	}
	return out, nil
}

// qdiscAt looks at one hook of a link: netlink.HANDLE_ROOT or HANDLE_INGRESS.
// The kind is empty when nothing is there. A request for a single qdisc would
// be answered to all who listen for changes, so this is a dump.
func (t *tc) qdiscAt(link int, hook uint32) (tcObject, error) {
	qdiscs, err := t.dump(unix.RTM_GETQDISC, link, 0)
	if err != nil {
		return tcObject{}, fmt.Errorf("list qdiscs: %w", err)
	}
	for _, o := range qdiscs {
		if o.parent == hook {
			return o, nil
		}
	}
	return tcObject{}, nil
}

var dumped = map[int]string{unix.RTM_GETQDISC: "qdisc", unix.RTM_GETTCLASS: "class", unix.RTM_GETTFILTER: "filter"}

// dump lists the qdiscs, classes or filters of a link.
func (t *tc) dump(typ int, link int, parent uint32) ([]tcObject, error) {
	m := nl.TcMsg{Ifindex: int32(link), Parent: parent}
	var got []tcObject
	var err error
	for range 3 { // what changed during the dump may be missing from it
		got, err = t.request(typ, unix.NLM_F_DUMP, m, "")
		if !errors.Is(err, nl.ErrDumpInterrupted) {
			break
		}
	}
	if err != nil {
		return nil, err
	}
	of := got[:0]
	for _, o := range got { // the kernel dumps the qdiscs of all links
		if o.link == link {
			o.what = dumped[typ]
			of = append(of, o)
		}
	}
	return of, nil
}

// deleteQdisc deletes exactly that qdisc: the kernel compares kind and handle
// and refuses (EINVAL) when another one stands there. What is gone is gone.
func (t *tc) deleteQdisc(link int, kind string, handle, parent uint32) error {
	m := nl.TcMsg{Ifindex: int32(link), Handle: handle, Parent: parent}
	_, err := t.request(unix.RTM_DELQDISC, unix.NLM_F_ACK, m, kind)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, errLinkGone) {
		return nil
	}
	return err
}

// addLeaf puts a first-in first-out queue of limited length under a class.
func (t *tc) addLeaf(link int, kind string, handle, class, limit uint32) error {
	m := nl.TcMsg{Ifindex: int32(link), Handle: handle, Parent: class}
	opt := nl.NewRtAttr(nl.TCA_OPTIONS, nl.Uint32Attr(limit)) // struct tc_fifo_qopt
	_, err := t.request(unix.RTM_NEWQDISC, unix.NLM_F_CREATE|unix.NLM_F_EXCL|unix.NLM_F_ACK, m, kind, opt)
	return err
}

// addSegmenter puts a queue under a class that cuts what is larger than a frame
// of the link: tbf does so with packets that exceed its burst. At the rate of
// the line it never makes the class wait, which HTB would find worth a warning
// in the kernel's log.
func (t *tc) addSegmenter(link int, handle, class uint32, mtu int) error {
	m := nl.TcMsg{Ifindex: int32(link), Handle: handle, Parent: class}
	parms := nl.TcTbfQopt{Limit: segmentQueue}
	parms.Rate.Rate = math.MaxUint32
	opt := nl.NewRtAttr(nl.TCA_OPTIONS, nil)
	opt.AddRtAttr(nl.TCA_TBF_PARMS, parms.Serialize())
	opt.AddRtAttr(nl.TCA_TBF_RATE64, nl.Uint64Attr(lineRate))
	opt.AddRtAttr(nl.TCA_TBF_BURST, nl.Uint32Attr(uint32(mtu+segmentRoom)))
	_, err := t.request(unix.RTM_NEWQDISC, unix.NLM_F_CREATE|unix.NLM_F_EXCL|unix.NLM_F_ACK, m, "tbf", opt)
	return err
}

// classStats are the counters of one class.
type classStats struct {
	bytes   uint64
	packets uint32
	qlen    uint32 // packets that wait
	backlog uint32 // bytes that wait
	drops   uint32
}

// classStats reads the counters of a class of ours; errReplaced when it is not
// there.
func (t *tc) classStats(link int, class uint32) (classStats, error) {
	classes, err := t.dump(unix.RTM_GETTCLASS, link, 0)
	if err != nil {
		return classStats{}, fmt.Errorf("list classes: %w", err)
	}
	for _, o := range classes {
		if o.handle == class && o.kind == "htb" {
			return parseStats(o.attrs[nl.TCA_STATS2])
		}
	}
	if _, err := t.link(link); err != nil {
		return classStats{}, err
	}
	return classStats{}, errReplaced
}

// parseStats reads TCA_STATS2: struct gnet_stats_basic and gnet_stats_queue
// (linux/gen_stats.h).
func parseStats(b []byte) (classStats, error) {
	var s classStats
	attrs, err := parseAttrs(b)
	if err != nil {
		return s, err
	}
	ne := binary.NativeEndian
	basic, queue := attrs[nl.TCA_STATS_BASIC], attrs[nl.TCA_STATS_QUEUE]
	if len(basic) < 12 || len(queue) < 12 {
		return s, fmt.Errorf("statistics of %d and %d bytes", len(basic), len(queue))
	}
	s.bytes, s.packets = ne.Uint64(basic), ne.Uint32(basic[8:])
	s.qlen, s.backlog = ne.Uint32(queue), ne.Uint32(queue[4:])
	s.drops = ne.Uint32(queue[8:])
	return s, nil
}
