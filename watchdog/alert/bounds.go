package alert

import (
	"slices"

	"lifeline/watchdog/store"
)

// boundFresh drops from memory what is too much, as the file does; the lock is
// held.
func (s *spool) boundFresh() {
	if len(s.fresh) <= mostFresh {
		return
	}
	free := s.fresh[s.flying:]
	var queue []ref
	for _, e := range free {
		kind := Updated
		if len(e.to) > 0 {
			kind = e.to[0].kind
		}
		queue = append(queue, ref{e.seq, kind, e.incident})
	}
	drop := map[uint64]bool{}
	for _, what := range importances {
		for _, g := range dropGroups(queue, what) {
			if len(s.fresh)-len(drop) <= mostFresh*3/4 {
				break
			}
			for _, r := range g {
				drop[r.seq] = true
			}
		}
	}
	kept := slices.Clone(s.fresh[:s.flying])
	for _, e := range free {
		if drop[e.seq] {
			s.dropFresh(e)
		} else {
			kept = append(kept, e)
		}
	}
	s.fresh = kept
}

func (s *spool) dropFresh(e *entry) {
	for _, t := range e.to {
		if _, over := s.done[t.receiver][e.seq]; !over {
			s.dropOne(t.receiver, e.seq)
		}
	}
}

// dropOne counts one dropped alert; the lock is held.
func (s *spool) dropOne(receiver string, seq uint64) {
	c := s.count(receiver)
	c.pending--
	c.drops.add(seq)
	s.keep(map[slot][]byte{dropSlot(receiver): c.drops.encode()})
}

// trim drops what is too much for the file, a little at a time: what a dropped
// event really frees is seen only afterwards, for bbolt works in pages.
func (s *spool) trim(db *store.DB) error {
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
func (s *spool) usage(db *store.DB) (used int64, pending map[string]int, full bool) {
	used = inUse(db)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.health.bytes = used
	pending = map[string]int{}
	full = used > int64(float64(s.max)*highWater)
	for name, c := range s.counts {
		pending[name] = c.pending
		full = full || c.dead > mostDead+mostDead/10
	}
	return used, pending, full
}

// drop frees need bytes and bounds the dead letters, in one transaction that
// also counts what it costs. It gives how many alerts were dropped.
func (s *spool) drop(db *store.DB, need int64, pending map[string]int) (dropped int, err error) {
	var d trimmer
	records := map[string]dropRecord{}
	err = s.update(db, func(t *tables) error {
		d = trimmer{t: t, need: need, over: s.isOver, drops: map[string][]uint64{}, buried: map[string]int{}}
		if err := d.run(byLength(pending, s.receivers)); err != nil {
			return err
		}
		for receiver, seqs := range d.drops {
			r := s.drops(receiver)
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
		r.Told = max(r.Told, c.drops.Told) // told meanwhile
		c.drops = r
		c.dead -= d.buried[receiver]
		c.pending -= n - d.buried[receiver]
		s.kept[dropSlot(receiver)] = r.encode()
		dropped += n
		s.log.Warn("the spool is full; the oldest alerts were dropped", "receiver", receiver, "dropped", n, "total", r.Total)
	}
	return dropped, nil
}

// isOver tells whether an event's way to a receiver is over in memory.
func (s *spool) isOver(receiver string, seq uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, over := s.done[receiver][seq]
	return over
}

// drops gives what a receiver lost.
func (s *spool) drops(receiver string) dropRecord {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count(receiver).drops
}

// dropsTold notes that a receiver was told of its losses up to a total.
func (s *spool) dropsTold(receiver string, total int) {
	s.mu.Lock()
	c := s.count(receiver)
	c.drops.Told = max(c.drops.Told, total)
	s.keep(map[slot][]byte{dropSlot(receiver): c.drops.encode()})
	s.mu.Unlock()
	poke(s.soon)
}
