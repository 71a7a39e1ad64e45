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

// turn takes the pause of s one step further.
func (e *Enforcer) turn(s *subject, now time.Time, tick time.Duration) {
	in := process.Observation{
		Wanted:  s.want.Pause,
		Drained: s.drained(now),
		Known:   s.known,
		Moved:   s.moved(),
		Hold:    process.HoldFor(s.t),
		Cycle:   tick,
		Ordinal: e.turns,
	}
	if s.pause.Phase == process.Running && in.Wanted {
		s.spent.Add(now)
	}
	m := s.pause.Next(now, in)
	if err := e.make(m, s, now); err != nil {
		e.fail(remedy.Pause, string(s.t.ID), err)
		switch m {
		case process.Resume: // again at the next tick
			return
		case process.Stop:
			e.giveUp(s, now)
			return
		}
	}
	if m != process.Stay {
		s.pause.Done(m, now, in)
	}
}

// make carries out one move.
func (e *Enforcer) make(m process.Action, s *subject, now time.Time) error {
	switch m {
	case process.Stop:
		e.turns++
		return e.stopAll(s)
	case process.Pulse:
		e.look(s)
		return e.run(s, now)
	case process.Resume:
		if s.pause.Phase != process.Draining {
			if err := e.run(s, now); err != nil {
				return err
			}
		}
		e.strike(s)
		return nil
	}
	return e.tend(s, now)
}

// look takes the byte counts from which a pulse is measured.
func (e *Enforcer) look(s *subject) {
	err := e.kernel.tune(s.t.Socket, func(c sockopt.State) (sockopt.Change, error) {
		s.seen, s.from = c, c
		return sockopt.Change{}, nil
	})
	s.known = err == nil
}

// giveUp frees a transfer of which a process could not be stopped: half of it
// must not stand still.
func (e *Enforcer) giveUp(s *subject, now time.Time) {
	if err := e.run(s, now); err != nil {
		e.fail(remedy.Pause, string(s.t.ID), err)
	}
	e.strike(s)
	s.pause.Done(process.Resume, now, process.Observation{})
	s.rest = now.Add(time.Second)
}

// tend looks after a pause between its moves: children that were forked while
// their parent was being stopped, and parents that stopped because of us.
func (e *Enforcer) tend(s *subject, now time.Time) error {
	switch {
	case s.pause.Phase == process.Held && slices.ContainsFunc(s.t.Procs, s.unknownTo):
		return e.stopAll(s)
	case now.Before(s.care):
		return e.wakeParents(s)
	}
	return nil
}

func (s *subject) unknownTo(p watchdog.ProcID) bool { return !slices.Contains(s.stopped, p) }

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
	if s.unknownTo(p) {
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

// foresee gives the entries of a pause that begins with this tick. A process
// that is stopped already was stopped by somebody else, and stays his.
func (s *subject) foresee(k kernel) []ledger.Entry {
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

// run lets every process that we stopped run again. One failure does not keep
// the others stopped.
func (e *Enforcer) run(s *subject, now time.Time) error {
	var errs []error
	for _, p := range s.stopped {
		if err := e.kernel.Continue(p); err != nil && !errors.Is(err, process.ErrGone) {
			errs = append(errs, err)
		}
	}
	s.care = now.Add(aftercare)
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

// strike takes the processes of s out of the ledger.
func (e *Enforcer) strike(s *subject) {
	keys := make([]string, len(s.stopped))
	for i, p := range s.stopped {
		keys[i] = pauseEntry(s, p).Key()
	}
	s.stopped = nil
	if err := e.ledger.Done(keys...); err != nil {
		e.fail(remedy.Ledger, string(s.t.ID), err)
	}
}
