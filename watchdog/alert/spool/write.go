package spool

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"lifeline/watchdog/alert/incident"
	"lifeline/watchdog/store"
)

// Run writes what is to be written until ctx ends.
func (s *Spool) Run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	look := time.NewTicker(fileCheckInterval)
	defer look.Stop()
	pause := minWritePause
	var notBefore time.Time
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.kick:
		case <-s.soon:
			if !s.waitForMore(ctx) {
				return nil
			}
		case <-timer.C:
		case <-look.C:
			if db := s.db.Load(); db == nil || db.Lost() == nil {
				continue
			}
		}
		if wait := notBefore.Sub(s.now()); wait > 0 {
			timer.Reset(wait)
			continue
		}
		if err := s.flush(); err != nil {
			notBefore = s.now().Add(pause)
			timer.Reset(pause)
			pause = min(2*pause, maxWritePause)
			continue
		}
		pause, notBefore = minWritePause, time.Time{}
		if s.HasUnwritten() {
			poke(s.kick)
		}
	}
}

// waitForMore waits for more to write, unless something is to be written at once. It
// tells false when ctx ended.
func (s *Spool) waitForMore(ctx context.Context) bool {
	timer := time.NewTimer(batchDelay)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-s.kick:
	case <-timer.C:
	}
	return true
}

// writeBatch is what one transaction writes.
type writeBatch struct {
	entries   []queuedEvent
	endings   []Completion
	puts      map[key][]byte
	delivered map[string]int // by receiver: events that wait no longer
	refused   map[string]int // by receiver: of these, refused
	added     volume         // to the history
}

// collect takes what is to be written.
func (s *Spool) collect() writeBatch {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := writeBatch{puts: s.puts, delivered: map[string]int{}, refused: map[string]int{}}
	s.puts = map[key][]byte{}
	s.writing = s.batchSize()
	for _, e := range s.unwritten[:s.writing] {
		w := e.queuedEvent
		w.to = slices.DeleteFunc(slices.Clone(w.to), func(t incident.Target) bool {
			refused, over := s.completed[t.Receiver][w.seq]
			if over && !refused {
				b.delivered[t.Receiver]++
			}
			return over && !refused
		})
		b.entries = append(b.entries, w)
	}
	// The end of an event that is not written yet waits for that.
	limit := ^uint64(0)
	if s.writing < len(s.unwritten) {
		limit = s.unwritten[s.writing].seq
	}
	var later []Completion
	for _, x := range s.completions {
		if x.Seq < limit {
			b.endings = append(b.endings, x)
		} else {
			later = append(later, x)
		}
	}
	s.completions = later
	return b
}

// batchSize is how many of the events in memory go into one transaction, one
// at least; the lock is held.
func (s *Spool) batchSize() (n int) {
	size := int64(0)
	for ; n < min(len(s.unwritten), maxBatch); n++ {
		size += int64(len(s.unwritten[n].raw))
		if n > 0 && size > s.max/batchShare {
			break
		}
	}
	return n
}

// finish takes note of what became of a batch.
func (s *Spool) finish(b writeBatch, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	flown := s.writing
	s.writing = 0
	if err != nil {
		s.health.err = err.Error()
		s.completions = append(b.endings, s.completions...)
		for k, v := range b.puts {
			if _, newer := s.puts[k]; !newer {
				s.puts[k] = v
			}
		}
		return
	}
	s.health.err = ""
	s.unwritten = slices.Delete(s.unwritten, 0, flown)
	for _, x := range b.endings {
		delete(s.completed[x.Receiver], x.Seq)
	}
	for receiver, n := range b.delivered {
		s.count(receiver).pending -= n
	}
	for receiver, n := range b.refused {
		s.count(receiver).dead += n
	}
	s.stored.incidents += b.added.incidents
	s.stored.bytes += b.added.bytes
}

// flush writes what waits. What could not be written waits on.
func (s *Spool) flush() error {
	err := s.restoreFile()
	var db *store.DB
	if err == nil {
		db, err = s.openedDB()
	}
	b := s.collect()
	if err == nil && len(b.entries)+len(b.endings)+len(b.puts) > 0 {
		err = s.write(db, &b)
	}
	s.finish(b, err)
	if err != nil {
		return err
	}
	if len(b.entries) > 0 {
		s.onReadable()
		return s.trim(db)
	}
	return nil
}

// write commits a batch.
func (s *Spool) write(db *store.DB, b *writeBatch) error {
	s.mu.Lock()
	known := s.stored
	s.mu.Unlock()
	filtered := maps.Clone(b.delivered)
	return s.update(db, func(t *transaction) error {
		b.delivered, b.refused = maps.Clone(filtered), map[string]int{}
		if err := b.apply(t); err != nil {
			return err
		}
		err := t.boundHistory(known, volume{s.historyMax, s.max / historyShare})
		b.added = t.added
		return err
	})
}

// apply writes a batch within a transaction.
func (b *writeBatch) apply(t *transaction) error {
	for _, e := range b.entries {
		if err := t.add(e); err != nil {
			return err
		}
	}
	for k, v := range b.puts {
		if err := t.put(k, v); err != nil {
			return err
		}
	}
	for _, x := range b.endings {
		found, err := t.complete(x)
		if err != nil {
			return err
		}
		if found {
			b.delivered[x.Receiver]++
		}
		if found && x.Refused != nil {
			b.refused[x.Receiver]++
		}
	}
	return nil
}

// Close writes the rest and closes the file.
func (s *Spool) Close() error {
	err := s.flush()
	for err == nil && s.HasUnwritten() {
		err = s.flush()
	}
	if db := s.db.Swap(nil); db != nil {
		err = errors.Join(err, db.Close())
	}
	return err
}

// poke wakes whoever listens, once.
func poke(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
