package rsync

import (
	"context"
	"sync"
	"time"

	"lifeline/watchdog"
)

// discovery is the state of Probe.Run.
type discovery struct {
	probe   *Probe
	changed chan struct{} // an event concerns a transfer

	mu      sync.Mutex // guards what follows
	scan    *scanner
	configs *configs
	polled  time.Time     // last look for new pids
	recent  []newcomer    // polling: pids that may still become an rsync
	dirty   bool          // something happened since the last pass
	due     time.Time     // next pass over what is young; zero for none
	rest    time.Time     // no pass before
	owed    time.Duration // what passes took beyond their part of the time
	owedAt  time.Time
	settled time.Time        // last pass over everything
	others  []*process       // of the last pass: who holds a connection beside rsync
	held    time.Time        // last look at them
	full    time.Time        // last look at all pids
	missed  bool             // events or pids were missed since
	cost    time.Duration    // of the last look at all pids
	sshds   map[int]struct{} // named sshd; the scanner's too
	listed  time.Time        // when the sessions were listed last
	moved   bool             // an sshd came or went since
}

func newDiscovery(p *Probe) *discovery {
	scan := newScanner(p.proc, newFallback(p.sockets, p.proc))
	scan.count = p.sockets
	return &discovery{
		probe: p, scan: scan, changed: make(chan struct{}, 1),
		configs: newConfigs(p.proc, p.opts.Log), sshds: scan.servers,
	}
}

// Intervals of discovery.
const (
	settledEvery  = 5 * time.Second  // pass over transfers that are understood, with events
	polledEvery   = time.Second      // without
	othersEvery   = time.Second      // look at who else holds a connection: a new forward makes no event
	sessionsEvery = 5 * time.Second  // list of ssh sessions, when nothing was seen to happen
	sessionsSoon  = time.Second      // else
	fullWithin    = 60 * time.Second // look at all pids, with events
	fullPolling   = 5 * time.Second  // without
	longestRest   = 15 * time.Millisecond
	fullAtMost    = 100 * time.Millisecond // at most that often when something was missed

	// No more than one part in so many of the time goes to:
	fullCostRatio   = 200         // regular looks at all pids
	missedCostRatio = 20          // those after something was missed
	passCostRatio   = 10          // passes, beyond
	passCredit      = time.Second // of work: the births of a night's backups come together
)

// listen takes the connector's events until the context ends or the connector
// fails. Most events concern nobody here: they wake nobody else.
func (d *discovery) listen(ctx context.Context, conn *connector) {
	err := conn.run(ctx, func(events []event, lost bool) {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.missed = d.missed || lost
		if d.take(events) || lost {
			d.wake()
		}
	})
	if err == nil {
		return
	}
	d.probe.setCapability(err)
	d.probe.opts.Log.Warn("proc connector lost", "error", err)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.scan.events, d.missed = false, true
	d.wake()
}

// wake has the loop make a pass.
func (d *discovery) wake() {
	d.dirty = true
	select {
	case d.changed <- struct{}{}:
	default:
	}
}

// configured has the loop look at modules again.
func (d *discovery) configured() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.probe.unsettle()
	d.wake()
}

// run is the loop of discovery.
func (d *discovery) run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		again := 0
		select {
		case <-ctx.Done():
			return nil
		case <-d.changed:
		case again = <-d.probe.recheck:
		case <-timer.C:
		}
		timer.Reset(d.step(time.Now(), again))
	}
}

// step does what is due and says how long there is nothing to do after it.
// again is a process that has to be read again, 0 for none.
func (d *discovery) step(now time.Time, again int) time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	if again != 0 {
		d.scan.forget(again)
		d.dirty = true
	}
	if !now.Before(d.nextFull()) {
		d.everything(now)
	}
	if !d.scan.events && d.poll(now) {
		d.dirty = true
	}
	if !now.Before(d.nextOthers()) {
		d.lookAtOthers(now)
	}
	if !now.Before(d.next()) {
		d.pass(now)
	}
	if !now.Before(d.nextList()) {
		d.listSessions(now)
	}
	d.probe.mu.Lock()
	d.probe.alive = now
	d.probe.mu.Unlock()
	return d.wait(time.Now())
}

// next is when the next pass is due.
func (d *discovery) next() time.Time {
	next := d.settled.Add(d.every())
	switch {
	case d.dirty:
		next = d.rest
	case !d.due.IsZero() && d.due.Before(next):
		next = d.due
	}
	return later(next, d.rest)
}

