package remediate

import (
	"cmp"
	"context"
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
	// change shows the state of a socket to decide and sets what it answers.
	change(s watchdog.Socket, decide func(sockopt.State) (sockopt.Change, error)) error
	// findHolders says who holds a socket that its former holders have no more: ErrGone when
	// it has ended, errSought when that is to be asked again.
	findHolders(s watchdog.Socket) ([]watchdog.FDRef, error)
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
	// Renew says that the daemon is alive, and has another guard started when the
	// old one died. It never waits. An error means that nobody would undo;
	// remedy.ErrGuardStarting, that this is about to change.
	Renew() error
}

// Settings are what the Enforcer may do.
type Settings struct {
	Budget     Budget
	NoPause    error // why nothing may be paused; nil when it may
	NoShaper   error // why no shaper may be made; nil when it may
	FullClamp  bool  // the kernel was seen to bear a clamp on a full receiver
	HoldBuffer bool  // receive buffers can be kept from being tuned
	Bursts     bool  // the kernel's bursts may be made small
}

// Enforcer makes the kernel match what is desired. It is used by one goroutine.
type Enforcer struct {
	settings Settings
	ledger   *ledger.Ledger
	kernel   kernel
	lease    Lease
	shaper   Shaper
	bursts   *sysctl.SmallBursts // nil when they are left as they are
	now      func() time.Time    // read once in a cycle
	subjects map[watchdog.TransferID]*subject
	order    []*subject // by ID; nil when subjects came or went
	members  map[watchdog.ShaperKey][]watchdog.Transfer
	withRate map[watchdog.ShaperKey][]shaper.TransferRate
	inForce  inForce // at the last cycle
	last     time.Time
	holds    int
	fails    []watchdog.Failure
}

// New makes an Enforcer that writes to l, is guarded by lease, and gives
// shapers to rates, which may be nil.
func New(l *ledger.Ledger, lease Lease, rates Shaper, s Settings) *Enforcer {
	s.Budget = s.Budget.orDefault()
	e := &Enforcer{
		settings: s,
		ledger:   l,
		kernel:   newKernel(&process.Handles{}),
		lease:    lease,
		shaper:   rates,
		now:      time.Now,
		subjects: map[watchdog.TransferID]*subject{},
		members:  map[watchdog.ShaperKey][]watchdog.Transfer{},
		withRate: map[watchdog.ShaperKey][]shaper.TransferRate{},
		inForce:  inForce{limits: map[watchdog.TransferID]watchdog.Limit{}},
	}
	if s.Bursts {
		e.bursts = sysctl.NewSmallBursts(sysctl.TSOBursts, l, l.Identity().Netns)
	}
	return e
}

// longestCycle is what a pause reckons with until it can be looked at again, at the most.
const longestCycle = time.Second

// Apply makes the kernel match want for the transfers of this sample, as far as
// that may be done. What is not named is freed. Applying twice is applying once.
func (e *Enforcer) Apply(ctx context.Context, want watchdog.Desired, transfers []watchdog.Transfer) watchdog.Outcome {
	now := e.now()
	cycle := now.Sub(e.last)
	if e.last.IsZero() || cycle > longestCycle {
		cycle = longestCycle
	}
	e.last, e.fails = now, nil
	want = e.guarded(want)
	e.updateSubjects(transfers, want, now)
	subjects := e.sorted()
	e.recordChanges(subjects)
	e.inForce.smallBursts = e.setSmallBursts(want.SmallBursts, now)
	for _, s := range subjects {
		e.limitSocket(s, now)
		e.stepPause(s, now, cycle)
	}
	e.inForce.shapers = e.shape(want, subjects)
	e.strikeUndone(subjects, now)
	return e.outcome(e.sorted(), now)
}

// setSmallBursts makes the kernel's bursts small, or as they were, and says whether we
// hold them small.
func (e *Enforcer) setSmallBursts(want bool, now time.Time) bool {
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

// updateSubjects takes note of the transfers that there are and of what is wanted for each.
func (e *Enforcer) updateSubjects(transfers []watchdog.Transfer, want watchdog.Desired, now time.Time) {
	for _, s := range e.subjects {
		s.listed, s.want = false, watchdog.Limit{}
	}
	for i := range transfers {
		t := &transfers[i]
		l := permitted(t, want.Limits[t.ID])
		s := e.subjects[t.ID]
		if s == nil {
			if l == (watchdog.Limit{}) {
				continue
			}
			s = newSubject(*t, now)
			s.undos.read(e.ledger)
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
	case e.settings.NoPause != nil:
		e.fail(remedy.Pause, target, e.settings.NoPause)
		return false
	case now.Before(s.noPauseBefore):
		return false
	case s.pause.Phase == process.Running && s.pauses.Used(now) >= b.PausesPerHour:
		e.fail(remedy.Pause, target, fmt.Errorf("budget of %d pauses an hour is spent", b.PausesPerHour))
		return false
	case s.pause.Phase != process.Running && now.Sub(s.pause.Began) >= b.MaxHold:
		s.noPauseBefore = now.Add(b.restAfterPause())
		e.fail(remedy.Pause, target, fmt.Errorf("paused for the longest time allowed, %v: runs for %v", b.MaxHold, b.restAfterPause()))
		return false
	}
	return true
}

// processesOfInterest tells which processes are still of interest.
func (e *Enforcer) processesOfInterest() func(watchdog.ProcID) bool {
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

// outcome says what is in force after this cycle and what failed.
func (e *Enforcer) outcome(subjects []*subject, now time.Time) watchdog.Outcome {
	e.inForce.update(subjects)
	o := watchdog.Outcome{Limits: e.inForce.limits, Shapers: e.inForce.shapers, SmallBursts: e.inForce.smallBursts, Failed: e.fails}
	if e.shaper != nil {
		o.Spent = e.shaper.Spent()
	}
	for _, s := range subjects {
		if s.rateError != nil {
			o.Unheld = put(o.Unheld, s.t.ID, s.rateError.Error())
		}
		if s.pause.Phase == process.Held {
			o.Stopped = put(o.Stopped, s.t.ID, true)
		}
		if n := s.pauses.Used(now); n > 0 {
			o.Spent = append(o.Spent, watchdog.Spent{Remedy: remedy.Pause, Target: string(s.t.ID), Used: n, PerHour: e.settings.Budget.PausesPerHour})
		}
	}
	return o
}

// put sets a key of a map that may be nil.
func put[K comparable, V any](m map[K]V, k K, v V) map[K]V {
	if m == nil {
		m = map[K]V{}
	}
	m[k] = v
	return m
}
