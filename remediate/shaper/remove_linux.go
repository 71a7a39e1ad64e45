package shaper

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// drainTime bounds how long a queue may take to empty before it is deleted.
const drainTime = 10 * time.Millisecond

// remove takes away what is ours. What was replaced meanwhile, or went with its
// link, needs nothing. A foreignError tells what had to stay.
func (e egress) remove(link int, _ bool) error {
	err := e.intact(link)
	if errors.Is(err, errReplaced) || errors.Is(err, errLinkGone) {
		return nil
	}
	if err != nil {
		return err
	}
	foreign, err := e.foreign(link)
	if err != nil {
		return err
	}
	err = e.t.drain(link, rsyncClass(classLine, unlimited()))
	if len(foreign) == 0 {
		return e.t.deleteQdisc(link, "htb", rootHandle, netlink.HANDLE_ROOT)
	}
	if err != nil && !errors.Is(err, errReplaced) {
		return err // the limit would stay
	}
	return errors.Join(foreignError{describe(foreign)}, e.strip(link, foreign))
}

// drain lifts the limit of a class and lets its queue run empty.
func (t *tc) drain(link int, c htbClass) error {
	if err := t.setClass(link, c); err != nil {
		return err
	}
	for end := time.Now().Add(drainTime); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if s, err := t.classStats(link, c.id); err != nil || s.qlen == 0 {
			return nil // empty, or nothing to be seen
		}
	}
	return nil
}

// isOurEgress says whether an object beneath the root is one that we made.
func isOurEgress(o tcObject) bool {
	switch o.handle {
	case classLine, classMgmt, classOther, classRsync:
		return o.kind == "htb"
	case leafMgmt, leafOther:
		return o.kind == "pfifo"
	case leafRsync:
		return o.kind == "pfifo" || o.kind == "tbf"
	}
	return false
}

// isOurFilter says whether a filter is in one of our two places: our priority,
// our protocol, and a node that we number ourselves or a table of ours.
func isOurFilter(o tcObject) bool {
	if o.kind != "u32" || !(o.prio() == filterPrio4 && o.proto() == flowTables[0].proto() ||
		o.prio() == filterPrio6 && o.proto() == flowTables[2].proto()) {
		return false
	}
	table, node := o.handle>>20, o.handle&maxNode
	switch {
	case table >= firstAutoTable: // the table that the kernel makes for a priority
		return node == 0 || node >= linkNode && node < linkNode+maxLinkNodes
	case table == 0: // the priority itself
		return node == 0
	}
	return table >= flowTables[0].id && table <= flowTables[len(flowTables)-1].id
}

// splitFilters tells our filters from those of others.
func splitFilters(filters []tcObject) (own, foreign []tcObject) {
	for _, o := range filters {
		if isOurFilter(o) {
			own = append(own, o)
		} else {
			foreign = append(foreign, o)
		}
	}
	return own, foreign
}

// foreign lists what others hung onto our qdisc, each with its parent.
func (e egress) foreign(link int) ([]tcObject, error) {
	classes, err := e.t.dump(unix.RTM_GETTCLASS, link, 0)
	if err != nil {
		return nil, fmt.Errorf("list classes: %w", err)
	}
	qdiscs, err := e.t.dump(unix.RTM_GETQDISC, link, 0)
	if err != nil {
		return nil, fmt.Errorf("list qdiscs: %w", err)
	}
	parents := []uint32{rootHandle}
	var out []tcObject
	for _, o := range classes {
		if o.handle>>16 == rootMajor {
			parents = append(parents, o.handle)
		}
	}
	for _, o := range slices.Concat(classes, qdiscs) {
		inside := o.handle>>16 == rootMajor || o.parent>>16 == rootMajor
		if inside && o.handle != rootHandle && !isOurEgress(o) {
			out = append(out, o)
		}
	}
	filters, err := e.t.filters(link, parents...)
	_, others := splitFilters(filters)
	return append(out, others...), err
}

