package rsync

import (
	"context"
	"maps"
	"slices"
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
	busy    bool          // there are transfers, or what may become one
	dirty   bool          // something happened since the last pass
	due     time.Time     // next pass over what is young; zero for none
	rest    time.Time     // no pass before
	settled time.Time     // last pass over everything
	full    time.Time     // last look at all pids
	cost    time.Duration // of the last look at all pids
	sshds   map[int]struct{}
	listed  time.Time // when the sessions were listed last
	moved   bool      // an sshd came or went since
}

func newDiscovery(p *Probe) *discovery {
	return &discovery{
		probe: p, scan: newScanner(p.proc, newFallback(p.sockets, p.proc)), changed: make(chan struct{}, 1),
		configs: newConfigs(p.proc), sshds: map[int]struct{}{},
	}
}

// newcomer is a process that was not rsync when it was first seen; most
// rsyncs are a shell's or sshd's child for a moment before they are rsync.
type newcomer struct {
	pid   int
	since time.Time
	look  time.Time // next
}

// Intervals of discovery.
const (
	settledEvery  = time.Second      // pass over transfers that are understood
	sessionsEvery = 5 * time.Second  // list of ssh sessions, when nothing was seen to happen
	sessionsSoon  = time.Second      // else
	fullWithin    = 60 * time.Second // look at all pids, with events
	fullPolling   = 5 * time.Second  // without
	fullCostRatio = 200              // but never more than this part of the time
	passCostRatio = 10               // likewise for passes,
	longestRest   = 15 * time.Millisecond

	pollEverything = 100 * time.Millisecond // at most that often when new pids cannot be told
	pollCostRatio  = 20
)

// newcomerFor is how long a new process is watched for becoming an rsync; the
// look at all pids finds later ones.
const (
	newcomerFor   = 10 * time.Second
	newcomerEvery = 40 * time.Millisecond // in its first second
)

// lookEvery is how often. A crowd of them is looked at less often.
func lookEvery(age time.Duration, crowd int) time.Duration {
	every := newcomerEvery
	if age > time.Second {
		every *= 10
	}
	return every * time.Duration(1+crowd/256)
}

