package remediate

import (
	"errors"
	"fmt"
	"time"

	"lifeline/remediate/process"
	"lifeline/remediate/remedy"
	"lifeline/remediate/sockopt"
	"lifeline/watchdog"
	"lifeline/watchdog/ledger"
)

// recordChanges writes into the ledger, in one batch, what this cycle may change.
func (e *Enforcer) recordChanges(subjects []*subject) {
	var batch []ledger.Entry
	var changed []*subject
	for _, s := range subjects {
		if entries := e.newEntries(s); len(entries) > 0 {
			batch, changed = append(batch, entries...), append(changed, s)
		}
	}
	if err := e.ledger.Append(batch...); err != nil {
		e.fail(remedy.Ledger, "transfers", fmt.Errorf("without a record nothing new is limited: %w", err))
	}
	for _, s := range changed {
		s.undos.read(e.ledger)
	}
}

// newEntries lists what this cycle may change for s and the ledger does not hold yet.
func (e *Enforcer) newEntries(s *subject) []ledger.Entry {
	entries := s.newLimitEntries()
	if window, _ := s.limits(); window > 0 && !s.stateKnown {
		e.readSocket(s)
	}
	if s.stateKnown && !s.undos.autotuning.recorded && s.wantsBufferLock(s.state) {
		entries = append(entries, entryOf(ledger.Autotune, s.t))
	}
	if s.want.Pause && s.pause.Phase == process.Running {
		entries = append(entries, s.planPause(e.kernel)...)
	}
	return entries
}

// maskLock takes from c what the kernel tells of a lock that does not do what it should.
func (e *Enforcer) maskLock(c sockopt.State) sockopt.State {
	c.LockKnown = c.LockKnown && e.settings.HoldBuffer
	return c
}

// readSocket sees the socket of a new subject before anything is set on it, so that
// all of its limits can be recorded at once. An error shows again when they are set.
func (e *Enforcer) readSocket(s *subject) {
	err := e.kernel.change(s.t.Socket, func(c sockopt.State) (sockopt.Change, error) {
		s.state = e.maskLock(c)
		return sockopt.Change{}, nil
	})
	s.stateKnown = err == nil
}

// limitSocket brings the socket of s to its limits. What has no record is not set.
func (e *Enforcer) limitSocket(s *subject, now time.Time) {
	window, pacing := s.limits()
	if window == 0 && pacing == 0 && !s.limited() && s.pause.Phase == process.Running {
		return
	}
	if s.t.Socket.Inode == 0 || s.pause.Phase == process.Held && s.want.Pause {
		return
	}
	if s.asWanted(window, pacing) && now.Sub(s.checkedAt) < s.recheckAfter() {
		return
	}
	s.checkedAt = now
	err := e.applyLimits(s, now)
	if errors.Is(err, process.ErrGone) && s.limited() {
		// Whoever was forked by its holder, or was sent it, may have it still.
		var refs []watchdog.FDRef
		if refs, err = e.kernel.findHolders(s.t.Socket); err == nil {
			s.t.Socket.Refs = refs
			err = e.applyLimits(s, now)
		}
	}
	e.reportSocketError(s, now, err)
}

// applyLimits sets on the socket of s what is wanted.
func (e *Enforcer) applyLimits(s *subject, now time.Time) error {
	var set sockopt.Change
	var seen sockopt.State
	var odd error
	err := e.kernel.change(s.t.Socket, func(c sockopt.State) (sockopt.Change, error) {
		seen = e.maskLock(c)
		set, odd = s.decide(seen, now, e.settings.FullClamp)
		return set, nil
	})
	if err == nil {
		s.noteChange(set)
		s.noteBuffer(set, seen)
		s.state, s.stateKnown, s.goneSince = seen, true, time.Time{}
	}
	return errors.Join(err, odd)
}

// reportSocketError reports why a socket is not as it should be.
func (e *Enforcer) reportSocketError(s *subject, now time.Time, err error) {
	switch {
	case err == nil, errors.Is(err, sockopt.ErrSearching):
		return
	case errors.Is(err, process.ErrGone):
		s.window, s.pacing, s.oldBuffer, s.bufferLocked, s.stateKnown = 0, 0, 0, false, false
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

// strikeUndone strikes out what was undone and forgets transfers that are gone.
func (e *Enforcer) strikeUndone(subjects []*subject, now time.Time) {
	var done []string
	for _, s := range subjects {
		done = append(done, s.takeUndone()...)
		if s.pause.Phase == process.Running && !s.listed && !s.limited() && !now.Before(s.wakeUntil) {
			delete(e.subjects, s.t.ID)
			e.order = nil
		}
	}
	if err := e.ledger.Done(done...); err != nil {
		e.fail(remedy.Ledger, "transfers", err)
	}
	if len(e.subjects) < len(subjects) {
		e.kernel.Keep(e.processesOfInterest())
	}
}
