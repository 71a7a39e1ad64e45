package shaper

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"lifeline/watchdog/ledger"
)

// ingress is the hook for incoming transfers: filters on an ingress qdisc send
// their packets, and only theirs, through an ifb with HTB and back.
type ingress struct{ t *tc }

// ifbQueue is the queue of the ifb in packets. These may be of 64 kB each:
// what arrives has been put together by GRO.
const ifbQueue = 1000

func (g ingress) available(link int) error {
	if err := linkUsable(g.t, link); err != nil {
		return err
	}
	q, err := g.t.qdiscAt(link, netlink.HANDLE_INGRESS)
	if err != nil {
		return err
	}
	if q.kind != "" && q.handle != 0 {
		return fmt.Errorf("an operator's %s qdisc stands on the link", q.kind)
	}
	switch _, s, err := g.t.linkNamed(ifbName(link)); {
	case errors.Is(err, errLinkGone):
		return nil
	case err != nil:
		return err
	case isOurIFB(s, link):
		return errors.New("a shaper of an earlier run stands there")
	default:
		return fmt.Errorf("a link named %s exists and is not ours", ifbName(link))
	}
}

func isOurIFB(s linkState, link int) bool {
	return s.kind == "ifb" && s.hw == ifbAddr(link)
}

func (g ingress) entry(link int) (ledger.Entry, error) {
	return qdiscEntry(g.t, link, "ingress", ingressHandle, netlink.HANDLE_INGRESS)
}

// install builds the ifb and what leads there, without any flow yet.
func (g ingress) install(link int, s tokenBucket) (installed, error) {
	state, err := g.t.link(link)
	if err != nil {
		return nil, err
	}
	ifb, err := g.addIFB(link, s)
	if err != nil {
		return nil, err
	}
	q := &netlink.Ingress{QdiscAttrs: netlink.QdiscAttrs{LinkIndex: link, Handle: ingressHandle, Parent: netlink.HANDLE_INGRESS}}
	if err := g.t.h.QdiscAdd(q); err != nil {
		return nil, fmt.Errorf("ingress qdisc: %w", err)
	}
	if err := g.t.keepQueueLen(link, state); err != nil {
		return nil, err
	}
	if err := g.addTables(link, ifb); err != nil {
		return nil, err
	}
	entrance, err := g.entrance(link)
	if err != nil {
		return nil, err
	}
	return &ingressShaper{
		ingress: g, link: link, ifb: ifb, name: ifbName(link), entrance: entrance,
		flows: map[flow]*flowFilter{}, classes: map[flow]*transferClass{}, used: map[uint32]bool{},
	}, nil
}

// entrance is the handle of the first filter that leads into a table; the
// kernel numbers the table that holds it.
func (g ingress) entrance(link int) (uint32, error) {
	filters, err := g.t.filters(link, ingressHandle)
	for _, o := range filters {
		if isOurFilter(o) && o.handle&maxNode == linkNode && o.handle>>20 >= firstAutoTable {
			return o.handle, nil
		}
	}
	return 0, cmp.Or(err, errReplaced)
}

func (g ingress) addIFB(link int, s tokenBucket) (int, error) {
	if err := checkIFBModule(hostModules{}); err != nil {
		return 0, err
	}
	name, hw := ifbName(link), ifbAddr(link)
	dev := &netlink.Ifb{LinkAttrs: netlink.LinkAttrs{Name: name, HardwareAddr: hw[:], TxQLen: ifbQueue}}
	if err := g.t.h.LinkAdd(dev); err != nil {
		return 0, fmt.Errorf("link %s: add: %w", name, err)
	}
	ifb, _, err := g.t.linkNamed(name)
	if err != nil {
		return 0, fmt.Errorf("link %s: %w", name, err)
	}
	dev.Index = ifb
	// No IPv6 address, no router solicitation: it carries others' packets only.
	// A kernel without IPv6 refuses and needs none.
	_ = g.t.h.LinkSetIP6AddrGenMode(dev, nl.IN6_ADDR_GEN_MODE_NONE)
	if err := g.t.h.LinkSetUp(dev); err != nil {
		return ifb, fmt.Errorf("link %s: up: %w", name, err)
	}
	if err := g.t.addHTB(ifb, classRsync, ifbQueue); err != nil {
		return ifb, fmt.Errorf("link %s: %w", name, err)
	}
	if err := g.t.addClass(ifb, rsyncClass(rootHandle, s)); err != nil {
		return ifb, fmt.Errorf("link %s: %w", name, err)
	}
	if err := g.t.addLeaf(ifb, "pfifo", leafRsync, classRsync, ifbQueue); err != nil {
		return ifb, fmt.Errorf("link %s: queue: %w", name, err)
	}
	return ifb, nil
}

