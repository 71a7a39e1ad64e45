package spool

import (
	"slices"
	"time"
)

// Status is how the spool does.
type Status struct {
	Bytes    int64  `json:"bytes"` // in use on disk
	Max      int64  `json:"max"`
	Unwrit   int    `json:"unwritten"`           // events that the disk has not taken yet
	Err      string `json:"error,omitempty"`     // of the last write
	PutAside string `json:"put_aside,omitempty"` // where a damaged spool went
	// Restored is when the spool was written again that somebody had deleted or
	// replaced.
	Restored time.Time `json:"restored,omitzero"`
	History  int       `json:"history"` // incidents remembered
}

// Status tells how the spool does. It waits for no disk.
func (s *Spool) Status() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.health
	return Status{Bytes: h.bytes, Max: s.max, Unwrit: len(s.unwritten), Err: h.err, PutAside: h.aside, Restored: h.restored, History: s.stored.incidents}
}

// Queue is how many alerts there are for one receiver.
type Queue struct {
	Pending int
	Dead    int // refused
	Dropped int // since the spool was begun
}

func (s *Spool) Queue(receiver string) Queue {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.counts[receiver]; c != nil {
		return Queue{c.pending, c.dead, c.drops.Total}
	}
	return Queue{}
}

// Queues lists the receivers for which something waits, or that refused
// something, configured or not.
func (s *Spool) Queues() (names []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, c := range s.counts {
		if c.pending+c.dead > 0 {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
