package rsync

import (
	"context"
	"maps"
	"slices"
	"time"

	"lifeline/watchdog"
)

// batch is what the proc connector delivered at once.
type batch struct {
	events []event
	lost   bool
}

// discovery is the state of Probe.Run, of one goroutine.
type discovery struct {
	probe   *Probe
	scan    *scanner
	configs *configs
	pids    pidWatch
	batches chan batch
	recent  []newcomer // polling: pids that may still become an rsync
	due     time.Time  // next pass over what is young
	settled time.Time  // last pass over everything
	full    time.Time  // last look at all pids
	cost    time.Duration
	sshds   map[int]struct{}
}

// newcomer is a process that was not rsync when it was first seen; most
// rsyncs are a shell's or sshd's child for a moment before they are rsync.
type newcomer struct {
	pid   int
	since time.Time
	looks int
}

// Intervals of discovery.
const (
	settledEvery  = time.Second      // pass over transfers that are understood
	fullWithin    = 60 * time.Second // look at all pids, with events
	fullPolling   = 5 * time.Second  // without
	fullCostRatio = 200              // but never more than this part of the time
	passCostRatio = 10               // likewise for passes over young ones

	pollEverything = 100 * time.Millisecond // at most that often when new pids cannot be told
	pollCostRatio  = 20
)

// lookAgain is when a newcomer is looked at again, counted from its birth.
var lookAgain = []time.Duration{
	0, 15 * time.Millisecond, 50 * time.Millisecond, 150 * time.Millisecond, 500 * time.Millisecond, 2 * time.Second,
}

// listen passes the connector's events on.
func (d *discovery) listen(ctx context.Context, conn *connector) error {
	return conn.run(ctx, func(events []event, lost bool) {
		b := batch{events: slices.Clone(events), lost: lost}
		select {
		case d.batches <- b:
		case <-ctx.Done():
		}
	})
}

// run is the loop of discovery.
func (d *discovery) run(ctx context.Context) error {
	d.everything(time.Now())
	d.pass(time.Now())
	timer := time.NewTimer(d.wait(time.Now()))
	defer timer.Stop()
	for {
		changed := false
		select {
		case <-ctx.Done():
			return nil
		case b := <-d.batches:
			changed = d.take(b)
		case pid := <-d.probe.recheck:
			d.scan.forget(pid)
			changed = true
		case <-timer.C:
		}
		now := time.Now()
		if now.Sub(d.full) >= d.fullInterval() {
			changed = d.everything(now) || changed
		}
		if !d.scan.events {
			changed = d.poll(now) || changed
		}
		if changed || !now.Before(d.next()) {
			d.pass(now)
		}
		timer.Reset(d.wait(time.Now()))
	}
}

// next is when the next pass is due without an event.
func (d *discovery) next() time.Time {
	next := d.settled.Add(settledEvery)
	if !d.due.IsZero() && d.due.Before(next) {
		return d.due
	}
	return next
}

// wait is how long to sleep.
func (d *discovery) wait(now time.Time) time.Duration {
	until := d.full.Add(d.fullInterval()).Sub(now)
	if len(d.scan.rsyncs) > 0 || len(d.sshds) > 0 {
		until = min(until, d.next().Sub(now))
	}
	if !d.scan.events {
		until = min(until, d.probe.opts.Poll)
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
func (d *discovery) take(b batch) bool {
	if b.lost {
		d.full = time.Time{}
		return true
	}
	changed := false
	for _, e := range b.events {
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
func (d *discovery) forked(e event) bool {
	_, known := d.scan.procs[e.Parent]
	if _, ok := d.scan.rsyncs[e.Parent]; ok {
		d.scan.rsyncs[e.PID] = struct{}{}
		known = true
	}
	if _, ok := d.sshds[e.Parent]; ok {
		d.sshds[e.PID] = struct{}{}
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
	delete(d.sshds, pid)
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
	_, known := d.scan.rsyncs[pid]
	d.scan.rsyncs[pid] = struct{}{}
	return !known
}

// everything looks at all pids, as at the start and after lost events.
func (d *discovery) everything(now time.Time) bool {
	pids, err := d.probe.proc.pids()
	d.probe.setFailure("list processes", err)
	if err != nil {
		d.full = now
		return false
	}
	if d.sshds == nil {
		d.sshds = map[int]struct{}{}
	}
	for _, pid := range pids {
		d.adopt(pid)
	}
	for pid := range d.sshds {
		if _, ok := slices.BinarySearch(pids, pid); !ok && !slices.Contains(pids, pid) {
			delete(d.sshds, pid)
		}
	}
	for pid := range d.scan.procs {
		d.scan.forget(pid)
	}
	d.full, d.cost = now, time.Since(now)
	return true
}

// poll looks for new pids where there are no events.
func (d *discovery) poll(now time.Time) bool {
	fresh, all := d.pids.since()
	if all && now.Sub(d.full) >= max(pollEverything, d.cost*pollCostRatio) {
		return d.everything(now)
	}
	for _, pid := range fresh {
		d.recent = append(d.recent, newcomer{pid: pid, since: now})
	}
	changed := false
	d.recent = slices.DeleteFunc(d.recent, func(n newcomer) bool { return n.looks >= len(lookAgain) })
	for i := range d.recent {
		n := &d.recent[i]
		if now.Sub(n.since) < lookAgain[n.looks] {
			continue
		}
		n.looks++
		before := d.scan.procs[n.pid]
		d.scan.forget(n.pid)
		found := d.adopt(n.pid)
		if _, err := d.probe.proc.stat(n.pid); err != nil || found {
			n.looks = len(lookAgain)
		}
		changed = changed || found || before != nil || d.childOfKnown(n.pid)
	}
	return changed
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
		d.probe.sockets.keep(d.scan.holds)
		defer d.listSessions(now)
	}
	d.scan.begin(now)
	transfers, unfinished := group(d.scan, d.scan.running())
	d.due = time.Time{}
	for _, p := range unfinished {
		d.again(now, p)
	}
	published := map[watchdog.TransferID]bool{}
	fresh := false
	for _, f := range transfers {
		published[f.id] = true
		new, sure := d.publish(f, now)
		fresh = fresh || new
		if !sure || f.young {
			for _, p := range f.members {
				d.again(now, p)
			}
		}
	}
	d.probe.retain(published)
	if fresh {
		d.probe.wake()
	}
	if spent := time.Since(now); !d.due.IsZero() {
		d.due = later(d.due, now.Add(passCostRatio*spent))
	}
}

// listSessions publishes the ssh sessions without rsync.
func (d *discovery) listSessions(now time.Time) {
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
		age := up - time.Duration(d.scan.procs[s.FD].ID.Start)*time.Second/ticks
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
