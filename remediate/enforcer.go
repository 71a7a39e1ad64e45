package remediate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"lifeline/remediate/process"
	"lifeline/remediate/remedy"
	"lifeline/remediate/shaper"
	"lifeline/remediate/sockopt"
	"lifeline/remediate/sysctl"
	"lifeline/watchdog"
	"lifeline/watchdog/ledger"
)

// kernel is what the Enforcer needs of the running system.
type kernel interface {
	// tune shows the state of a socket to decide and sets what it answers.
	tune(s watchdog.Socket, decide func(sockopt.State) (sockopt.Change, error)) error
	// trace says who holds a socket that its former holders have no more: ErrGone when
	// it has ended, errSought when that is to be asked again.
	trace(s watchdog.Socket) ([]watchdog.FDRef, error)
	// Stop stops a process, or says why it must not.
	Stop(p watchdog.ProcID) error
	// Continue lets a process run.
	Continue(p watchdog.ProcID) error
	// IsStopped says whether a process is held by a stop signal.
	IsStopped(p watchdog.ProcID) (bool, error)
	// Children lists the processes that p forked and that run its program.
	Children(p watchdog.ProcID) []watchdog.ProcID
	// Keep forgets the processes for which want is false.
	Keep(want func(watchdog.ProcID) bool)
}

// Lease is held by a guard that undoes everything when it is not renewed.
type Lease interface {
	// Renew says that the daemon is alive, and starts another guard when the
	// old one died. An error means that nobody would undo.
	Renew() error
}

// Settings are what the Enforcer may do.
type Settings struct {
	Budget     Budget
	NoPause    string // why nothing may be paused; "" when it may
	NoShaper   string // why no shaper may be made; "" when it may
	FullClamp  bool   // the kernel was seen to bear a clamp on a full receiver
	HoldBuffer bool   // receive buffers can be kept from being tuned
	Bursts     bool   // the kernel's bursts may be made small
}

// Enforcer makes the kernel match what is desired. It is used by one goroutine.
type Enforcer struct {
	settings Settings
	ledger   *ledger.Ledger
	kernel   kernel
	lease    Lease
	shaper   Shaper
	bursts   *sysctl.SmallBursts // nil when they are left as they are
	subjects map[watchdog.TransferID]*subject
	order    []*subject // by ID; nil when subjects came or went
	members  map[watchdog.ShaperKey][]watchdog.Transfer
	own      map[watchdog.ShaperKey][]shaper.TransferRate
	limits   map[watchdog.TransferID]watchdog.Limit // in force at the last turn; others read it too, so it is never changed
	last     time.Time
	turns    int
	fails    []watchdog.Failure
}

// Apply makes the kernel match want for the transfers of this sample, as far as
// that may be done. What is not named is freed. Applying twice is applying once.
func (e *Enforcer) Apply(ctx context.Context, want watchdog.Desired, transfers []watchdog.Transfer) watchdog.Outcome {
	now := time.Now()
	tick := now.Sub(e.last)
	if e.last.IsZero() || tick > time.Second {
		tick = time.Second
	}
	e.last, e.fails = now, nil
	if err := e.lease.Renew(); err != nil {
		e.fail(remedy.Guard, "daemon", fmt.Errorf("nobody would undo, so nothing is limited: %w", err))
		want = watchdog.Desired{}
	}
	e.see(transfers, want, now)
	subjects := e.sorted()
	e.record(subjects)
	small := e.shorten(want.SmallBursts, now)
	for _, s := range subjects {
		e.tune(s, now)
		e.turn(s, now, tick)
	}
	shapers := e.shape(want, subjects)
	e.settle(subjects)
	o := e.outcome(e.sorted(), shapers, now)
	o.SmallBursts = small
	return o
}

// shorten makes the kernel's bursts small, or as they were, and says whether we
// hold them small.
func (e *Enforcer) shorten(want bool, now time.Time) bool {
	if e.bursts == nil {
		return false
	}
	small, err := e.bursts.Apply(want, now)
	if err != nil {
		e.fail(remedy.SmallBursts, "host", err)
	}
	return small
}

func (e *Enforcer) fail(remedy watchdog.Remedy, target string, err error) {
	e.fails = append(e.fails, watchdog.Failure{Remedy: remedy, Target: target, Err: err.Error()})
}

// sorted gives the subjects by ID.
func (e *Enforcer) sorted() []*subject {
	if e.order == nil {
		e.order = slices.SortedFunc(maps.Values(e.subjects), func(a, b *subject) int { return cmp.Compare(a.t.ID, b.t.ID) })
	}
	return e.order
}

