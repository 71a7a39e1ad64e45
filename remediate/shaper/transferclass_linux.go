package shaper

import (
	"errors"
	"fmt"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"lifeline/remediate/remedy"
	"lifeline/watchdog"
)

// transferClass is a class of the ifb for one transfer. It needs no entry of its own in
// the ledger: it goes with the ifb, which has one.
type transferClass struct {
	n         uint32 // of the class, its queue and its filter
	rate      uint64 // bytes/s of the class
	cycle     uint64 // the last in which it was wanted
	unlimited bool   // it has no filter and no limit, and goes once it has run empty
}

func transferClassOf(n uint32, s tokenBucket) htbClass {
	return htbClass{id: firstTransferClass + n, parent: rootHandle, prio: 7, shape: s}
}

// setTransferClass gives a transfer its class, and leads its packets there: first the class,
// then what leads into it, so that no packet finds half of it.
func (g *ingressShaper) setTransferClass(o *wantedClass) error {
	f, err := flowOf(&o.transfer)
	if err := errors.Join(shapeable(&o.transfer), err); err != nil {
		return err
	}
	c := g.classes[f]
	switch {
	case c == nil:
		n, ok := g.freeClassNumber()
		if !ok {
			return errTooMany()
		}
		if err := g.addTransferClass(f, n, o.bucket); err != nil {
			return err
		}
		c = &transferClass{n: n, rate: o.bucket.rate}
		g.classes[f] = c
	case c.unlimited:
		if err := g.addTransferFilter(f, c.n); err != nil {
			return err
		}
		c.unlimited = false
	}
	if rateChanged(float64(c.rate), float64(o.bucket.rate)) {
		if err := g.t.setClass(g.ifb, transferClassOf(c.n, o.bucket)); err != nil {
			return err
		}
		c.rate = o.bucket.rate
	}
	c.cycle = g.cycle
	return g.addMember(f, o.transfer.Bytes)
}

// freeClassNumber is a number that no class has.
func (g *ingressShaper) freeClassNumber() (uint32, bool) {
	var used [maxTransferClasses]bool
	for _, c := range g.classes {
		used[c.n] = true
	}
	for n, taken := range used {
		if !taken {
			return uint32(n), true
		}
	}
	return 0, false
}

// addTransferClass makes the class of a flow, or nothing.
func (g *ingressShaper) addTransferClass(f flow, n uint32, s tokenBucket) error {
	if err := g.t.addClass(g.ifb, transferClassOf(n, s)); err != nil {
		return err
	}
	err := g.t.addLeaf(g.ifb, "bfifo", firstTransferLeaf+n<<16, firstTransferClass+n, s.queueBytes())
	if err == nil {
		err = g.addTransferFilter(f, n)
	}
	if err == nil {
		return nil
	}
	return errors.Join(fmt.Errorf("class %x:%x: %w", rootMajor, (firstTransferClass+n)&0xffff, err), g.t.deleteClass(g.ifb, firstTransferClass+n))
}

// addTransferFilter leads a flow that passes the ifb into its class.
func (g *ingressShaper) addTransferFilter(f flow, n uint32) error {
	u := u32(g.ifb, rootHandle, tableOf(f), f.matches())
	u.Priority, u.ClassId = firstTransferPrio+uint16(n), firstTransferClass+n
	if err := g.t.h.FilterAdd(u); err != nil {
		return fmt.Errorf("filter for %s: %w", f.remote, err)
	}
	return nil
}

func (g *ingressShaper) deleteTransferFilter(f flow, n uint32) error {
	info := (firstTransferPrio+n)<<16 | uint32(nl.Swap16(tableOf(f).proto()))
	return g.t.deleteFilter(g.ifb, tcObject{parent: rootHandle, info: info})
}

// removeUnwantedClasses takes the classes away that nobody wants any more: first their filter and
// their limit, and in the next cycle, when they are empty, themselves.
func (g *ingressShaper) removeUnwantedClasses() []watchdog.Failure {
	var fails []watchdog.Failure
	for f, c := range g.classes {
		if c.cycle == g.cycle {
			continue
		}
		if err := g.removeClass(f, c); err != nil {
			fails = append(fails, watchdog.Failure{Remedy: remedy.Shaper, Target: f.remote.String(), Err: err.Error()})
		}
	}
	return fails
}

func (g *ingressShaper) removeClass(f flow, c *transferClass) error {
	if c.unlimited {
		err := g.t.deleteClass(g.ifb, firstTransferClass+c.n)
		if err == nil {
			delete(g.classes, f)
		}
		return err
	}
	if err := g.deleteTransferFilter(f, c.n); err != nil {
		return err
	}
	c.unlimited = true
	all := unlimited()
	c.rate = all.rate
	return g.t.setClass(g.ifb, transferClassOf(c.n, all))
}

// checkTransferClasses is nil while all that holds single transfers is there.
func (g *ingressShaper) checkTransferClasses() error {
	if len(g.classes) == 0 {
		return nil
	}
	classes, err := g.t.dump(unix.RTM_GETTCLASS, g.ifb, 0)
	if err != nil {
		return fmt.Errorf("list classes: %w", err)
	}
	filters, err := g.t.filters(g.ifb, rootHandle)
	if err != nil {
		return err
	}
	there := map[uint32]int{}
	for _, o := range classes {
		there[o.handle]++
	}
	for _, o := range filters {
		if o.handle&maxNode != 0 { // else it is the table that holds it
			there[firstTransferClass+uint32(o.prio())-firstTransferPrio]++
		}
	}
	for _, c := range g.classes {
		if n := there[firstTransferClass+c.n]; n < 1 || n < 2 && !c.unlimited {
			return errReplaced
		}
	}
	return nil
}

// unlimitTransferClasses takes the limit off the classes of single transfers.
func (g ingress) unlimitTransferClasses(ifb int) error {
	classes, err := g.t.dump(unix.RTM_GETTCLASS, ifb, 0)
	for _, o := range classes {
		if n := o.handle - firstTransferClass; o.kind == "htb" && n < maxTransferClasses {
			err = errors.Join(err, g.t.setClass(ifb, transferClassOf(n, unlimited())))
		}
	}
	return err
}

// deleteClass deletes a class of ours; one that is gone is deleted.
func (t *tc) deleteClass(link int, class uint32) error {
	_, err := t.request(unix.RTM_DELTCLASS, unix.NLM_F_ACK, nl.TcMsg{Ifindex: int32(link), Handle: class}, "")
	if errors.Is(err, unix.ENOENT) || errors.Is(err, errLinkGone) {
		return nil
	}
	return err
}