// filters lists the filters below several parents, with their hash tables.
func (t *tc) filters(link int, parents ...uint32) ([]tcObject, error) {
	var out []tcObject
	for _, p := range parents {
		got, err := t.dump(unix.RTM_GETTFILTER, link, p)
		if err != nil {
			return nil, fmt.Errorf("list filters: %w", err)
		}
		for _, o := range got {
			o.parent = p
			out = append(out, o)
		}
	}
	return out, nil
}

// strip takes our parts off a qdisc that others keep alive. A class of ours on
// which something of theirs hangs stays; it has no limit any more.
func (e egress) strip(link int, foreign []tcObject) error {
	filters, err := e.t.filters(link, rootHandle)
	if err != nil {
		return err
	}
	own, others := splitFilters(filters)
	err = e.t.deleteFilters(link, own, others, false)
	for _, class := range []uint32{classRsync, classMgmt, classOther, classLine} {
		if slices.ContainsFunc(foreign, func(o tcObject) bool { return o.parent == class }) {
			continue
		}
		m := nl.TcMsg{Ifindex: int32(link), Handle: class}
		_, e := e.t.request(unix.RTM_DELTCLASS, unix.NLM_F_ACK, m, "")
		// EBUSY: a filter of theirs leads there, or it has children.
		if e != nil && !errors.Is(e, unix.ENOENT) && !errors.Is(e, unix.EBUSY) {
			err = errors.Join(err, fmt.Errorf("delete class %x:%x: %w", class>>16, class&0xffff, e))
		}
	}
	return err
}

// deleteFilters deletes those of the listed filters that are ours. Priorities
// that are all ours go as a whole, unless the mark is to stay; else first what
// leads into our tables, then the tables' filters. The empty tables stay (the
// kernel counts them as used for a while yet) and do nothing.
func (t *tc) deleteFilters(link int, own, foreign []tcObject, keepMark bool) error {
	shared := map[uint32]bool{filterInfo(markTable): keepMark}
	for _, o := range foreign {
		shared[o.info] = true
	}
	var whole, leads, flows []tcObject
	for _, o := range own {
		table, node := o.handle>>20, o.handle&maxNode
		switch {
		case !shared[o.info] && o.handle == 0:
			whole = append(whole, o)
		case shared[o.info] && node != 0 && table >= firstAutoTable:
			leads = append(leads, o)
		case shared[o.info] && node != 0 && !(keepMark && o.handle == markHandle()):
			flows = append(flows, o)
		}
	}
	var errs []error
	for _, o := range slices.Concat(whole, leads, flows) {
		if err := t.deleteFilter(link, o); err != nil {
			errs = append(errs, fmt.Errorf("delete filter %x of priority %d: %w", o.handle, o.prio(), err))
		}
	}
	return errors.Join(errs...)
}

// describe names objects, filters of one priority once.
func describe(objects []tcObject) []string {
	var out []string
	for _, o := range objects {
		if s := o.String(); !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

// hasFilter says whether there is a filter with that parent, priority and handle.
func (t *tc) hasFilter(link int, o tcObject) (bool, error) {
	m := nl.TcMsg{Ifindex: int32(link), Handle: o.handle, Parent: o.parent, Info: o.info}
	got, err := t.request(unix.RTM_GETTFILTER, unix.NLM_F_ACK, m, "u32")
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EINVAL) {
		return false, nil // or not even a qdisc to hold it
	}
	return len(got) > 0, err
}

func (t *tc) deleteFilter(link int, o tcObject) error {
	m := nl.TcMsg{Ifindex: int32(link), Handle: o.handle, Parent: o.parent, Info: o.info}
	_, err := t.request(unix.RTM_DELTFILTER, unix.NLM_F_ACK, m, "u32")
	if errors.Is(err, unix.ENOENT) || errors.Is(err, errLinkGone) {
		return nil
	}
	return err
}
