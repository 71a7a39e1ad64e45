package facts

import (
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// ErrNotOpen is of a store that could not be opened yet.
var ErrNotOpen = errors.New("the journal is not open")

// Late says how a store is to be opened that could not be at the start.
type Late struct {
	// Join gives what is to be written of a fact: what an earlier run wrote, which
	// this one has not read, and what this one knows.
	Join func(name string, before, now json.RawMessage) json.RawMessage
	// Opened is called by the task once it is open.
	Opened func()
}

// late is a store's state while it is opened late; nil when it was in time.
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

// OpenLater makes a store in dir where Open failed because of why. Its task
// tries again after ever longer times; what comes meanwhile waits.
func OpenLater(dir string, why error, how Late) *Store {
	s := newStore(dir)
	s.late = &late{Late: how}
	s.postpone(why, time.Now())
	return s
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
func (s *Store) absent() error {
	if s.late.waits() {
		return ErrNotOpen
	}
	return errGivenUp
}

// postpone notes a failed attempt and when the next one is due.
func (s *Store) postpone(why error, now time.Time) {
	l := s.late
	l.wait = min(max(2*l.wait, firstRetry), lastRetry)
	l.why, l.next = why, now.Add(l.wait)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.health.Err = s.unopened()
}

func (s *Store) unopened() string {
	return fmt.Sprintf("not open, tried again every %s: %v", s.late.wait, s.late.why)
}

// tryAgain opens the file, if that is due and possible by now.
func (s *Store) tryAgain(now time.Time) error {
	l := s.late
	if now.Before(l.next) {
		return errors.New(s.unopened())
	}
	if err := s.open(); err != nil {
		s.postpone(err, now)
		return errors.New(s.unopened())
	}
	l.open.Store(true)
	s.mu.Lock()
	s.health.Back = now
	s.health.Err = ""
	s.mu.Unlock()
	l.Opened()
	return nil
}
