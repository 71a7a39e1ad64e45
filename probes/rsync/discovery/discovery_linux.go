package discovery

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"lifeline/probes/rsync/grouping"
	"lifeline/probes/rsync/proc"
	"lifeline/probes/rsync/procevents"
	"lifeline/probes/rsync/proctable"
	"lifeline/probes/rsync/sockets"
	"lifeline/watchdog"
)

// Options of a Discovery. Poll and Log are to be set.
type Options struct {
	Proc    proc.FS
	Sockets *sockets.Duplicator
	Netns   uint64 // inode of our network namespace
	// ForeignNetns says that transfers of other network namespaces are limited too.
	ForeignNetns bool
	Poll         time.Duration // how often new pids are looked for without the proc connector
	NoConnector  bool          // do not use the proc connector
	Log          *slog.Logger
}

// Publisher takes the transfers that a pass found, all that there are, and returns those
// of which more is to be found out.
type Publisher interface {
	Publish(found []*grouping.Transfer, now time.Time) (unsettled []*grouping.Transfer)
}

// Discovery finds the transfers of this host. Its methods may be called from several
// goroutines.
type Discovery struct {
	opts      Options
	publisher Publisher
	changed   chan struct{} // an event concerns a transfer
	recheck   chan int      // pids that are to be read again
	results   results

	mu         sync.Mutex // guards what follows
	table      *proctable.Table
	polled     time.Time     // last look for new pids
	recent     []youngPID    // polling: pids that may still become an rsync
	dirty      bool          // something happened since the last pass
	due        time.Time     // next pass over what is young; zero for none
	rest       time.Time     // no pass before
	owed       time.Duration // what passes took beyond their part of the time
	owedAt     time.Time
	settled    time.Time                    // last pass over everything
	live       map[watchdog.TransferID]bool // of the last pass
	others     []*proc.Process              // of the last pass: who holds a connection beside rsync
	held       time.Time                    // last look at them
	full       time.Time                    // last look at all pids
	missed     bool                         // events or pids were missed since
	cost       time.Duration                // of the last look at all pids
	listed     time.Time                    // when the sessions were listed last
	sshdsMoved bool                         // an sshd came or went since
}

// New makes a discovery that publishes to p.
func New(opts Options, p Publisher) *Discovery {
	table := proctable.New(opts.Proc, sockets.NewFallback(opts.Sockets, opts.Proc), opts.Sockets)
	d := &Discovery{
		opts: opts, publisher: p, table: table,
		changed: make(chan struct{}, 1), recheck: make(chan int, 256),
	}
	d.results.capability = watchdog.Capability{
		Name: "proc-connector", Why: "not started", Left: "looking for new pids",
	}
	return d
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

// Run discovers transfers until the context ends. Where the proc connector fails, at the
// start or later, it goes on by looking for new pids.
func (d *Discovery) Run(ctx context.Context) error {
	tasks, ctx := errgroup.WithContext(ctx)
	conn, err := d.connect()
	if err == nil {
		d.table.Events = true
		tasks.Go(func() error { d.listen(ctx, conn); return nil })
	}
	d.results.setCapability(err)
	tasks.Go(func() error { return d.loop(ctx) })
	return tasks.Wait()
}

// errSwitchedOff says that the proc connector is not wanted.
var errSwitchedOff = errors.New("switched off")

func (d *Discovery) connect() (*procevents.Connector, error) {
	if d.opts.NoConnector {
		return nil, errSwitchedOff
	}
	return procevents.Open()
}

// listen takes the connector's events until the context ends or the connector
// fails. Most events concern nobody here: they wake nobody else.
func (d *Discovery) listen(ctx context.Context, conn *procevents.Connector) {
	err := conn.Run(ctx, func(events []procevents.Event, lost bool) {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.missed = d.missed || lost
		if d.apply(events) || lost {
			d.wake()
		}
	})
	if err == nil {
		return
	}
	d.results.setCapability(err)
	d.opts.Log.Warn("proc connector lost", "error", err)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.table.Events, d.missed = false, true
	d.wake()
}

// wake has the loop make a pass.
func (d *Discovery) wake() {
	d.dirty = true
	select {
	case d.changed <- struct{}{}:
	default:
	}
}

// Again has the loop make a pass.
func (d *Discovery) Again() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.wake()
}

// ReadAgain has a process read again, unless there is much to be read already.
func (d *Discovery) ReadAgain(pid int) {
	select {
	case d.recheck <- pid:
	default:
	}
}

// LookForNew has new processes looked for where no event tells of them.
func (d *Discovery) LookForNew() {
	if d.results.connected() {
		return
	}
	if last, err := d.opts.Proc.LastPID(); err == nil && last != d.results.lastSeen() {
		d.ReadAgain(0)
	}
}

// loop is the loop of discovery.
func (d *Discovery) loop(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		again := 0
		select {
		case <-ctx.Done():
			return nil
		case <-d.changed:
		case again = <-d.recheck:
		case <-timer.C:
		}
		timer.Reset(d.step(time.Now(), again))
	}
}

