package shaper

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"lifeline/watchdog"
	"lifeline/watchdog/ledger"
)

// foreignError tells what of others hangs on a qdisc of ours and keeps it.
type foreignError struct{ what []string }

func (e foreignError) Error() string {
	return "left in place without a limit, because others use it: " + strings.Join(e.what, "; ")
}

// egress is the hook for outgoing transfers: HTB at the root of the link.
type egress struct {
	t     *tc
	prio  *priorities
	ports func() []uint16 // by which people get in over ssh; may be nil
}

// available says why no shaper may be put there; nil when it may.
func (e egress) available(link int) error {
	if err := linkUsable(e.t, link); err != nil {
		return err
	}
	return rootFree(e.t, link)
}

// linkUsable says why a link cannot carry a shaper at all.
func linkUsable(t *tc, link int) error {
	s, err := t.link(link)
	switch {
	case err != nil:
		return err
	case !s.up:
		return errors.New("link is down")
	case s.name == "lo" || s.kind == "ifb":
		return fmt.Errorf("link is of kind %q", s.kind)
	}
	return nil
}

// rootFree is nil when the kernel's own default stands at the root: that one
// always has the handle 0: and comes back by itself.
func rootFree(t *tc, link int) error {
	root, err := t.qdiscAt(link, netlink.HANDLE_ROOT)
	switch {
	case err != nil:
		return err
	case root.kind == "":
		return errors.New("no qdisc at the root")
	case isOurHTB(root):
		return errors.New("a shaper of an earlier run stands there")
	case root.handle != 0:
		return fmt.Errorf("an operator's %s qdisc (handle %x:) stands at the root", root.kind, root.handle>>16)
	}
	return nil
}

// isOurHTB compares kind, handle and default class.
func isOurHTB(o tcObject) bool {
	if o.kind != "htb" || o.handle != rootHandle {
		return false
	}
	opt, err := parseAttrs(o.attrs[nl.TCA_OPTIONS])
	if err != nil || len(opt[nl.TCA_HTB_INIT]) < nl.SizeofTcHtbGlob {
		return false
	}
	def := rootHandle | binary.NativeEndian.Uint32(opt[nl.TCA_HTB_INIT][8:]) // struct tc_htb_glob
	return def == classOther || def == classRsync
}

func (e egress) entry(link int) (ledger.Entry, error) {
	return qdiscEntry(e.t, link, "htb", rootHandle, netlink.HANDLE_ROOT)
}

func qdiscEntry(t *tc, link int, kind string, handle, parent uint32) (ledger.Entry, error) {
	s, err := t.link(link)
	if err != nil {
		return ledger.Entry{}, err
	}
	return ledger.Entry{Kind: ledger.Qdisc, TC: ledger.TC{Link: link, Name: s.name, Kind: kind, Handle: handle, Parent: parent}}, nil
}

func (e egress) install(link int, s tokenBucket) (installed, error) {
	state, err := e.t.link(link)
	if err != nil {
		return nil, err
	}
	if err := e.t.addHTB(link, classOther, queueLen(state)); err != nil {
		return nil, err
	}
	if err := e.fill(link, s, state); err != nil {
		return nil, err
	}
	if err := e.t.keepQueueLen(link, state); err != nil {
		return nil, err
	}
	return &egressShaper{egress: e, link: link, mtu: state.mtu, members: map[watchdog.TransferID]*socketPriority{}}, nil
}

func (e egress) fill(link int, s tokenBucket, state linkState) error {
	classes := []htbClass{
		{classLine, rootHandle, 0, unlimited()},
		{classOther, classLine, 1, unlimited()},
		{classMgmt, classLine, 0, unlimited()},
		rsyncClass(classLine, s),
	}
	for _, c := range classes {
		if err := e.t.addClass(link, c); err != nil {
			return err
		}
	}
	for leaf, class := range map[uint32]uint32{leafOther: classOther, leafMgmt: classMgmt} {
		if err := e.t.addLeaf(link, "pfifo", leaf, class, queueLen(state)); err != nil {
			return fmt.Errorf("queue of class %x:%x: %w", class>>16, class&0xffff, err)
		}
	}
	if err := e.addRsyncLeaf(link, s, state); err != nil {
		return fmt.Errorf("queue of rsync's class: %w", err)
	}
	for _, f := range mgmtFilters(link, e.sshPorts()) {
		if err := e.t.h.FilterAdd(f); err != nil {
			return fmt.Errorf("filter for management: %w", err)
		}
	}
	return nil
}

// addRsyncLeaf cuts packets where that pays and the kernel can (sch_tbf).
func (e egress) addRsyncLeaf(link int, s tokenBucket, state linkState) error {
	if s.segments(state.mtu) {
		err := e.t.addSegmenter(link, leafRsync, classRsync, state.mtu)
		if !errors.Is(err, unix.ENOENT) {
			return err
		}
	}
	return e.t.addLeaf(link, "pfifo", leafRsync, classRsync, queueLen(state))
}

// mostPorts is how many ports have room among the nodes of our filters, beside
// the two of ping.
const mostPorts = (maxLinkNodes - 2) / 2

// sshPorts are the ports whose packets are management's; the first ones where
// there are very many.
func (e egress) sshPorts() []uint16 {
	var ports []uint16
	if e.ports != nil {
		ports = e.ports()
	}
	if len(ports) == 0 {
		return []uint16{22}
	}
	return ports[:min(len(ports), mostPorts)]
}

// mgmtFilters send ping and the answers of the ssh servers to their class.
// Sockets of rsync over ssh never reach them: SO_PRIORITY goes first.
func mgmtFilters(link int, ports []uint16) []*netlink.U32 {
	v4, v6 := flowTables[0], flowTables[2]
	out := []*netlink.U32{
		u32(link, rootHandle, v4, []u32Match{{8, 0x00ff0000, unix.IPPROTO_ICMP << 16}}),
		u32(link, rootHandle, v6, []u32Match{{4, 0x0000ff00, unix.IPPROTO_ICMPV6 << 8}}),
	}
	for _, p := range ports {
		out = append(out,
			u32(link, rootHandle, v4, append(v4.entry(), u32Match{ports4, 0xffff0000, uint32(p) << 16})),
			u32(link, rootHandle, v6, append(v6.entry(), u32Match{ports6, 0xffff0000, uint32(p) << 16})))
	}
	for i, f := range out {
		f.Handle, f.ClassId = linkNode+uint32(i), classMgmt
	}
	return out
}

// u32 renders comparisons as a filter of one family at a hook.
func u32(link int, parent uint32, t flowTable, ms []u32Match) *netlink.U32 {
	sel := &netlink.TcU32Sel{Flags: netlink.TC_U32_TERMINAL}
	for _, m := range ms {
		sel.Keys = append(sel.Keys, netlink.TcU32Key{Mask: m.mask, Val: m.val, Off: m.off})
	}
	return &netlink.U32{
		FilterAttrs: netlink.FilterAttrs{LinkIndex: link, Parent: parent, Priority: t.prio(), Protocol: t.proto()},
		Sel:         sel,
	}
}

// intact is nil while the shaper stands.
func (e egress) intact(link int) error {
	root, err := e.t.qdiscAt(link, netlink.HANDLE_ROOT)
	if err == nil && !isOurHTB(root) {
		return errReplaced
	}
	return err
}
