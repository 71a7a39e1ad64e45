package remediate

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"lifeline/remediate/process"
	"lifeline/remediate/remedy"
	"lifeline/remediate/sockopt"
	"lifeline/watchdog"
	"lifeline/watchdog/ledger"
)

// aftercare is how long after a resume a parent that stops is continued: sudo
// stops itself a moment after its command was stopped.
const aftercare = 2 * time.Second

// pauseState is the pause of one transfer and whom it stopped.
type pauseState struct {
	pause         process.Pause
	stopped       []watchdog.ProcID // processes that we stopped
	parents       []watchdog.ProcID // those above that ran when we stopped
	wakeUntil     time.Time         // until then parents that stop are continued
	pulseStart    sockopt.State     // of the socket when the pulse began
	pauses        remedy.HourlyCount
	noPauseBefore time.Time
}

// stepPause takes the pause of s one step further.
func (e *Enforcer) stepPause(s *subject, now time.Time, cycle time.Duration) {
	in := process.Observation{
		Wanted:  s.want.Pause,
		Drained: s.drained(now),
		Known:   s.stateKnown,
		Moved:   s.moved(),
		Hold:    process.HoldFor(s.t),
		Cycle:   cycle,
		Ordinal: e.holds,
	}
	if s.pause.Phase == process.Running && in.Wanted {
		s.pauses.Add(now)
	}
	m := s.pause.Next(now, in)
	if err := e.carryOut(m, s, now); err != nil {
		e.fail(remedy.Pause, string(s.t.ID), err)
		switch m {
		case process.Resume: // again at the next tick
			return
		case process.Stop:
			e.abandonPause(s, now)
			return
		}
	}
	if m != process.Stay {
		s.pause.Done(m, now, in)
	}
}

// carryOut carries out one move.
func (e *Enforcer) carryOut(m process.Action, s *subject, now time.Time) error {
	switch m {
	case process.Stop:
		e.holds++
		return e.stopAll(s)
	case process.Pulse:
		e.readCounters(s)
		return e.continueAll(s, now)
	case process.Resume:
		if s.pause.Phase != process.Draining {
			if err := e.continueAll(s, now); err != nil {
				return err
			}
		}
		e.strikePauses(s)
		return nil
	}
	return e.tendPause(s, now)
}

// readCounters takes the byte counts from which a pulse is measured.
func (e *Enforcer) readCounters(s *subject) {
	err := e.kernel.change(s.t.Socket, func(c sockopt.State) (sockopt.Change, error) {
		s.state, s.pulseStart = c, c
		return sockopt.Change{}, nil
	})
	s.stateKnown = err == nil
}

// abandonPause frees a transfer of which a process could not be stopped: half of it
// must not stand still.
func (e *Enforcer) abandonPause(s *subject, now time.Time) {
	if err := e.continueAll(s, now); err != nil {
		e.fail(remedy.Pause, string(s.t.ID), err)
	}
	e.strikePauses(s)
	s.pause.Done(process.Resume, now, process.Observation{})
	s.noPauseBefore = now.Add(time.Second)
}

// tendPause looks after a pause between its moves: children that were forked while
// their parent was being stopped, and parents that stopped because of us.
func (e *Enforcer) tendPause(s *subject, now time.Time) error {
	switch {
	case s.pause.Phase == process.Held && slices.ContainsFunc(s.t.Procs, s.isNew):
		return e.stopAll(s)
	case now.Before(s.wakeUntil):
		return e.wakeParents(s)
	}
	return nil
}

func (s *subject) isNew(p watchdog.ProcID) bool { return !slices.Contains(s.stopped, p) }

// stopAll stops every process of s, and the children that those forked
// meanwhile. One that somebody else had stopped is left to him.
func (e *Enforcer) stopAll(s *subject) error {
	var errs []error
	tried := map[watchdog.ProcID]bool{}
	for queue := slices.Clone(s.t.Procs); len(queue) > 0; {
		p := queue[0]
		queue = queue[1:]
		if tried[p] {
			continue
		}
		tried[p] = true
		if err := e.stopOne(s, p); err != nil {
			errs = append(errs, err)
			continue
		}
		queue = append(queue, e.kernel.Children(p)...)
	}
	return errors.Join(errs...)
}

// stopOne records and stops one process.
func (e *Enforcer) stopOne(s *subject, p watchdog.ProcID) error {
	already, err := e.kernel.IsStopped(p)
	if errors.Is(err, process.ErrGone) || err == nil && already {
		return nil
	}
	if err != nil {
		return err
	}
	entry := pauseEntry(s, p)
	if !e.ledger.Has(entry.Key()) {
		if err := e.ledger.Append(entry); err != nil {
			return fmt.Errorf("without a record nothing is stopped: %w", err)
		}
	}
	if s.isNew(p) {
		s.stopped = append(s.stopped, p)
	}
	if err := e.kernel.Stop(p); err != nil && !errors.Is(err, process.ErrGone) {
		return err
	}
	return nil
}

func pauseEntry(s *subject, p watchdog.ProcID) ledger.Entry {
	return ledger.Entry{Kind: ledger.Pause, Transfer: s.t.ID, Proc: p, Parents: s.parents}
}

// planPause gives the entries of a pause that begins with this tick. A process
// that is stopped already was stopped by somebody else, and stays his.
func (s *subject) planPause(k kernel) []ledger.Entry {
	s.parents = s.parents[:0:0]
	for _, p := range s.t.Parents {
		if stopped, err := k.IsStopped(p); err == nil && !stopped {
			s.parents = append(s.parents, p)
		}
	}
	var out []ledger.Entry
	for _, p := range s.t.Procs {
		if stopped, err := k.IsStopped(p); err == nil && !stopped {
			out = append(out, pauseEntry(s, p))
			s.stopped = append(s.stopped, p)
		}
	}
	return out
}

// continueAll lets every process that we stopped run again. One failure does not keep
// the others stopped.
func (e *Enforcer) continueAll(s *subject, now time.Time) error {
	var errs []error
	for _, p := range s.stopped {
		if err := e.kernel.Continue(p); err != nil && !errors.Is(err, process.ErrGone) {
			errs = append(errs, err)
		}
	}
	s.wakeUntil = now.Add(aftercare)
	return errors.Join(append(errs, e.wakeParents(s))...)
}

// wakeParents continues the processes above s that stopped after our stop.
func (e *Enforcer) wakeParents(s *subject) error {
	var errs []error
	for _, p := range s.parents {
		stopped, err := e.kernel.IsStopped(p)
		if err == nil && stopped {
			err = e.kernel.Continue(p)
		}
		if err != nil && !errors.Is(err, process.ErrGone) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// strikePauses takes the processes of s out of the ledger.
func (e *Enforcer) strikePauses(s *subject) {
	keys := make([]string, len(s.stopped))
	for i, p := range s.stopped {
		keys[i] = pauseEntry(s, p).Key()
	}
	s.stopped = nil
	if err := e.ledger.Done(keys...); err != nil {
		e.fail(remedy.Ledger, string(s.t.ID), err)
	}
}
