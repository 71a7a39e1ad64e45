package alert

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"lifeline/watchdog/store"
)

// run writes what is to be written until ctx ends.
func (s *spool) run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	look := time.NewTicker(lookForFile)
	defer look.Stop()
	pause := firstPause
	var notBefore time.Time
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.kick:
		case <-s.soon:
			if !s.linger(ctx) {
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
			pause = min(2*pause, longPause)
			continue
		}
		pause, notBefore = firstPause, time.Time{}
		if s.unwritten() {
			poke(s.kick)
		}
	}
}

// linger waits for more to write, unless something is to be written at once. It
// tells false when ctx ended.
func (s *spool) linger(ctx context.Context) bool {
	timer := time.NewTimer(settleDelay)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-s.kick:
	case <-timer.C:
	}
	return true
}

// batch is what one transaction writes.
type batch struct {
	entries []batchEntry
	endings []ending
	puts    map[slot][]byte
	ended   map[string]int // by receiver: events that wait no longer
	buried  map[string]int // by receiver: of these, refused
	added   volume         // to the history
}

// gather takes what is to be written.
func (s *spool) gather() batch {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := batch{puts: s.puts, ended: map[string]int{}, buried: map[string]int{}}
	s.puts = map[slot][]byte{}
	s.flying = s.batchSize()
	for _, e := range s.fresh[:s.flying] {
		w := e.batchEntry
		w.to = slices.DeleteFunc(slices.Clone(w.to), func(t target) bool {
			refused, over := s.done[t.receiver][w.seq]
			if over && !refused {
				b.ended[t.receiver]++
			}
			return over && !refused
		})
		b.entries = append(b.entries, w)
	}
	// The end of an event that is not written yet waits for that.
	limit := ^uint64(0)
	if s.flying < len(s.fresh) {
		limit = s.fresh[s.flying].seq
	}
	var later []ending
	for _, x := range s.endings {
		if x.seq < limit {
			b.endings = append(b.endings, x)
		} else {
			later = append(later, x)
		}
	}
	s.endings = later
	return b
}

// batchSize is how many of the events in memory go into one transaction, one
// at least; the lock is held.
func (s *spool) batchSize() (n int) {
	size := int64(0)
	for ; n < min(len(s.fresh), mostBatch); n++ {
		size += int64(len(s.fresh[n].raw))
		if n > 0 && size > s.max/batchShare {
			break
		}
	}
	return n
}

// settle takes note of what became of a batch.
func (s *spool) settle(b batch, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	flown := s.flying
	s.flying = 0
	if err != nil {
		s.health.err = err.Error()
		s.endings = append(b.endings, s.endings...)
		for k, v := range b.puts {
			if _, newer := s.puts[k]; !newer {
				s.puts[k] = v
			}
		}
		return
	}
	s.health.err = ""
	s.fresh = slices.Delete(s.fresh, 0, flown)
	for _, x := range b.endings {
		delete(s.done[x.receiver], x.seq)
	}
	for receiver, n := range b.ended {
		s.count(receiver).pending -= n
	}
	for receiver, n := range b.buried {
		s.count(receiver).dead += n
	}
	s.history.incidents += b.added.incidents
	s.history.bytes += b.added.bytes
}

// flush writes what waits. What could not be written waits on.
func (s *spool) flush() error {
	err := s.restore()
	var db *store.DB
	if err == nil {
		db, err = s.opened()
	}
	b := s.gather()
	if err == nil && len(b.entries)+len(b.endings)+len(b.puts) > 0 {
		err = s.write(db, &b)
	}
	s.settle(b, err)
	if err != nil {
		return err
	}
	if len(b.entries) > 0 {
		s.wake()
		return s.trim(db)
	}
	return nil
}

// write commits a batch.
func (s *spool) write(db *store.DB, b *batch) error {
	s.mu.Lock()
	known := s.history
	s.mu.Unlock()
	filtered := maps.Clone(b.ended)
	return s.update(db, func(t *tables) error {
		b.ended, b.buried = maps.Clone(filtered), map[string]int{}
		if err := b.apply(t); err != nil {
			return err
		}
		err := t.boundHistory(known, volume{s.historyMax, s.max / historyShare})
		b.added = t.added
		return err
	})
}

// apply writes a batch within a transaction.
func (b *batch) apply(t *tables) error {
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
		found, err := t.end(x)
		if err != nil {
			return err
		}
		if found {
			b.ended[x.receiver]++
		}
		if found && x.dead != nil {
			b.buried[x.receiver]++
		}
	}
	return nil
}

// close writes the rest and closes the file.
func (s *spool) close() error {
	err := s.flush()
	for err == nil && s.unwritten() {
		err = s.flush()
	}
	if db := s.db.Swap(nil); db != nil {
		err = errors.Join(err, db.Close())
	}
	return err
}
