package daemon

import "time"

// rebootSchedule says when to ask next. It holds no clock.
type rebootSchedule struct {
	every time.Duration
	next  time.Time // by the interval
	// since is when the first change came that nobody has asked after yet,
	// and last the latest one.
	since, last time.Time
}

const (
	rebootSettle = 2 * time.Second  // a file is seldom written by one write
	rebootHaste  = 15 * time.Second // what changes all the time is asked about all the same
)

// changed notes a change.
func (s *rebootSchedule) changed(now time.Time) {
	if s.since.IsZero() {
		s.since = now
	}
	s.last = now
}

// asked notes an answer that rests on everything up to now.
func (s *rebootSchedule) asked(now time.Time) {
	s.next, s.since = now.Add(s.every), time.Time{}
}

// due is when to ask.
func (s *rebootSchedule) due() time.Time {
	at := s.next
	if s.since.IsZero() {
		return at
	}
	for _, t := range []time.Time{s.last.Add(rebootSettle), s.since.Add(rebootHaste)} {
		if t.Before(at) {
			at = t
		}
	}
	return at
}
