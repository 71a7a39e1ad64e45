package control

// roster decides who runs when not all may: first come first served, then in
// turns.
type roster struct {
	turned float64 // when the last change of turns was
	woken  float64 // when the last one was let run again
}

func (r *roster) shift(by float64) { r.turned, r.woken = r.turned+by, r.woken+by }

const (
	turn       = 60.0 // s that a transfer runs before it gives way to a waiting one
	wakeEvery  = 0.5  // s between two that are let run again
	swapEvery  = 5.0  // s between two changes of turns
	leastPause = 5.0  // s that a paused one stays paused
)

// staff pauses and resumes so that no more than allowed run.
func (r *roster) staff(c *Controller, in *Input, s *signal) {
	limit := c.mostRunning()
	running := 0
	for i := range c.members {
		m := &c.members[i]
		if m.state.paused && !m.flow.Pausable {
			r.set(m, false, s.now)
		}
		if runs(m) && !c.sleeps(m) {
			running++
		}
	}
	for running > limit {
		m := c.pick(s, victim)
		if m == nil {
			break
		}
		r.set(m, true, s.now)
		running--
	}
	if running < limit && (s.now-r.woken >= wakeEvery || limit == everyone && c.crisis.calm == 0 && c.crisis.changed == 0) {
		if m := c.pick(s, waiting); m != nil {
			r.set(m, false, s.now)
			r.woken = s.now
		}
		return
	}
	if running == limit && s.now-r.turned >= swapEvery {
		r.swap(c, s)
	}
}

// swap gives the turn of the one that ran longest to the one that waited longest.
func (r *roster) swap(c *Controller, s *signal) {
	in, out := c.pick(s, waiting), c.pick(s, tired)
	if in == nil || out == nil || s.now-in.state.since < leastPause {
		return
	}
	r.set(out, true, s.now)
	r.set(in, false, s.now)
	r.turned = s.now
}

func (r *roster) set(m *member, paused bool, now float64) {
	m.state.paused, m.state.since = paused, now
}

// mostRunning is the number of transfers that may run now.
func (c *Controller) mostRunning() int {
	limit := c.crisis.allowed
	if c.set.MaxRunning > 0 && c.set.Pause {
		limit = min(limit, c.set.MaxRunning)
	}
	return limit
}

// runs says that a transfer is neither paused by us nor by the operator.
func runs(m *member) bool {
	return !m.state.paused && !(m.flow.Pinned.Pause && m.flow.Pausable)
}

// pick returns the member that is best by a ranking, or nil. A ranking says
// whether a is a candidate and, with b, whether it is the better one.
func (c *Controller) pick(s *signal, rank func(s *signal, a, b *member) (candidate, better bool)) *member {
	var best *member
	for i := range c.members {
		m := &c.members[i]
		candidate, better := rank(s, m, best)
		if candidate && (best == nil || better) {
			best = m
		}
	}
	return best
}

// victim ranks for pausing: the newest, and of those the one with most left.
func victim(_ *signal, a, b *member) (candidate, better bool) {
	if !a.flow.Pausable || !runs(a) || a.flow.Idle {
		return false, false
	}
	if b == nil {
		return true, true
	}
	if gap := a.state.since - b.state.since; gap > 1 || gap < -1 {
		return true, gap > 0
	}
	if a.flow.Age != b.flow.Age {
		return true, a.flow.Age < b.flow.Age
	}
	return true, a.flow.Remaining > b.flow.Remaining
}

// waiting ranks for running again: the longest paused.
func waiting(_ *signal, a, b *member) (candidate, better bool) {
	if !a.state.paused || a.flow.Pinned.Pause {
		return false, false
	}
	return true, b == nil || a.state.since < b.state.since
}

// tired ranks for giving way: the longest running that had its turn.
func tired(s *signal, a, b *member) (candidate, better bool) {
	if !a.flow.Pausable || !runs(a) || a.flow.Idle || s.now-a.state.since < turn {
		return false, false
	}
	return true, b == nil || a.state.since < b.state.since
}
