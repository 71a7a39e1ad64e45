package facts

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"go.etcd.io/bbolt"

	"lifeline/watchdog/store"
)

const (
	flushEvery = 2 * time.Second
	mostResets = 3 // a file damaged more often is given up until the next start
)

// String names the task.
func (s *Store) String() string { return "journal" }

// Run writes what was put, until ctx ends; then it writes the rest and closes the
// file.
func (s *Store) Run(ctx context.Context) error {
	t := time.NewTicker(flushEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			s.flush()
			if db := s.db.Load(); db != nil {
				return db.Close()
			}
			return nil
		case <-t.C:
			s.flush()
		}
	}
}

// flush writes what waits. What could not be written waits on.
func (s *Store) flush() {
	s.mu.Lock()
	waiting := s.waiting
	s.waiting = map[string]json.RawMessage{}
	s.mu.Unlock()
	err := s.restore()
	if err == nil && len(waiting) == 0 && s.db.Load() != nil && s.Health().Err == "" {
		return
	}
	if err == nil {
		err = s.usable()
	}
	if err == nil {
		err = s.write(waiting)
	}
	if store.Damaged(err) {
		s.db.Store(nil)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		s.health.Err = ""
		return
	}
	s.health.Err = err.Error()
	for k, v := range waiting {
		if _, newer := s.waiting[k]; !newer {
			s.waiting[k] = v
		}
	}
}

// usable begins a damaged file anew; what is to be written waits for that.
func (s *Store) usable() error {
	if s.db.Load() != nil {
		return nil
	}
	if s.late.waits() {
		return s.tryAgain(time.Now())
	}
	if s.resets++; s.resets > mostResets {
		return errGivenUp
	}
	db, err := s.reset()
	if err != nil {
		return fmt.Errorf("journal %w", err)
	}
	s.db.Store(db)
	s.recovered("the journal was damaged; it is put aside as " + s.PutAside() + " and a new one begun")
	return nil
}

func (s *Store) write(facts map[string]json.RawMessage) error {
	db := s.db.Load()
	if db == nil {
		return s.absent()
	}
	return db.Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket(factsBucket)
		for k, v := range facts {
			if err := b.Put([]byte(k), s.late.joined(k, b.Get([]byte(k)), v)); err != nil {
				return err
			}
		}
		return nil
	})
}
