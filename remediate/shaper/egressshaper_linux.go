package shaper

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"lifeline/remediate/process"
	"lifeline/remediate/remedy"
	"lifeline/remediate/sockopt"
	"lifeline/watchdog"
)

const (
	checkEvery    = time.Second     // between looks at what a shaper is made of
	countEvery    = 5 * time.Second // between counts of the filters' packets
	maxBacklogged = 3               // looks with a backlog in a row
)

// egressShaper is a shaper at the root of a link.
type egressShaper struct {
	egress
	link       int
	mtu        int // that it was built for
	members    map[watchdog.TransferID]*socketPriority
	cycle      uint64 // of hold
	checked    time.Time
	drops      uint32
	backlogged int
}

// check asks every time whether the link is there, and from time to time for
// the rest. It also watches management's class: a queue there means that the
// shaper, or what it is built on, does the opposite of what it is for.
func (e *egressShaper) check(now time.Time) error {
	name, ok := e.t.name(e.link)
	switch {
	case !ok:
		return errLinkGone
	case now.Sub(e.checked) < checkEvery:
		return nil
	}
	s, err := e.t.classStats(e.link, classMgmt)
	if err != nil {
		return err
	}
	e.checked = now
	if mtu, ok := e.t.mtu(name); ok && mtu != e.mtu { // larger packets would not fit into its queue
		return fmt.Errorf("the link's MTU changed from %d to %d", e.mtu, mtu)
	}
	return e.checkManagement(s)
}

func (e *egressShaper) checkManagement(s classStats) error {
	if s.drops != e.drops {
		return fmt.Errorf("management's class dropped %d packets", s.drops-e.drops)
	}
	if s.qlen == 0 {
		e.backlogged = 0
		return nil
	}
	if e.backlogged++; e.backlogged >= maxBacklogged {
		return fmt.Errorf("management's class has a backlog of %d bytes", s.backlog)
	}
	return nil
}

func (e *egressShaper) setRate(s tokenBucket) error {
	err := e.t.setClass(e.link, rsyncClass(classLine, s))
	if err != nil {
		e.checked = time.Time{}
	}
	return err
}

// setMembers puts the members' sockets into the rsync class. Applications overwrite
// the priority when they set IP_TOS, so it is read again and again.
func (e *egressShaper) setMembers(members []watchdog.Transfer, classes []wantedClass, now time.Time) []watchdog.Failure {
	var fails []watchdog.Failure
	e.cycle++
	for i := range classes {
		classes[i].err = errors.New("goes out: it is paced")
	}
	for i := range members {
		m := &members[i]
		if err := shapeable(m); err != nil {
			fails = append(fails, transferFailure(m.ID, err))
			continue
		}
		p := e.members[m.ID]
		if p == nil {
			p = &socketPriority{}
			e.members[m.ID] = p
		}
		p.cycle = e.cycle
		if err := e.prio.set(m, p, now); err != nil && !errors.Is(err, process.ErrGone) {
			fails = append(fails, transferFailure(m.ID, err))
		}
	}
	return append(fails, e.drop(func(p *socketPriority) bool { return p.cycle != e.cycle })...)
}

// releaseMembers drops all members. Of those whose sockets cannot be reached now the priorities
// go on trying.
func (e *egressShaper) releaseMembers() []watchdog.Failure {
	fails := e.drop(func(*socketPriority) bool { return true })
	for _, p := range e.members {
		e.prio.pending = append(e.prio.pending, p.entry)
	}
	return fails
}

// drop gives the sockets of some members their own priority back.
func (e *egressShaper) drop(which func(*socketPriority) bool) []watchdog.Failure {
	var dropped []watchdog.TransferID
	for id, p := range e.members {
		if which(p) {
			dropped = append(dropped, id)
		}
	}
	slices.Sort(dropped)
	var fails []watchdog.Failure
	for _, id := range dropped {
		switch err := e.prio.restore(e.members[id].entry); {
		case errors.Is(err, sockopt.ErrSearching):
			continue // the next call tries again
		case err != nil:
			fails = append(fails, transferFailure(id, err))
			continue
		}
		delete(e.members, id)
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
	return watchdog.Failure{Remedy: remedy.Shaper, Target: string(id), Err: err.Error()}
}