// see takes note of the transfers that there are and of what is wanted for each.
func (e *Enforcer) see(transfers []watchdog.Transfer, want watchdog.Desired, now time.Time) {
	for _, s := range e.subjects {
		s.listed, s.want = false, watchdog.Limit{}
	}
	for i := range transfers {
		t := &transfers[i]
		l := allowed(t, want.Limits[t.ID])
		s := e.subjects[t.ID]
		if s == nil {
			if l == (watchdog.Limit{}) {
				continue
			}
			s = newSubject(*t, now)
			s.has = e.recorded(s)
			e.subjects[t.ID], e.order = s, nil
		}
		s.t, s.listed, s.want = *t, true, l
		s.want.Pause = l.Pause && e.mayPause(s, now)
	}
}

// mayPause holds the budget: how often, and how long.
func (e *Enforcer) mayPause(s *subject, now time.Time) bool {
	target := string(s.t.ID)
	b := e.settings.Budget
	switch {
	case e.settings.NoPause != "":
		e.fail(remedy.Pause, target, errors.New(e.settings.NoPause))
		return false
	case now.Before(s.rest):
		return false
	case s.pause.Phase == process.Running && s.spent.Used(now) >= b.PausesPerHour:
		e.fail(remedy.Pause, target, fmt.Errorf("budget of %d pauses an hour is spent", b.PausesPerHour))
		return false
	case s.pause.Phase != process.Running && now.Sub(s.pause.Began) >= b.MaxHold:
		s.rest = now.Add(b.rest())
		e.fail(remedy.Pause, target, fmt.Errorf("paused for the longest time allowed, %v: runs for %v", b.MaxHold, b.rest()))
		return false
	}
	return true
}

// record writes into the ledger, in one batch, what this tick may change.
func (e *Enforcer) record(subjects []*subject) {
	var batch []ledger.Entry
	var fresh []*subject
	for _, s := range subjects {
		before := len(batch)
		window, pacing := s.limits()
		if window > 0 && !s.has.window {
			batch = append(batch, entryOf(ledger.Window, s.t))
		}
		if pacing > 0 && !s.has.pacing {
			batch = append(batch, entryOf(ledger.Pacing, s.t))
		}
		if s.wantsBuffer() && s.known && s.buffer == 0 && !s.has.buffer {
			entry := entryOf(ledger.Buffer, s.t)
			entry.Was = int(s.seen.ReceiveBuffer)
			batch = append(batch, entry)
		}
		if window > 0 && !s.known {
			e.acquaint(s)
		}
		if s.known && !s.has.autotune && s.wantsFixed(s.seen) {
			batch = append(batch, entryOf(ledger.Autotune, s.t))
		}
		if s.want.Pause && s.pause.Phase == process.Running {
			batch = append(batch, s.foresee(e.kernel)...)
		}
		if len(batch) > before {
			fresh = append(fresh, s)
		}
	}
	if err := e.ledger.Append(batch...); err != nil {
		e.fail(remedy.Ledger, "transfers", fmt.Errorf("without a record nothing new is limited: %w", err))
	}
	for _, s := range fresh {
		s.has = e.recorded(s)
	}
}

// known takes from c what the kernel tells of a lock that does not do what it should.
func (e *Enforcer) known(c sockopt.State) sockopt.State {
	c.LockKnown = c.LockKnown && e.settings.HoldBuffer
	return c
}

// acquaint sees the socket of a new subject before anything is set on it, so that
// all of its limits can be recorded at once. An error shows again when they are set.
func (e *Enforcer) acquaint(s *subject) {
	err := e.kernel.tune(s.t.Socket, func(c sockopt.State) (sockopt.Change, error) {
		s.seen = e.known(c)
		return sockopt.Change{}, nil
	})
	s.known = err == nil
}

// recorded asks the ledger what it holds of the socket of s.
func (e *Enforcer) recorded(s *subject) recorded {
	return recorded{e.ledger.Has(s.windowEntry), e.ledger.Has(s.pacingEntry), e.ledger.Has(s.bufferEntry), e.ledger.Has(s.tuneEntry)}
}

// tune brings the socket of s to its limits. What has no record is not set.
func (e *Enforcer) tune(s *subject, now time.Time) {
	window, pacing := s.limits()
	if window == 0 && pacing == 0 && !s.limited() && s.pause.Phase == process.Running {
		return
	}
	if s.t.Socket.Inode == 0 || s.pause.Phase == process.Held && s.want.Pause {
		return
	}
	if s.asWanted(window, pacing) && now.Sub(s.visited) < s.revisit() {
		return
	}
	s.visited = now
	err := e.visit(s, now)
	if errors.Is(err, process.ErrGone) && s.limited() {
		// Whoever was forked by its holder, or was sent it, may have it still.
		var refs []watchdog.FDRef
		if refs, err = e.kernel.trace(s.t.Socket); err == nil {
			s.t.Socket.Refs = refs
			err = e.visit(s, now)
		}
	}
	e.explain(s, now, err)
}

