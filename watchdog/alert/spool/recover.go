package spool

import (
	"errors"
	"fmt"

	"go.etcd.io/bbolt"

	"lifeline/watchdog/store"
)

// check starts anew after damage.
func (s *Spool) check(db *store.DB, err error) error {
	if err != nil && store.Damaged(err) && s.db.CompareAndSwap(db, nil) {
		// The old file is neither closed nor unlocked: a store that panicked may
		// hold its own locks for ever.
		s.startAnew(err)
	}
	return err
}

// startAnew puts the damaged file aside and has everything that is known
// written into a new one.
func (s *Spool) startAnew(cause error) {
	aside, err := store.PutAside(s.path)
	s.log.Error("the spool of alerts is damaged; it is put aside and a new one begun: what it still held is lost",
		"error", cause, "old", aside, "rename_error", err)
	s.mu.Lock()
	s.health.aside = aside
	s.health.resets++
	s.rewriteAll()
	s.mu.Unlock()
	poke(s.kick)
}

// rewriteAll begins a file: it has to hold what the running daemon owns, and there
// are figures only of what is in memory; the lock is held.
func (s *Spool) rewriteAll() {
	for k, v := range s.kept {
		if _, newer := s.puts[k]; !newer {
			s.puts[k] = v
		}
	}
	s.stored = volume{}
	for _, c := range s.counts {
		c.pending, c.dead = 0, 0
	}
	for _, e := range s.unwritten {
		for _, t := range e.to {
			if !s.completed[t.Receiver][e.seq] {
				s.count(t.Receiver).pending++
			}
		}
	}
}

// restoreFile writes the file again that somebody deleted or replaced under the
// running daemon. Until that is possible, alerts wait in memory.
func (s *Spool) restoreFile() error {
	db := s.db.Load()
	if db == nil || !errors.Is(db.Lost(), store.ErrLost) {
		return nil
	}
	if err := db.Restore(); err != nil {
		return fmt.Errorf("the spool was deleted or replaced under the running daemon: %w", err)
	}
	if !s.db.CompareAndSwap(db, nil) {
		return nil // it was damaged as well, and is begun anew
	}
	s.log.Error("the spool of alerts was deleted or replaced under the running daemon; it is there again", "path", s.path)
	s.mu.Lock()
	s.health.restored = s.now()
	s.rewriteAll()
	s.mu.Unlock()
	return db.Close()
}

// openedDB gives the open file, opening it where that has not worked yet.
func (s *Spool) openedDB() (*store.DB, error) {
	if db := s.db.Load(); db != nil {
		return db, nil
	}
	s.mu.Lock()
	resets := s.health.resets
	s.mu.Unlock()
	if resets >= maxResets {
		return nil, errors.New("the spool was damaged too often: alerts are kept in memory only until the next start")
	}
	db, err := s.openDB(s.path)
	if err != nil && store.Damaged(err) {
		s.startAnew(err)
		db, err = s.openDB(s.path)
	}
	if err != nil {
		return nil, err
	}
	if err := s.load(db); err != nil {
		return nil, err
	}
	s.db.Store(db)
	return db, nil
}

// load reads what a newly opened file holds.
func (s *Spool) load(db *store.DB) error {
	held := map[key][]byte{}
	var last uint64
	found := map[string]counts{}
	var history volume
	err := db.View(func(tx *bbolt.Tx) error {
		t := newTables(tx)
		in := tx.Bucket(bucketHistory).Stats()
		history = volume{in.KeyN, int64(in.LeafInuse)}
		last = t.lastSeq()
		t.countQueues(found)
		return t.readKept(held)
	})
	if err != nil && store.Damaged(err) {
		s.startAnew(err)
		return fmt.Errorf("spool %s: %w", s.path, err)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("spool %s: %w", s.path, err), db.Close())
	}
	s.mu.Lock()
	again := s.loadedOnce
	if again {
		clear(held) // this daemon's own, or older than what it knows
	}
	s.loadedOnce = true
	for k, v := range held {
		if _, newer := s.kept[k]; !newer {
			s.kept[k] = v
		}
	}
	s.lastSeq = max(s.lastSeq, last)
	s.stored = history
	for name, c := range found {
		mine := s.count(name)
		mine.pending += c.pending
		mine.dead += c.dead
		mine.drops = c.drops
	}
	s.health.bytes = bytesInUse(db)
	s.mu.Unlock()
	if !again {
		s.onLoad(s.stateOf(held))
	}
	return nil
}

// Open opens the file; where that does not work it is tried again while the
// spool runs, and alerts are kept in memory.
func (s *Spool) Open() error {
	_, err := s.openedDB()
	if err != nil {
		s.finish(writeBatch{}, err)
	}
	return err
}
