package guard

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"lifeline/remediate/remedy"
	"lifeline/watchdog/ledger"
)

// Supervisor is the daemon's side of its guard: it renews the lease and starts
// another guard when the present one dies, hangs or leaves. Starting one, placing it and
// letting the former one go is done beside the control loop, which goes on beating
// meanwhile: a loop that waited for the new guard would be late for that guard's own lease.
// Its methods are called by one goroutine.
type Supervisor struct {
	Argv   []string // the guard's command line, which runs Run
	Ledger *ledger.Ledger
	Log    *slog.Logger
	Place  func(pid int) error // moves the guard out of reach of what kills the daemon; may be nil

	guard    *child
	starting *start         // nil while none is started
	aside    sync.WaitGroup // what is done beside the loop
	failedAt time.Time
	failure  error // of the last start; nil when it went well
}

// start is a guard that is being started.
type start struct {
	child  *child
	cancel chan struct{} // closed: nobody waits for it any more
	done   chan error    // gets its outcome, once
}

// Renew shows the guard that the daemon lives, and never waits. Where there is no guard it
// has one started: the error is remedy.ErrGuardStarting until that one holds the ledger,
// and another one when it could not be started.
func (s *Supervisor) Renew() error {
	now := time.Now()
	s.finishStart(now)
	if s.guard != nil {
		if err := s.guard.renew(now, s.Ledger.Empty()); err != nil {
			s.Log.Warn("guard is lost, starting another", "error", err)
			s.discard(s.guard.kill)
		}
	}
	if s.guard != nil && !s.guard.leaving {
		return nil
	}
	if s.starting == nil && (s.failure == nil || now.Sub(s.failedAt) >= restartWait) {
		s.beginStart(now)
	}
	switch {
	case s.guard != nil: // it was told to go, and stays until the other one is ready
		return nil
	case s.starting != nil && s.failure == nil:
		return remedy.ErrGuardStarting
	}
	return s.failure
}

// beginStart starts a guard beside the loop.
func (s *Supervisor) beginStart(now time.Time) {
	c, err := newChild(s.Argv)
	if err != nil {
		s.fail(now, err)
		return
	}
	st := &start{child: c, cancel: make(chan struct{}), done: make(chan error, 1)}
	s.starting = st
	s.aside.Go(func() { st.done <- s.bring(st) })
}

// bring runs the guard, hands the ledger over and waits until the guard has it.
func (s *Supervisor) bring(st *start) error {
	if err := st.child.run(); err != nil {
		return err
	}
	return errors.Join(s.Ledger.Tee(st.child), st.child.sync(st.cancel))
}

// finishStart takes the guard that was started in the place of the present one, which
// it lets go. Until then it shows the new one that the loop lives.
func (s *Supervisor) finishStart(now time.Time) {
	if s.starting == nil {
		return
	}
	c := s.starting.child
	c.beats.beat(ofDaemon)
	select {
	case err := <-s.starting.done:
		s.starting = nil
		if err != nil {
			c.disconnect()
			s.aside.Go(c.kill)
			s.fail(now, err)
			return
		}
	default:
		return
	}
	s.failure = nil
	if s.guard != nil {
		s.discard(s.guard.dismiss)
	}
	s.guard = c
	if c.degraded != "" {
		s.Log.Warn("guard is less safe than it should be", "error", c.degraded)
	}
	s.aside.Go(func() { s.place(c) })
}

// place moves a guard out of the daemon's control group.
func (s *Supervisor) place(c *child) {
	defer close(c.placed)
	if s.Place == nil {
		return
	}
	if err := s.Place(c.pid()); err != nil {
		c.unplaced.Store(&err)
		s.Log.Warn("guard stays in the daemon's own control group", "error", err)
	}
}

// fail notes that no guard could be started. One that was told to go would undo
// everything before long: it is ended, so that nothing is limited under nobody's eyes.
func (s *Supervisor) fail(now time.Time, err error) {
	s.failedAt, s.failure = now, fmt.Errorf("start guard: %w", err)
	if s.guard != nil {
		s.discard(s.guard.kill)
	}
}

// discard ends the present guard beside the loop, in the way given.
func (s *Supervisor) discard(end func()) {
	c := s.guard
	s.guard = nil
	c.disconnect()
	s.aside.Go(func() {
		<-c.placed // else its pid could be another's when it is placed
		end()
	})
}

// Close lets the guard go without an undo: everything was undone, or stays in
// the ledger for `lifeline release`.
func (s *Supervisor) Close() {
	if s.starting != nil {
		close(s.starting.cancel)
		<-s.starting.done
		c := s.starting.child
		s.starting = nil
		c.disconnect()
		s.aside.Go(c.kill)
	}
	if s.guard != nil {
		s.discard(s.guard.dismiss)
	}
	s.aside.Wait()
}

// PID is the guard's process; 0 when there is none.
func (s *Supervisor) PID() int {
	if s.guard == nil {
		return 0
	}
	return s.guard.pid()
}

// Degraded tells what makes the guard less safe than it should be; nil when
// nothing does, or there is none.
func (s *Supervisor) Degraded() error {
	if s.guard == nil {
		return nil
	}
	if err := s.guard.unplaced.Load(); err != nil {
		return fmt.Errorf("in the daemon's own control group: %w", *err)
	}
	if s.guard.degraded != "" {
		return errors.New(s.guard.degraded)
	}
	return nil
}
