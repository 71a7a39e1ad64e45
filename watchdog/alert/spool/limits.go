package spool

import (
	"slices"

	"lifeline/watchdog/alert/incident"
	"lifeline/watchdog/store"
)

// boundMemory drops from memory what is too much, as the file does; the lock is
// held.
func (s *Spool) boundMemory() {
	if len(s.unwritten) <= maxUnwritten {
		return
	}
	free := s.unwritten[s.writing:]
	var queue []ref
	for _, e := range free {
		kind := incident.Updated
		if len(e.to) > 0 {
			kind = e.to[0].Kind
		}
		queue = append(queue, ref{e.seq, kind, e.incident})
	}
	drop := map[uint64]bool{}
	for _, what := range dropOrder {
		for _, g := range dropGroups(queue, what) {
			if len(s.unwritten)-len(drop) <= maxUnwritten*3/4 {
				break
			}
			for _, r := range g {
				drop[r.Seq] = true
			}
		}
	}
	kept := slices.Clone(s.unwritten[:s.writing])
	for _, e := range free {
		if drop[e.seq] {
			s.dropUnwritten(e)
		} else {
			kept = append(kept, e)
		}
	}
	s.unwritten = kept
}

func (s *Spool) dropUnwritten(e *unwrittenEvent) {
	for _, t := range e.to {
		if _, over := s.completed[t.Receiver][e.seq]; !over {
			s.dropOne(t.Receiver, e.seq)
		}
	}
}

// dropOne counts one dropped alert; the lock is held.
func (s *Spool) dropOne(receiver string, seq uint64) {
	c := s.count(receiver)
	c.pending--
	c.drops.add(seq)
	s.keep(map[key][]byte{dropSlot(receiver): c.drops.encode()})
}

// trim drops what is too much for the file, a little at a time: what a dropped
// event really frees is seen only afterwards, for bbolt works in pages.
func (s *Spool) trim(db *store.DB) error {
	for {
		used, pending, full := s.usage(db)
		if !full {
			return nil
		}
		need := min(used-int64(float64(s.max)*lowWater), s.max/trimShare)
		dropped, err := s.drop(db, need, pending)
		if err != nil || dropped == 0 {
			return err
		}
	}
}

// usage measures the file and tells whether there is too much in it.
func (s *Spool) usage(db *store.DB) (used int64, pending map[string]int, full bool) {
	used = bytesInUse(db)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.health.bytes = used
	pending = map[string]int{}
	full = used > int64(float64(s.max)*highWater)
	for name, c := range s.counts {
		pending[name] = c.pending
		full = full || c.dead > maxDeadLetters+maxDeadLetters/10
	}
	return used, pending, full
}

// drop frees need bytes and bounds the dead letters, in one transaction that
// also counts what it costs. It gives how many alerts were dropped.
func (s *Spool) drop(db *store.DB, need int64, pending map[string]int) (dropped int, err error) {
	var d trimming
	records := map[string]DropRecord{}
	err = s.update(db, func(t *transaction) error {
		d = trimming{t: t, need: need, over: s.isCompleted, drops: map[string][]uint64{}, buried: map[string]int{}}
		if err := d.run(byLength(pending, s.receivers)); err != nil {
			return err
		}
		for receiver, seqs := range d.drops {
			r := s.Drops(receiver)
			for _, seq := range seqs {
				r.add(seq)
			}
			records[receiver] = r
			if err := t.put(dropSlot(receiver), r.encode()); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for receiver, r := range records {
		c, n := s.count(receiver), len(d.drops[receiver])
		r.Reported = max(r.Reported, c.drops.Reported) // told meanwhile
		c.drops = r
		c.dead -= d.buried[receiver]
		c.pending -= n - d.buried[receiver]
		s.kept[dropSlot(receiver)] = r.encode()
		dropped += n
		s.log.Warn("the spool is full; the oldest alerts were dropped", "receiver", receiver, "dropped", n, "total", r.Total)
	}
	return dropped, nil
}

// isCompleted tells whether an event's way to a receiver is over in memory.
func (s *Spool) isCompleted(receiver string, seq uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, over := s.completed[receiver][seq]
	return over
}

// Drops gives what a receiver lost.
func (s *Spool) Drops(receiver string) DropRecord {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count(receiver).drops
}

// DropsReported notes that a receiver was told of its losses up to a total.
func (s *Spool) DropsReported(receiver string, total int) {
	s.mu.Lock()
	c := s.count(receiver)
	c.drops.Reported = max(c.drops.Reported, total)
	s.keep(map[key][]byte{dropSlot(receiver): c.drops.encode()})
	s.mu.Unlock()
	poke(s.soon)
}