// step does what is due and says how long there is nothing to do after it.
// again is a process that has to be read again, 0 for none.
func (d *Discovery) step(now time.Time, again int) time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	if again != 0 {
		d.table.Forget(again)
		d.dirty = true
	}
	if !now.Before(d.nextFull()) {
		d.rescan(now)
	}
	if !d.table.Events && d.poll(now) {
		d.dirty = true
	}
	if !now.Before(d.nextOthers()) {
		d.checkOthers(now)
	}
	if !now.Before(d.next()) {
		d.pass(now)
	}
	if !now.Before(d.nextList()) {
		d.listSessions(now)
	}
	d.results.setAlive(now)
	return d.wait(time.Now())
}

// next is when the next pass is due.
func (d *Discovery) next() time.Time {
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
func (d *Discovery) every() time.Duration {
	if d.table.Events {
		return settledEvery
	}
	return polledEvery
}

// nextOthers is when those who hold a connection beside rsync are looked at next.
func (d *Discovery) nextOthers() time.Time {
	if len(d.others) == 0 {
		return d.settled.Add(settledEvery)
	}
	return d.held.Add(othersEvery)
}

// checkOthers has a pass made when one of them holds something else by now.
func (d *Discovery) checkOthers(now time.Time) {
	d.held = now
	d.table.Advance(now)
	for _, p := range d.others {
		d.dirty = d.table.Changed(p) || d.dirty
	}
}

// nextList is when the next list of sessions is due.
func (d *Discovery) nextList() time.Time {
	if d.sshdsMoved {
		return d.listed.Add(sessionsSoon)
	}
	return d.listed.Add(sessionsEvery)
}

// wait is how long to sleep.
func (d *Discovery) wait(now time.Time) time.Duration {
	until := stalledAfter / 2
	for _, t := range []time.Time{d.nextFull(), d.nextList(), d.nextOthers(), d.next()} {
		until = min(until, t.Sub(now))
	}
	if !d.table.Events {
		until = min(until, d.opts.Poll)
	}
	for _, n := range d.recent { // all that are due have one turn
		until = min(until, later(n.look, d.polled.Add(youngPIDEvery)).Sub(now))
	}
	return max(until, time.Millisecond)
}

// nextFull is when all pids are looked at next: soon when something was missed.
func (d *Discovery) nextFull() time.Time {
	switch {
	case d.missed:
		return d.full.Add(max(fullAtMost, d.cost*missedCostRatio))
	case d.table.Events:
		return d.full.Add(max(fullWithin, d.cost*fullCostRatio))
	}
	return d.full.Add(max(fullPolling, d.cost*fullCostRatio))
}

// pass reads what has expired, groups it anew and publishes the result.
func (d *Discovery) pass(now time.Time) {
	cost := threadCost(func() { d.lookNow(now) })
	d.rest = now.Add(d.restAfter(now, cost))
}

func (d *Discovery) lookNow(now time.Time) {
	if now.Sub(d.settled) >= d.every() {
		d.settled = now
		d.table.Sweep()
		d.opts.Sockets.Retain(d.table.Knows)
	}
	d.dirty, d.due = false, time.Time{}
	d.table.Begin(now)
	transfers, unfinished := d.group()
	d.others, d.live = d.others[:0], map[watchdog.TransferID]bool{}
	for _, f := range transfers {
		d.live[f.ID] = true
	}
	young := unfinished
	for _, f := range d.publisher.Publish(transfers, now) {
		young = append(young, f.Members...)
	}
	d.watchOthers(transfers)
	d.scheduleYoung(now, young)
	d.dirty = d.dirty || d.table.Incomplete
	d.results.setFailure("processes", d.table.Failure)
}

// watchOthers notes who holds the connection of a transfer beside rsync: that is looked at
// often, and else trusted for long.
func (d *Discovery) watchOthers(transfers []*grouping.Transfer) {
	for _, f := range transfers {
		near := d.opts.ForeignNetns || !f.Foreign(d.opts.Netns)
		for _, p := range f.OtherHolders {
			d.table.TrustLonger(p)
			if near {
				d.others = append(d.others, p)
			}
		}
	}
}

// group groups all rsyncs. On the way up and down the process tree it may meet
// some that were not known: then it has to be done again.
func (d *Discovery) group() ([]*grouping.Transfer, []*proc.Process) {
	known := d.table.Running()
	transfers, unfinished := grouping.Group(d.table, known)
	if d.table.CountRsyncs() != len(known) {
		transfers, unfinished = grouping.Group(d.table, d.table.Running())
	}
	return transfers, unfinished
}

// listSessions publishes the ssh sessions without rsync.
func (d *Discovery) listSessions(now time.Time) {
	d.listed, d.sshdsMoved = now, false
	d.table.Begin(now)
	up := proc.Uptime()
	var sessions []Session
	for _, c := range grouping.Sessions(d.table, func(inode uint64) bool { return d.live[grouping.IDBySocket(inode)] }) {
		if c.Socket.Netns != 0 && c.Socket.Netns != d.opts.Netns {
			continue
		}
		age := up - proc.SinceBoot(c.Process)
		sessions = append(sessions, Session{
			Peer: c.Socket.Remote.Addr(), Local: c.Socket.Local, Since: now.Add(-age), Authenticated: true,
		})
	}
	d.results.setSessions(sessions, sshPorts(d.table, d.opts.Netns, sessions))
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