// addTables makes the hash tables and then the filters that lead into them.
func (g ingress) addTables(link, ifb int) error {
	for i, t := range flowTables {
		m := nl.TcMsg{Ifindex: int32(link), Parent: ingressHandle, Handle: t.handle(), Info: filterInfo(t)}
		opt := nl.NewRtAttr(nl.TCA_OPTIONS, nil)
		opt.AddRtAttr(nl.TCA_U32_DIVISOR, nl.Uint32Attr(256))
		if _, err := g.t.request(unix.RTM_NEWTFILTER, unix.NLM_F_CREATE|unix.NLM_F_EXCL|unix.NLM_F_ACK, m, "u32", opt); err != nil {
			return fmt.Errorf("filter table %x: %w", t.id, err)
		}
		f := u32(link, ingressHandle, t, t.entry())
		f.Handle, f.Link, f.Sel.Flags = linkNode+uint32(i), t.handle(), 0
		f.Sel.Hoff, f.Sel.Hmask = t.hash()
		if err := g.t.h.FilterAdd(f); err != nil {
			return fmt.Errorf("filter into table %x: %w", t.id, err)
		}
	}
	mark := u32(link, ingressHandle, markTable, markMatch)
	mark.Handle, mark.Hash = markHandle(), markTable.handle()
	if err := g.t.h.FilterAdd(mark); err != nil {
		return fmt.Errorf("mark: %w", err)
	}
	return nil
}

// filterInfo is tcm_info: priority and protocol in network order.
func filterInfo(t flowTable) uint32 {
	return uint32(t.prio())<<16 | uint32(nl.Swap16(t.proto()))
}

// addFlow leads the packets of one transfer through the ifb.
func (g ingress) addFlow(link, ifb int, f flow, handle uint32) error {
	t := tableOf(f)
	u := u32(link, ingressHandle, t, f.matches())
	u.Handle, u.Hash = handle, handle&^maxNode
	u.Actions = []netlink.Action{netlink.NewMirredAction(ifb)}
	return g.t.h.FilterAdd(u)
}

func (g ingress) deleteFlow(link int, f flow, handle uint32) error {
	return g.t.deleteFilter(link, tcObject{handle: handle, parent: ingressHandle, info: filterInfo(tableOf(f))})
}

// lift takes the limits off all classes of the ifb of a link.
func (g ingress) lift(link int) error {
	ifb, _, err := g.t.linkNamed(ifbName(link))
	if err == nil {
		err = g.unlimitTransferClasses(ifb)
	}
	if err == nil {
		err = g.t.setClass(ifb, rsyncClass(rootHandle, unlimited()))
	}
	if err != nil {
		return fmt.Errorf("link %s: %w", ifbName(link), err)
	}
	return nil
}