// visit sets on the socket of s what is wanted.
func (e *Enforcer) visit(s *subject, now time.Time) error {
	var set sockopt.Change
	var seen sockopt.State
	var odd error
	err := e.kernel.tune(s.t.Socket, func(c sockopt.State) (sockopt.Change, error) {
		seen = e.known(c)
		set, odd = s.tune(seen, now, e.settings.FullClamp)
		return set, nil
	})
	if err == nil {
		s.note(set)
		s.noteBuffer(set, seen)
		s.seen, s.known, s.goneSince = seen, true, time.Time{}
	}
	return errors.Join(err, odd)
}

// explain reports why a socket is not as it should be.
func (e *Enforcer) explain(s *subject, now time.Time, err error) {
	switch {
	case err == nil, errors.Is(err, sockopt.ErrSearching):
		return
	case errors.Is(err, process.ErrGone):
		s.window, s.pacing, s.buffer, s.fixed, s.known = 0, 0, 0, false, false
		if s.goneSince.IsZero() {
			s.goneSince = now
		}
		if !s.listed || now.Sub(s.goneSince) < lostAfter {
			return // it ended between the sample and now
		}
	}
	name := watchdog.Remedy(remedy.Window)
	if _, pacing := s.limits(); pacing > 0 {
		name = remedy.Pacing
	}
	e.fail(name, string(s.t.ID), err)
}

// settle strikes out what was undone and forgets transfers that are gone.
func (e *Enforcer) settle(subjects []*subject) {
	var done []string
	for _, s := range subjects {
		window, pacing := s.limits()
		if s.has.window && s.window == 0 && window == 0 {
			done, s.has.window = append(done, s.windowEntry), false
		}
		if s.has.pacing && s.pacing == 0 && pacing == 0 {
			done, s.has.pacing = append(done, s.pacingEntry), false
		}
		if s.has.buffer && s.buffer == 0 && !s.wantsBuffer() {
			done, s.has.buffer = append(done, s.bufferEntry), false
		}
		if s.has.autotune && !s.fixed && !s.wantsFixed(s.seen) {
			done, s.has.autotune = append(done, s.tuneEntry), false
		}
		if s.pause.Phase == process.Running && !s.listed && !s.limited() && !time.Now().Before(s.care) {
			delete(e.subjects, s.t.ID)
			e.order = nil
		}
	}
	if err := e.ledger.Done(done...); err != nil {
		e.fail(remedy.Ledger, "transfers", err)
	}
	if len(e.subjects) < len(subjects) {
		e.kernel.Keep(e.holds())
	}
}

// holds tells which processes are still of interest.
func (e *Enforcer) holds() func(watchdog.ProcID) bool {
	m := map[watchdog.ProcID]bool{}
	for _, s := range e.subjects {
		for _, ps := range [][]watchdog.ProcID{s.t.Procs, s.stopped, s.parents} {
			for _, p := range ps {
				m[p] = true
			}
		}
		for _, r := range s.t.Socket.Refs {
			m[r.Proc] = true
		}
	}
	return func(p watchdog.ProcID) bool { return m[p] }
}

func (e *Enforcer) outcome(subjects []*subject, shapers map[watchdog.ShaperKey]float64, now time.Time) watchdog.Outcome {
	o := watchdog.Outcome{Limits: e.inForce(subjects, shapers), Shapers: shapers, Failed: e.fails}
	if e.shaper != nil {
		o.Spent = e.shaper.Spent()
	}
	for _, s := range subjects {
		if s.unheld != "" {
			if o.Unheld == nil {
				o.Unheld = map[watchdog.TransferID]string{}
			}
			o.Unheld[s.t.ID] = s.unheld
		}
		if s.pause.Phase == process.Held {
			if o.Stopped == nil {
				o.Stopped = map[watchdog.TransferID]bool{}
			}
			o.Stopped[s.t.ID] = true
		}
		if n := s.spent.Used(now); n > 0 {
			o.Spent = append(o.Spent, watchdog.Spent{Remedy: remedy.Pause, Target: string(s.t.ID), Used: n, PerHour: e.settings.Budget.PausesPerHour})
		}
	}
	return o
}

// inForce is what stands for each transfer: the map of the last turn where it
// still says so.
func (e *Enforcer) inForce(subjects []*subject, shapers map[watchdog.ShaperKey]float64) map[watchdog.TransferID]watchdog.Limit {
	n, same := 0, true
	for _, s := range subjects {
		if l := s.inForce(shapers); l != (watchdog.Limit{}) {
			n++
			same = same && e.limits[s.t.ID] == l
		}
	}
	if same && n == len(e.limits) {
		return e.limits
	}
	e.limits = make(map[watchdog.TransferID]watchdog.Limit, n)
	for _, s := range subjects {
		if l := s.inForce(shapers); l != (watchdog.Limit{}) {
			e.limits[s.t.ID] = l
		}
	}
	return e.limits
}
