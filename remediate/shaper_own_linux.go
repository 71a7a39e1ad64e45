package remediate

import (
	"errors"
	"fmt"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"lifeline/watchdog"
)

// ownStand is a class of the ifb for one transfer. It needs no entry of its own in
// the ledger: it goes with the ifb, which has one.
type ownStand struct {
	n    uint32 // of the class, its queue and its filter
	rate uint64 // bytes/s of the class
	turn uint64 // the last in which it was wanted
	free bool   // it has no filter and no limit, and goes once it has run empty
}

func ownClassOf(n uint32, s shaping) htbClass {
	return htbClass{id: classOwn + n, parent: shaperRoot, prio: 7, shape: s}
}

// holdOwn gives a transfer its class, and leads its packets there: first the class,
// then what leads into it, so that no packet finds half of it.
func (g *ingressStand) holdOwn(o *ownClass) error {
	f, err := flowOf(&o.transfer)
	if err := errors.Join(shapeable(&o.transfer), err); err != nil {
		return err
	}
	c := g.own[f]
	switch {
	case c == nil:
		n, ok := g.ownNumber()
		if !ok {
			return errTooMany()
		}
		if err := g.addOwn(f, n, o.shape); err != nil {
			return err
		}
		c = &ownStand{n: n, rate: o.shape.rate}
		g.own[f] = c
	case c.free:
		if err := g.addOwnFilter(f, c.n); err != nil {
			return err
		}
		c.free = false
	}
	if rateChanged(float64(c.rate), float64(o.shape.rate)) {
		if err := g.t.setClass(g.ifb, ownClassOf(c.n, o.shape)); err != nil {
			return err
		}
		c.rate = o.shape.rate
	}
	c.turn = g.turn
	return g.lead(f, o.transfer.Bytes)
}

// ownNumber is a number that no class has.
func (g *ingressStand) ownNumber() (uint32, bool) {
	var used [maxOwn]bool
	for _, c := range g.own {
		used[c.n] = true
	}
	for n, taken := range used {
		if !taken {
			return uint32(n), true
		}
	}
	return 0, false
}

// addOwn makes the class of a flow, or nothing.
func (g *ingressStand) addOwn(f flow, n uint32, s shaping) error {
	if err := g.t.addClass(g.ifb, ownClassOf(n, s)); err != nil {
		return err
	}
	err := g.t.addLeaf(g.ifb, "bfifo", leafOwn+n<<16, classOwn+n, s.ownQueue())
	if err == nil {
		err = g.addOwnFilter(f, n)
	}
	if err == nil {
		return nil
	}
	return errors.Join(fmt.Errorf("class %x:%x: %w", shaperMajor, (classOwn+n)&0xffff, err), g.t.deleteClass(g.ifb, classOwn+n))
}

// addOwnFilter leads a flow that passes the ifb into its class.
func (g *ingressStand) addOwnFilter(f flow, n uint32) error {
	u := u32(g.ifb, shaperRoot, tableOf(f), f.matches())
	u.Priority, u.ClassId = ownPrio+uint16(n), classOwn+n
	if err := g.t.h.FilterAdd(u); err != nil {
		return fmt.Errorf("filter for %s: %w", f.remote, err)
	}
	return nil
}

func (g *ingressStand) deleteOwnFilter(f flow, n uint32) error {
	info := (ownPrio+n)<<16 | uint32(nl.Swap16(tableOf(f).proto()))
	return g.t.deleteFilter(g.ifb, tcObject{parent: shaperRoot, info: info})
}

// freeOwn takes the classes away that nobody wants any more: first their filter and
// their limit, and in the next turn, when they are empty, themselves.
func (g *ingressStand) freeOwn() []watchdog.Failure {
	var fails []watchdog.Failure
	for f, c := range g.own {
		if c.turn == g.turn {
			continue
		}
		if err := g.freeOne(f, c); err != nil {
			fails = append(fails, watchdog.Failure{Remedy: remedyShaper, Target: f.remote.String(), Err: err.Error()})
		}
	}
	return fails
}

func (g *ingressStand) freeOne(f flow, c *ownStand) error {
	if c.free {
		err := g.t.deleteClass(g.ifb, classOwn+c.n)
		if err == nil {
			delete(g.own, f)
		}
		return err
	}
	if err := g.deleteOwnFilter(f, c.n); err != nil {
		return err
	}
	c.free = true
	all := unlimited()
	c.rate = all.rate
	return g.t.setClass(g.ifb, ownClassOf(c.n, all))
}

// checkOwn is nil while all that holds single transfers is there.
func (g *ingressStand) checkOwn() error {
	if len(g.own) == 0 {
		return nil
	}
	classes, err := g.t.dump(unix.RTM_GETTCLASS, g.ifb, 0)
	if err != nil {
		return fmt.Errorf("list classes: %w", err)
	}
	filters, err := g.t.filters(g.ifb, shaperRoot)
	if err != nil {
		return err
	}
	there := map[uint32]int{}
	for _, o := range classes {
		there[o.handle]++
	}
	for _, o := range filters {
		if o.handle&maxNode != 0 { // else it is the table that holds it
			there[classOwn+uint32(o.prio())-ownPrio]++
		}
	}
	for _, c := range g.own {
		if n := there[classOwn+c.n]; n < 1 || n < 2 && !c.free {
			return errReplaced
		}
	}
	return nil
}

// liftOwn takes the limit off the classes of single transfers.
func (g ingress) liftOwn(ifb int) error {
	classes, err := g.t.dump(unix.RTM_GETTCLASS, ifb, 0)
	for _, o := range classes {
		if n := o.handle - classOwn; o.kind == "htb" && n < maxOwn {
			err = errors.Join(err, g.t.setClass(ifb, ownClassOf(n, unlimited())))
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