// remove takes away what is ours: filters first, for packets that are led to a
// link that is gone are lost. An ingress qdisc bears no mark of its own; it is
// ours when filters of ours are on it. One without any filter is ours only when
// we died while building it (bare).
func (g ingress) remove(link int, bare bool) error {
	q, err := g.t.qdiscAt(link, netlink.HANDLE_INGRESS)
	if err != nil {
		return err
	}
	if q.kind != "ingress" {
		return g.removeIFB(link)
	}
	filters, err := g.t.filters(link, ingressHandle)
	if err != nil {
		return err
	}
	own, foreign := splitFilters(filters)
	switch {
	case len(foreign) > 0:
		return g.leaveToOthers(link, own, foreign)
	case len(own) > 0:
		if err := g.t.deleteFilters(link, own, nil, true); err != nil {
			return err
		}
		err = g.t.deleteQdisc(link, "ingress", ingressHandle, netlink.HANDLE_INGRESS)
	case bare && g.hasIFB(link):
		err = g.t.deleteQdisc(link, "ingress", ingressHandle, netlink.HANDLE_INGRESS)
	}
	return errors.Join(err, g.removeIFB(link))
}

// leaveToOthers ends our part when others have filters on the qdisc. The mark stays, so
// that the qdisc is known as ours and goes once they have gone; the ifb stays,
// without a limit, where one of them may lead packets into it.
func (g ingress) leaveToOthers(link int, own, foreign []tcObject) error {
	if err := g.t.deleteFilters(link, own, foreign, true); err != nil {
		return err
	}
	used := g.hasIFB(link) && slices.ContainsFunc(foreign, func(o tcObject) bool {
		return bytes.Contains(o.attrs[nl.TCA_OPTIONS], []byte("mirred\x00"))
	})
	var err error
	if used {
		err = g.lift(link)
	} else {
		err = g.removeIFB(link)
	}
	if len(own) == 0 && !used {
		return err // theirs altogether
	}
	return errors.Join(foreignError{describe(foreign)}, err)
}

func (g ingress) hasIFB(link int) bool {
	_, s, err := g.t.linkNamed(ifbName(link))
	return err == nil && isOurIFB(s, link)
}

// removeIFB lets the queue of the ifb run empty and deletes it.
func (g ingress) removeIFB(link int) error {
	ifb, s, err := g.t.linkNamed(ifbName(link))
	if errors.Is(err, errLinkGone) || err == nil && !isOurIFB(s, link) {
		return nil
	}
	if err != nil {
		return err
	}
	// Whether it drains or not, it is deleted: TCP sends again what is lost.
	_ = g.unlimitTransferClasses(ifb)
	_ = g.t.drain(ifb, rsyncClass(rootHandle, unlimited()))
	err = g.t.h.LinkDel(&netlink.Ifb{LinkAttrs: netlink.LinkAttrs{Index: ifb}})
	if errors.Is(err, unix.ENODEV) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("link %s: delete: %w", ifbName(link), err)
	}
	return nil
}

// hits are the packets that each filter of ours has led away, by handle.
func (g ingress) hits(link int) (map[uint32]uint32, error) {
	filters, err := g.t.dump(unix.RTM_GETTFILTER, link, ingressHandle)
	if err != nil {
		return nil, err
	}
	out := map[uint32]uint32{}
	for _, o := range filters {
		if n, ok := actionPackets(o); ok && isOurFilter(o) {
			out[o.handle] = n
		}
	}
	return out, nil
}

// actionPackets reads how many packets the first action of a u32 filter saw:
// TCA_OPTIONS / TCA_U32_ACT / 1 / TCA_ACT_STATS / TCA_STATS_BASIC.
func actionPackets(o tcObject) (uint32, bool) {
	b := o.attrs[nl.TCA_OPTIONS]
	for _, typ := range []uint16{nl.TCA_U32_ACT, nl.TCA_ACT_TAB, nl.TCA_ACT_STATS, nl.TCA_STATS_BASIC} {
		attrs, err := parseAttrs(b)
		if err != nil || attrs[typ] == nil {
			return 0, false
		}
		b = attrs[typ]
	}
	if len(b) < 12 {
		return 0, false
	}
	return binary.NativeEndian.Uint32(b[8:]), true
}
