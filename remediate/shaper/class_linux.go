package shaper

import (
	"errors"
	"fmt"
	"math"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// htbClass describes one class of ours. All but rsync's have the rate of the
// line: they are never out of tokens and pass as if nothing were there. HTB
// serves them first; rsync gets what its own rate allows.
type htbClass struct {
	id, parent uint32
	prio       uint32
	shape      tokenBucket
}

// unlimited is the shape of what is not limited.
func unlimited() tokenBucket { return tokenBucket{lineRate, lineRate / 1000} }

// addHTB puts the empty qdisc onto the root of a link. The kernel refuses
// (EEXIST) unless its own default stands there. What no filter and no priority
// places goes to the class def.
func (t *tc) addHTB(link int, def, qlen uint32) error {
	q := netlink.NewHtb(netlink.QdiscAttrs{LinkIndex: link, Handle: rootHandle, Parent: netlink.HANDLE_ROOT})
	q.Defcls, q.DirectQlen = def&0xffff, &qlen
	err := t.h.QdiscAdd(q)
	if errors.Is(err, unix.EEXIST) {
		return errors.New("root qdisc is not the kernel's default any more")
	}
	return err
}

// htb renders a class for the library. Priority and quantum are explicit: the
// defaults depend on the rate and the kernel warns in its log about some.
func (c htbClass) htb(link int) *netlink.HtbClass {
	burst := netlink.Xmittime(c.shape.rate, c.shape.burst)
	return &netlink.HtbClass{
		ClassAttrs: netlink.ClassAttrs{LinkIndex: link, Handle: c.id, Parent: c.parent},
		Rate:       c.shape.rate, Ceil: c.shape.rate,
		Buffer: burst, Cbuffer: burst,
		Prio: c.prio, Quantum: 60000,
	}
}

func (t *tc) addClass(link int, c htbClass) error {
	if err := t.h.ClassAdd(c.htb(link)); err != nil {
		return fmt.Errorf("class %x:%x: %w", c.id>>16, c.id&0xffff, err)
	}
	return nil
}

// setClass changes the rate of a class that exists; it never makes one.
func (t *tc) setClass(link int, c htbClass) error {
	err := t.h.ClassChange(c.htb(link))
	switch {
	case errors.Is(err, unix.ENODEV):
		return errLinkGone
	case errors.Is(err, unix.ENOENT):
		return errReplaced
	case err != nil:
		return fmt.Errorf("class %x:%x: %w", c.id>>16, c.id&0xffff, err)
	}
	return nil
}

func rsyncClass(parent uint32, s tokenBucket) htbClass {
	return htbClass{id: classRsync, parent: parent, prio: 7, shape: s}
}

// linkState is what the shaper asks about a link.
type linkState struct {
	name   string
	kind   string
	up     bool
	txqlen int
	mtu    int
	hw     [6]byte
}

func (t *tc) link(index int) (linkState, error) {
	l, err := t.h.LinkByIndex(index)
	return stateOf(l, err)
}

func (t *tc) linkNamed(name string) (int, linkState, error) {
	l, err := t.h.LinkByName(name)
	s, err := stateOf(l, err)
	if err != nil {
		return 0, s, err
	}
	return l.Attrs().Index, s, nil
}

// name is the name of a link (netdevice(7)), by a system call that costs next to
// nothing; ok is false when there is no such link.
func (t *tc) name(index int) (name string, ok bool) {
	var r unix.Ifreq
	r.SetUint32(uint32(index))
	err := unix.IoctlIfreq(t.ask, unix.SIOCGIFNAME, &r)
	return r.Name(), err == nil
}

// mtu is that of a link in bytes, as cheaply.
func (t *tc) mtu(name string) (bytes int, ok bool) {
	r, err := unix.NewIfreq(name)
	if err != nil || unix.IoctlIfreq(t.ask, unix.SIOCGIFMTU, r) != nil {
		return 0, false
	}
	return int(r.Uint32()), true
}

// flags are the flags of a link, as cheaply; ok is false when no link has that
// name and index.
func (t *tc) flags(name string, index int) (flags uint16, ok bool) {
	r, err := unix.NewIfreq(name)
	if err != nil || unix.IoctlIfreq(t.ask, unix.SIOCGIFINDEX, r) != nil || r.Uint32() != uint32(index) {
		return 0, false
	}
	err = unix.IoctlIfreq(t.ask, unix.SIOCGIFFLAGS, r)
	return r.Uint16(), err == nil
}

// keepQueueLen sets the link's queue length to what it was. The kernel raises
// one of 0 to its default with the first qdisc that is made on the link
// (qdisc_create in net/sched/sch_api.c), and nothing takes that back.
func (t *tc) keepQueueLen(index int, was linkState) error {
	now, err := t.link(index)
	if err != nil || now.txqlen == was.txqlen {
		return err
	}
	l := &netlink.GenericLink{LinkAttrs: netlink.LinkAttrs{Index: index}}
	if err := t.h.LinkSetTxQLen(l, was.txqlen); err != nil {
		return fmt.Errorf("queue length of link %q: %w", was.name, err)
	}
	return nil
}

func stateOf(l netlink.Link, err error) (linkState, error) {
	if errors.As(err, new(netlink.LinkNotFoundError)) || errors.Is(err, unix.ENODEV) {
		return linkState{}, errLinkGone
	}
	if err != nil {
		return linkState{}, err
	}
	a := l.Attrs()
	s := linkState{name: a.Name, kind: l.Type(), up: a.RawFlags&unix.IFF_UP != 0, txqlen: a.TxQLen, mtu: a.MTU}
	copy(s.hw[:], a.HardwareAddr)
	return s, nil
}

// queueLen is the length in packets of a queue that shall not be shorter than
// what the link had.
func queueLen(l linkState) uint32 {
	return uint32(min(max(l.txqlen, 1000), math.MaxInt32))
}
