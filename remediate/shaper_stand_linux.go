package remediate

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"lifeline/watchdog"
)

const (
	healthEvery = time.Second     // between looks at what a shaper is made of
	hitsEvery   = 5 * time.Second // between counts of the filters' packets
	strainLimit = 3               // looks with a backlog in a row
)

// egressStand is a shaper at the root of a link.
type egressStand struct {
	egress
	link   int
	mtu    int // that it was built for
	in     map[watchdog.TransferID]*priority
	turn   uint64 // of hold
	looked time.Time
	drops  uint32
	strain int
}

// check asks every time whether the link is there, and from time to time for
// the rest. It also watches management's class: a queue there means that the
// shaper, or what it is built on, does the opposite of what it is for.
func (e *egressStand) check(now time.Time) error {
	name, ok := e.t.name(e.link)
	switch {
	case !ok:
		return errLinkGone
	case now.Sub(e.looked) < healthEvery:
		return nil
	}
	s, err := e.t.classStats(e.link, classMgmt)
	if err != nil {
		return err
	}
	e.looked = now
	if mtu, ok := e.t.mtu(name); ok && mtu != e.mtu { // larger packets would not fit into its queue
		return fmt.Errorf("the link's MTU changed from %d to %d", e.mtu, mtu)
	}
	return e.judge(s)
}

func (e *egressStand) judge(s classStats) error {
	if s.drops != e.drops {
		return fmt.Errorf("management's class dropped %d packets", s.drops-e.drops)
	}
	if s.qlen == 0 {
		e.strain = 0
		return nil
	}
	if e.strain++; e.strain >= strainLimit {
		return fmt.Errorf("management's class has a backlog of %d bytes", s.backlog)
	}
	return nil
}

func (e *egressStand) setRate(s shaping) error {
	err := e.t.setClass(e.link, rsyncClass(classLine, s))
	if err != nil {
		e.looked = time.Time{}
	}
	return err
}

// hold puts the members' sockets into the rsync class. Applications overwrite
// the priority when they set IP_TOS, so it is read again and again.
func (e *egressStand) hold(members []watchdog.Transfer, own []ownClass, now time.Time) []watchdog.Failure {
	var fails []watchdog.Failure
	e.turn++
	for i := range own {
		own[i].err = errors.New("goes out: it is paced")
	}
	for i := range members {
		m := &members[i]
		if err := shapeable(m); err != nil {
			fails = append(fails, transferFailure(m.ID, err))
			continue
		}
		p := e.in[m.ID]
		if p == nil {
			p = &priority{}
			e.in[m.ID] = p
		}
		p.turn = e.turn
		if err := e.prio.set(m, p, now); err != nil && !errors.Is(err, ErrGone) {
			fails = append(fails, transferFailure(m.ID, err))
		}
	}
	return append(fails, e.drop(func(p *priority) bool { return p.turn != e.turn })...)
}

// release drops all members. Of those whose sockets cannot be reached now the priorities
// go on trying.
func (e *egressStand) release() []watchdog.Failure {
	fails := e.drop(func(*priority) bool { return true })
	for _, p := range e.in {
		e.prio.left = append(e.prio.left, p.entry)
	}
	return fails
}

// drop gives the sockets of some members their own priority back.
func (e *egressStand) drop(which func(*priority) bool) []watchdog.Failure {
	var dropped []watchdog.TransferID
	for id, p := range e.in {
		if which(p) {
			dropped = append(dropped, id)
		}
	}
	slices.Sort(dropped)
	var fails []watchdog.Failure
	for _, id := range dropped {
		switch err := e.prio.restore(e.in[id].entry); {
		case errors.Is(err, errSought):
			continue // the next call tries again
		case err != nil:
			fails = append(fails, transferFailure(id, err))
			continue
		}
		delete(e.in, id)
	}
	return fails
}

// shapeable says why a transfer must not or cannot pass through a shaper.
func shapeable(t *watchdog.Transfer) error {
	switch {
	case t.Foreign:
		return errors.New("in another network namespace: the shaper does not reach it")
	case t.Control == watchdog.ControlPauseOnly || t.Control == watchdog.ControlNone:
		return fmt.Errorf("may not be limited: %s", t.Why)
	}
	return nil
}

func transferFailure(id watchdog.TransferID, err error) watchdog.Failure {
	return watchdog.Failure{Remedy: remedyShaper, Target: string(id), Err: err.Error()}
}

// ingressStand is a shaper for what comes in on a link.
type ingressStand struct {
	ingress
	link, ifb int
	name      string // of the ifb
	entrance  uint32 // handle of a filter that leads into a table
	looked    time.Time
	flows     map[flow]*flowFilter
	own       map[flow]*ownStand // classes of single transfers
	used      map[uint32]bool    // handles in use
	turn      uint64             // of hold
	counted   time.Time
	passing   bool // some transfer passes by its filter
}

// flowFilter is the filter of one flow.
type flowFilter struct {
	handle uint32
	hits   uint32 // packets that it led away, at the last count
	bytes  uint64 // of the transfer, at the last count
	passes bool   // the transfer moves and the filter sees none of it
	turn   uint64 // the last in which a member was led by it
}

