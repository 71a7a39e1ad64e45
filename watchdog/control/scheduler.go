package control

// scheduler decides who runs when not all may: first come first served, then in
// turns (round robin).
type scheduler struct {
	swapped float64 // when the last change of turns was
	resumed float64 // when the last one was let run again
}

const (
	quantum     = 60.0 // s that a transfer runs before it gives way to a waiting one
	resumeEvery = 0.5  // s between two that are let run again
	swapEvery   = 5.0  // s between two changes of turns
	leastPause  = 5.0  // s that a paused one stays paused
	sameStart   = 1.0  // s: runs that began within it began together
)

// schedule pauses and resumes so that no more than limit run. atOnce lets one be
// resumed with each step.
func (s *scheduler) schedule(t *flowTable, state mode, now float64, limit int, atOnce bool) {
	running := t.countRunning(state, now)
	for ; running > limit; running-- {
		f := t.pick(now, toPause)
		if f == nil {
			break
		}
		f.setPaused(true, now)
	}
	switch {
	case running < limit && (now-s.resumed >= resumeEvery || atOnce):
		if f := t.pick(now, toResume); f != nil {
			f.setPaused(false, now)
			s.resumed = now
		}
	case running == limit && now-s.swapped >= swapEvery:
		s.swap(t, now)
	}
}

// countRunning counts the transfers that run and move something. One that may no more
// be paused runs again.
func (t *flowTable) countRunning(state mode, now float64) (running int) {
	for i := range t.entries {
		f := &t.entries[i]
		if f.rec.paused && !f.flow.Pausable {
			f.setPaused(false, now)
		}
		if f.runs() && !f.idles(state) {
			running++
		}
	}
	return running
}

// swap gives the turn of the one that ran longest to the one that waited longest.
func (s *scheduler) swap(t *flowTable, now float64) {
	in, out := t.pick(now, toResume), t.pick(now, toYield)
	if in == nil || out == nil || now-in.rec.since < leastPause {
		return
	}
	out.setPaused(true, now)
	in.setPaused(false, now)
	s.swapped = now
}

func (f *flowEntry) setPaused(paused bool, now float64) {
	f.rec.paused, f.rec.since = paused, now
}

// pick returns the entry that is best by a ranking, or nil. A ranking says
// whether a is a candidate and, with b, whether it is the better one.
func (t *flowTable) pick(now float64, rank func(now float64, a, b *flowEntry) (candidate, better bool)) *flowEntry {
	var best *flowEntry
	for i := range t.entries {
		f := &t.entries[i]
		candidate, better := rank(now, f, best)
		if candidate && (best == nil || better) {
			best = f
		}
	}
	return best
}

// toPause ranks for pausing: the newest, and of those the one with most left.
func toPause(_ float64, a, b *flowEntry) (candidate, better bool) {
	if !a.flow.Pausable || !a.runs() || a.flow.Idle {
		return false, false
	}
	if b == nil {
		return true, true
	}
	if gap := a.rec.since - b.rec.since; gap > sameStart || gap < -sameStart {
		return true, gap > 0
	}
	if a.flow.Age != b.flow.Age {
		return true, a.flow.Age < b.flow.Age
	}
	return true, a.flow.Remaining > b.flow.Remaining
}

// toResume ranks for running again: the longest paused.
func toResume(_ float64, a, b *flowEntry) (candidate, better bool) {
	if !a.rec.paused || a.flow.Pinned.Pause {
		return false, false
	}
	return true, b == nil || a.rec.since < b.rec.since
}

// toYield ranks for giving way: the longest running that had its turn.
func toYield(now float64, a, b *flowEntry) (candidate, better bool) {
	if !a.flow.Pausable || !a.runs() || a.flow.Idle || now-a.rec.since < quantum {
		return false, false
	}
	return true, b == nil || a.rec.since < b.rec.since
}