// every is the time between passes when nothing happens.
func (d *discovery) every() time.Duration {
	if d.scan.events {
		return settledEvery
	}
	return polledEvery
}

// nextOthers is when those who hold a connection beside rsync are looked at next.
func (d *discovery) nextOthers() time.Time {
	if len(d.others) == 0 {
		return d.settled.Add(settledEvery)
	}
	return d.held.Add(othersEvery)
}

// lookAtOthers has a pass made when one of them holds something else by now.
func (d *discovery) lookAtOthers(now time.Time) {
	d.held, d.scan.now = now, now
	for _, p := range d.others {
		d.dirty = d.scan.moved(p) || d.dirty
	}
}

// nextList is when the next list of sessions is due.
func (d *discovery) nextList() time.Time {
	if d.moved {
		return d.listed.Add(sessionsSoon)
	}
	return d.listed.Add(sessionsEvery)
}

// wait is how long to sleep.
func (d *discovery) wait(now time.Time) time.Duration {
	until := stalledAfter / 2
	for _, t := range []time.Time{d.nextFull(), d.nextList(), d.nextOthers(), d.next()} {
		until = min(until, t.Sub(now))
	}
	if !d.scan.events {
		until = min(until, d.probe.opts.Poll)
	}
	for _, n := range d.recent { // all that are due have one turn
		until = min(until, later(n.look, d.polled.Add(newcomerEvery)).Sub(now))
	}
	return max(until, time.Millisecond)
}

// nextFull is when all pids are looked at next: soon when something was missed.
func (d *discovery) nextFull() time.Time {
	switch {
	case d.missed:
		return d.full.Add(max(fullAtMost, d.cost*missedCostRatio))
	case d.scan.events:
		return d.full.Add(max(fullWithin, d.cost*fullCostRatio))
	}
	return d.full.Add(max(fullPolling, d.cost*fullCostRatio))
}

// pass reads what has expired, groups it anew and publishes the result.
func (d *discovery) pass(now time.Time) {
	cost := onThread(func() { d.look(now) })
	d.rest = now.Add(d.restAfter(now, cost))
}

func (d *discovery) look(now time.Time) {
	if now.Sub(d.settled) >= d.every() {
		d.settled = now
		d.scan.sweep()
		d.probe.sockets.keep(d.scan.knows)
	}
	d.dirty, d.due = false, time.Time{}
	d.scan.begin(now)
	transfers, unfinished := d.group()
	d.others = d.others[:0]
	young := unfinished
	live := map[watchdog.TransferID]bool{}
	wake := false
	for _, f := range transfers {
		live[f.id] = true
		fresh, settled := d.publish(f, now)
		wake = wake || fresh
		for _, p := range f.others {
			d.scan.trust(p)
			if !d.distant(f) {
				d.others = append(d.others, p)
			}
		}
		if !settled {
			young = append(young, f.members...)
		}
	}
	d.lookSoon(now, young)
	d.dirty = d.dirty || d.scan.more
	d.probe.retain(live)
	d.probe.setFailure("processes", d.scan.trouble)
	if wake {
		d.probe.wake()
	}
}

// group groups all rsyncs. On the way up and down the process tree it may meet
// some that were not known: then it has to be done again.
func (d *discovery) group() ([]*found, []*process) {
	known := d.scan.running()
	transfers, unfinished := group(d.scan, known)
	if len(d.scan.rsyncs) != len(known) {
		transfers, unfinished = group(d.scan, d.scan.running())
	}
	return transfers, unfinished
}

// listSessions publishes the ssh sessions without rsync.
func (d *discovery) listSessions(now time.Time) {
	d.listed, d.moved = now, false
	d.scan.begin(now)
	d.probe.mu.Lock()
	defer d.probe.mu.Unlock()
	busy := func(inode uint64) bool { _, ok := d.probe.transfers[bySocket(inode)]; return ok }
	up := uptime()
	d.probe.sessions = nil
	for _, s := range sessionsOf(d.scan, busy) {
		if s.Netns != 0 && s.Netns != d.probe.netns {
			continue
		}
		age := up - sinceBoot(d.scan.procs[s.FD].ID)
		d.probe.sessions = append(d.probe.sessions, Session{
			Peer: s.Remote.Addr(), Local: s.Local, Since: now.Add(-age), Authenticated: true,
		})
	}
	d.probe.sshPorts = sshPortsOf(d.scan, d.probe.netns, d.probe.sessions)
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
