package facts

import (
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// ErrNotOpen is of a journal that could not be opened yet.
var ErrNotOpen = errors.New("the journal is not open")

// Late says how a journal is to be opened that could not be at the start.
type Late struct {
	// Join gives what is to be written of a fact: what an earlier run wrote, which
	// this one has not read, and what this one knows.
	Join func(name string, before, now json.RawMessage) json.RawMessage
	// Opened is called by the task once it is open.
	Opened func()
}

// late is a journal's state while it is opened late; nil when it was in time.
type late struct {
	Late
	open atomic.Bool
	why  error // of the last attempt
	next time.Time
	wait time.Duration
}

const (
	firstRetry = 2 * time.Second
	lastRetry  = time.Minute
)

// OpenLater makes a journal of dir where Open failed because of why. Its task
// tries again after ever longer times; what comes meanwhile waits, within bounds.
func OpenLater(dir string, why error, how Late) *Store {
	j := newStore(dir)
	j.late = &late{Late: how}
	j.postpone(why, time.Now())
	return j
}

func (l *late) waits() bool { return l != nil && !l.open.Load() }

// joined is what is to be written of a fact.
func (l *late) joined(name string, before, now json.RawMessage) json.RawMessage {
	if l == nil || len(before) == 0 {
		return now
	}
	return l.Join(name, before, now)
}

// absent says why there is no store to work on.
func (j *Store) absent() error {
	if j.late.waits() {
		return ErrNotOpen
	}
	return errGivenUp
}

// postpone notes a failed attempt and when the next one is due.
func (j *Store) postpone(why error, now time.Time) {
	l := j.late
	l.wait = min(max(2*l.wait, firstRetry), lastRetry)
	l.why, l.next = why, now.Add(l.wait)
	j.mu.Lock()
	defer j.mu.Unlock()
	j.health.Err = j.unopened()
}

func (j *Store) unopened() string {
	return fmt.Sprintf("not open, tried again every %s: %v", j.late.wait, j.late.why)
}

// tryAgain opens the journal, if that is due and possible by now.
func (j *Store) tryAgain(now time.Time) error {
	l := j.late
	if now.Before(l.next) {
		return errors.New(j.unopened())
	}
	if err := j.open(); err != nil {
		j.postpone(err, now)
		return errors.New(j.unopened())
	}
	l.open.Store(true)
	j.mu.Lock()
	j.health.Back = now
	j.health.Err = ""
	j.mu.Unlock()
	l.Opened()
	return nil
}