// check asks every time whether the ifb is there and up, as packets that are
// led to one that is not are lost, and from time to time for the rest.
func (g *ingressStand) check(now time.Time) error {
	flags, ok := g.t.flags(g.name, g.ifb)
	up := ok && flags&unix.IFF_UP != 0
	if up && now.Sub(g.looked) < healthEvery {
		return nil
	}
	g.looked = now
	switch ok, err := g.t.hasFilter(g.link, tcObject{handle: g.entrance, parent: ingressHandle, info: filterInfo(flowTables[0])}); {
	case err != nil:
		return err
	case !ok:
		return errReplaced
	}
	_, err := g.t.classStats(g.ifb, classRsync)
	if err == nil && !up {
		err = errors.New("is down")
	}
	if err == nil {
		err = g.checkOwn()
	}
	if err != nil {
		return fmt.Errorf("link %s was changed by others: %s", g.name, err)
	}
	return nil
}

func (g *ingressStand) setRate(s shaping) error {
	err := g.t.setClass(g.ifb, rsyncClass(shaperRoot, s))
	if err != nil {
		g.looked = time.Time{}
	}
	return err
}

// hold makes the filters those of the members' connections.
func (g *ingressStand) hold(members []watchdog.Transfer, own []ownClass, now time.Time) []watchdog.Failure {
	var fails []watchdog.Failure
	g.turn++
	for i := range own {
		if o := &own[i]; o.err == nil {
			o.err = g.holdOwn(o)
		}
	}
	for i := range members {
		m := &members[i]
		f, err := flowOf(m)
		if err = errors.Join(shapeable(m), err); err == nil {
			err = g.lead(f, m.Bytes)
		}
		if err != nil {
			fails = append(fails, transferFailure(m.ID, err))
		}
	}
	for f, ff := range g.flows {
		if ff.turn == g.turn {
			continue
		}
		if err := g.deleteFlow(g.link, f, ff.handle); err != nil {
			fails = append(fails, watchdog.Failure{Remedy: remedyShaper, Target: f.remote.String(), Err: err.Error()})
			continue
		}
		delete(g.used, ff.handle)
		delete(g.flows, f)
	}
	fails = append(fails, g.freeOwn()...)
	return append(fails, g.audit(members, own, now)...)
}

// lead makes the filter of a flow, unless it is there.
func (g *ingressStand) lead(f flow, bytes uint64) error {
	if ff := g.flows[f]; ff != nil {
		ff.turn = g.turn
		return nil
	}
	handle, ok := freeHandle(f, g.used)
	if !ok {
		return errors.New("no room in the filter table")
	}
	if err := g.addFlow(g.link, g.ifb, f, handle); err != nil {
		return fmt.Errorf("filter for %s: %w", f.remote, err)
	}
	g.used[handle] = true
	g.flows[f] = &flowFilter{handle: handle, bytes: bytes, turn: g.turn}
	return nil
}

func freeHandle(f flow, used map[uint32]bool) (uint32, bool) {
	t := tableOf(f)
	for node := uint32(1); node < markNode; node++ {
		if h := filterHandle(t, t.bucket(f), node); !used[h] {
			return h, true
		}
	}
	return 0, false
}

// unseenBytes is what a transfer must have moved past its filter before it is
// reported.
const unseenBytes = 1 << 20

// audit reports transfers whose packets do not look as their sockets say.
func (g *ingressStand) audit(members []watchdog.Transfer, own []ownClass, now time.Time) []watchdog.Failure {
	if now.Sub(g.counted) >= hitsEvery {
		g.counted = now
		hits, err := g.hits(g.link)
		if err != nil {
			return []watchdog.Failure{{Remedy: remedyShaper, Target: g.name, Err: fmt.Sprintf("count packets: %v", err)}}
		}
		g.passing = false
		for i := range members {
			g.compare(&members[i], hits)
		}
		for i := range own {
			g.compare(&own[i].transfer, hits)
		}
	}
	if !g.passing {
		return nil
	}
	for i := range own {
		if o := &own[i]; o.err == nil && g.passes(&o.transfer) {
			o.err = errPasses
		}
	}
	var fails []watchdog.Failure
	for i := range members {
		if m := &members[i]; g.passes(m) {
			fails = append(fails, transferFailure(m.ID, errPasses))
		}
	}
	return fails
}

var errPasses = errors.New("not limited: its packets carry other addresses than its socket, or IP options (address translation, a tunnel?)")

// passes says that a transfer moves and its filter sees none of it.
func (g *ingressStand) passes(t *watchdog.Transfer) bool {
	f, err := flowOf(t)
	return err == nil && g.flows[f] != nil && g.flows[f].passes
}

// compare holds what the filter of a transfer saw against what it moved.
func (g *ingressStand) compare(t *watchdog.Transfer, hits map[uint32]uint32) {
	f, err := flowOf(t)
	ff := g.flows[f]
	if err != nil || ff == nil {
		return
	}
	n, there := hits[ff.handle]
	switch {
	case !there: // taken away by somebody: made anew with the next call
		delete(g.used, ff.handle)
		delete(g.flows, f)
	case n != ff.hits:
		ff.hits, ff.bytes, ff.passes = n, t.Bytes, false
	case t.Bytes < ff.bytes: // another connection with the same addresses
		ff.bytes = t.Bytes
	case t.Bytes-ff.bytes >= unseenBytes:
		ff.passes = true
	}
	g.passing = g.passing || ff.passes
}

// release has nothing to do: the filters go first when the shaper is removed.
func (g *ingressStand) release() []watchdog.Failure { return nil }