// listen takes the connector's events until the context ends or the connector
// fails. Most events concern nobody here: they wake nobody else.
func (d *discovery) listen(ctx context.Context, conn *connector) {
	err := conn.run(ctx, func(events []event, lost bool) {
		d.mu.Lock()
		defer d.mu.Unlock()
		if lost {
			d.full = time.Time{}
		}
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
	d.scan.events, d.full = false, time.Time{}
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
	if now.Sub(d.full) >= d.fullInterval() {
		d.everything(now)
	}
	if !d.scan.events && d.poll(now) {
		d.dirty = true
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
	next := d.settled.Add(settledEvery)
	switch {
	case d.dirty:
		next = d.rest
	case !d.busy:
		next = next.Add(stalledAfter)
	case !d.due.IsZero() && d.due.Before(next):
		next = d.due
	}
	return later(next, d.rest)
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
	for _, t := range []time.Time{d.full.Add(d.fullInterval()), d.nextList(), d.next()} {
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

func (d *discovery) fullInterval() time.Duration {
	every := fullWithin
	if !d.scan.events {
		every = fullPolling
	}
	return max(every, d.cost*fullCostRatio)
}

// take sorts events, and says whether any concerns a transfer.
func (d *discovery) take(events []event) bool {
	changed := false
	for _, e := range events {
		switch e.Kind {
		case eventFork:
			changed = d.forked(e) || changed
		case eventExec:
			changed = d.executed(e.PID) || changed
		case eventExit:
			changed = d.exited(e.PID) || changed
		}
	}
	return changed
}

// forked: the child of an rsync is an rsync, the child of sshd may lead to one.
// An sshd that opens a session has changed otherwise, too.
func (d *discovery) forked(e event) bool {
	_, known := d.scan.procs[e.Parent]
	if _, ok := d.scan.rsyncs[e.Parent]; ok {
		d.scan.rsyncs[e.PID] = struct{}{}
		known = true
	}
	if _, ok := d.sshds[e.Parent]; ok {
		d.sshds[e.PID] = struct{}{}
		d.moved = true
		d.scan.forget(e.Parent)
	}
	return known
}

func (d *discovery) executed(pid int) bool {
	_, known := d.scan.procs[pid]
	d.scan.forget(pid)
	_, was := d.scan.rsyncs[pid]
	return d.adopt(pid) || known || was
}

func (d *discovery) exited(pid int) bool {
	_, known := d.scan.procs[pid]
	delete(d.scan.rsyncs, pid)
	delete(d.scan.procs, pid)
	if _, ok := d.sshds[pid]; ok {
		delete(d.sshds, pid)
		d.moved = true
	}
	return known
}

// adopt looks at what a pid executes and says whether it is an rsync.
func (d *discovery) adopt(pid int) bool {
	exe := d.probe.proc.exe(pid)
	if exe == "" {
		if st, err := d.probe.proc.stat(pid); err == nil && st.State != 'Z' {
			exe = st.Comm
		}
	}
	delete(d.sshds, pid)
	if isSSHD(exe) {
		d.sshds[pid] = struct{}{}
	}
	if !isRsync(exe) {
		return false
	}
	if _, known := d.scan.rsyncs[pid]; known {
		return false
	}
	d.scan.rsyncs[pid] = struct{}{}
	d.scan.forget(pid)
	return true
}

// everything looks at all pids, as at the start and after lost events.
func (d *discovery) everything(now time.Time) {
	pids, err := d.probe.proc.pids()
	d.probe.setFailure("list processes", err)
	d.probe.setFailure("hidden processes", d.probe.proc.hidden())
	d.full, d.dirty = now, true
	if err != nil {
		return
	}
	clear(d.sshds)
	for _, pid := range pids {
		d.adopt(pid)
	}
	for pid := range d.scan.procs {
		d.scan.forget(pid)
	}
	d.cost = time.Since(now)
}

// poll looks for new pids where there are no events, and says whether any
// concerns a transfer.
func (d *discovery) poll(now time.Time) bool {
	d.polled = now
	fresh, all := d.newPIDs()
	if all && now.Sub(d.full) >= max(pollEverything, d.cost*pollCostRatio) {
		d.everything(now)
	}
	for _, pid := range fresh {
		d.recent = append(d.recent, newcomer{pid: pid, since: now})
	}
	changed := false
	crowd := len(d.recent)
	kept := d.recent[:0]
	for _, n := range d.recent {
		if !now.Before(n.look) {
			if now.Sub(n.since) > newcomerFor || !d.probe.proc.exists(n.pid) {
				continue
			}
			changed = d.adopt(n.pid) || changed || (n.look.IsZero() && d.childOfKnown(n.pid))
			if _, done := d.scan.rsyncs[n.pid]; done {
				continue
			}
			n.look = now.Add(lookEvery(now.Sub(n.since), crowd))
		}
		kept = append(kept, n)
	}
	d.recent = kept
	return changed
}

// newPIDs lists the processes that have appeared since it was last asked.
func (d *discovery) newPIDs() (fresh []int, all bool) {
	last, err := d.probe.proc.lastPID()
	if err != nil {
		return nil, true
	}
	before := d.probe.seen(last)
	if before == last {
		return nil, false
	}
	return d.probe.proc.between(before, last)
}

// childOfKnown says whether a pid was started by a process of a transfer.
func (d *discovery) childOfKnown(pid int) bool {
	st, err := d.probe.proc.stat(pid)
	if err != nil {
		return false
	}
	_, ok := d.scan.procs[st.PPID]
	return ok
}

// pass reads what has expired, groups it anew and publishes the result.
func (d *discovery) pass(now time.Time) {
	if now.Sub(d.settled) >= settledEvery {
		d.settled = now
		d.scan.sweep()
		d.probe.sockets.keep(d.scan.knows)
	}
	d.dirty, d.due = false, time.Time{}
	d.scan.begin(now)
	transfers, unfinished := d.group()
	d.busy = len(transfers)+len(unfinished) > 0
	for _, p := range unfinished {
		d.again(now, p)
	}
	live := map[watchdog.TransferID]bool{}
	wake := false
	for _, f := range transfers {
		live[f.id] = true
		fresh, settled := d.publish(f, now)
		wake = wake || fresh
		for _, p := range f.others {
			d.scan.expire(p, now.Add(sharedFor))
		}
		if !settled {
			for _, p := range f.members {
				d.again(now, p)
			}
		}
	}
	d.probe.retain(live)
	d.probe.setFailure("processes", d.scan.trouble)
	if wake {
		d.probe.wake()
	}
	d.rest = now.Add(min(longestRest, passCostRatio*time.Since(now)))
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
	var sshds []*process
	for _, pid := range slices.Sorted(maps.Keys(d.sshds)) {
		if p := d.scan.process(pid); p != nil && isSSHD(p.Exe) {
			sshds = append(sshds, p)
		}
	}
	d.probe.mu.Lock()
	defer d.probe.mu.Unlock()
	busy := func(inode uint64) bool { _, ok := d.probe.transfers[bySocket(inode)]; return ok }
	up := uptime()
	d.probe.sessions = nil
	for _, s := range sessionsOf(d.scan, sshds, busy) {
		if s.Netns != 0 && s.Netns != d.probe.netns {
			continue
		}
		age := up - sinceBoot(d.scan.procs[s.FD].ID)
		d.probe.sessions = append(d.probe.sessions, Session{
			Peer: s.Remote.Addr(), Local: s.Local, Since: now.Add(-age), Authenticated: true,
		})
	}
}

// again has a process that is not understood yet read soon.
func (d *discovery) again(now time.Time, p *process) {
	t := now.Add(youngFor(d.scan.age(p)))
	d.scan.expire(p, t)
	if d.due.IsZero() || t.Before(d.due) {
		d.due = t
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// setFailure notes that a part of discovery failed, or works again.
func (p *Probe) setFailure(what string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.failures = slices.DeleteFunc(p.failures, func(e watchdog.ProbeError) bool { return e.Probe == "rsync: "+what })
	if err != nil {
		p.failures = append(p.failures, watchdog.ProbeError{Probe: "rsync: " + what, Err: err.Error()})
	}
}

// retain drops the transfers that are no more.
func (p *Probe) retain(live map[watchdog.TransferID]bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	maps.DeleteFunc(p.transfers, func(id watchdog.TransferID, _ *transfer) bool { return !live[id] })
}
