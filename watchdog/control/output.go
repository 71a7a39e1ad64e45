package control

import "time"

// output turns the state into limits.
func (c *Controller) output(in *Input, s *signal) Output {
	c.settle(s)
	out := Output{
		Capacity:     c.remember(in),
		Saturated:    c.load.saturated,
		ShutOut:      c.crisis.all || c.crisis.shut,
		NotOurs:      c.cause.foreign,
		Drained:      c.gone,
		Contradicted: c.liar,
		Phase:        c.phase(in, s),
		Moving:       c.moving(in, s),
		Tick:         c.tick(in, s),
	}
	out.Rest = c.rests(in, &out, s)
	limiting := c.mode != idle
	if limiting {
		c.divide(s)
		out.AtFloor = c.mode != supposing && c.atFloor() && s.sees && s.queue > c.target
		if c.shaper.wanted {
			out.Shaper = max(c.budget.rate, leastRate)
		}
		out.Birth = c.birth(c.budget.rate / float64(s.reachable+1))
	} else if !c.set.Off {
		out.Birth = c.birth(c.first(in, s))
	}
	if len(in.Flows) > 0 {
		out.Flows = make([]FlowLimit, len(in.Flows))
	}
	capped := c.set.MaxRunning > 0 && c.crisis.allowed >= c.set.MaxRunning
	for i := range c.members {
		m := &c.members[i]
		l := &out.Flows[i]
		l.ID = m.flow.ID
		if limiting {
			c.limit(m, l)
		}
		c.pin(m, l)
		if m.state.paused && m.flow.Pausable && !c.set.Off {
			l.Pause, l.Held = true, capped && !m.flow.Pinned.Pause
		}
	}
	out.Why = c.why(&out, in, s)
	return out
}

// limit writes what the budget means for one transfer. A paused one keeps the
// smallest limits, so that it comes back quietly.
func (c *Controller) limit(m *member, l *FlowLimit) {
	if !m.flow.Limitable {
		return
	}
	l.Shape = c.shaper.wanted
	carried := c.shaper.stands && m.flow.Shaped
	if carried && c.set.ShaperOnly {
		return
	}
	if c.set.Direction == Rx {
		if w := c.window(m); w < mostWindow {
			l.Window = w
		}
		return
	}
	if !carried {
		l.Pacing = max(m.share/wire, leastPacing)
	}
}

// pin writes an operator's own wish over ours.
func (c *Controller) pin(m *member, l *FlowLimit) {
	p := m.flow.Pinned
	if p.Pause && m.flow.Pausable {
		l.Pause = true
	}
	rate := p.Rate
	if rate == 0 || !m.flow.Limitable {
		return
	}
	if c.set.Direction == Tx {
		l.Pacing = max(rate, leastPacing)
		return
	}
	w := rate * (pathRTT(m.flow, c.delay.base))
	l.Window = max(m.flow.Floor, int64(min(w, mostWindow-1)))
}

// birth is the limit of a transfer that has that share of the budget and of
// which nothing else is known.
func (c *Controller) birth(share float64) FlowLimit {
	m := member{flow: &Flow{Floor: 2 * 1448}, share: share}
	l := FlowLimit{Shape: c.shaper.wanted}
	if c.set.Direction == Rx {
		if w := c.window(&m); w < mostWindow {
			l.Window = w
		}
	} else {
		l.Pacing = max(m.share/wire, leastPacing)
	}
	return l
}

// remember is the capacity worth writing down: only what a full link confirmed,
// now or in an earlier run. The speed of a NIC says nothing of what is behind it.
func (c *Controller) remember(in *Input) float64 {
	if c.cap.full || in.Learnt > 0 {
		return c.best(in)
	}
	return 0
}

// phase names where we stand.
func (c *Controller) phase(in *Input, s *signal) Phase {
	switch {
	case c.set.DryRun && (c.mode == supposing || c.crisis.all):
		return Watching
	case c.crisis.all:
		return PauseAll
	case c.mode == idle:
		return Free
	case c.cause.foreign:
		return Backoff
	case c.mode == unsighted:
		return Blind
	case c.crisis.allowed < everyone:
		return Fewer
	case c.load.engaged:
		return Engaged
	}
	return Probing
}

// moving says that the limits are what holds the transfers, and that they are
// on their way to what the link bears.
func (c *Controller) moving(in *Input, s *signal) bool {
	switch c.mode {
	case ramping:
		return s.busy
	case draining:
		return true
	case cruising:
		return c.shaper.wanted && !c.shaper.stands || (c.climbs(in) || c.growth() > closeGrowth) && s.busy
	case unsighted:
		return s.busy
	case idle, supposing:
	}
	return false
}

// rests says that the limits stand about where they belong and change slowly. Not
// so where the capacity is in doubt: what is seen is then the step's own effect.
func (c *Controller) rests(in *Input, out *Output, s *signal) bool {
	switch {
	case c.mode == idle:
		return true
	case c.mode != cruising || out.Moving || out.Phase != Engaged && out.Phase != Probing || s.running < len(c.members):
		return false
	}
	return c.growth() <= closeGrowth && !c.unmet(in) && !c.uncertain() && c.delay.restless() < c.target/10
}

// closeGrowth is how fast the rate may grow above the top, per second, while
// probes are up to 0.3 s apart: at 1 % they miss 1 ms of queue.
const closeGrowth = 0.01

// tick is how soon the next step is wanted: soon while the budget moves fast,
// but not for long, because each step costs.
func (c *Controller) tick(in *Input, s *signal) time.Duration {
	b := &c.budget
	fast := func(least float64) time.Duration {
		return time.Duration(clamp(s.rtt/4, least, 0.1) * float64(time.Second))
	}
	switch {
	case c.mode == idle:
		return time.Second
	case c.climbs(in) && s.busy && s.now-c.shaper.since < fastFor:
		return climbTick
	case c.mode == ramping && b.again == 0 && s.now-b.begun < fastFor:
		return fast(rampTick)
	case c.mode == draining && s.now-b.cut < fastFor/2:
		return fast(drainTick)
	}
	return steadyTick
}

// steadyTick is the time between two steps when nothing moves fast.
const steadyTick = 100 * time.Millisecond

// The least time between two steps in seconds while a ramp grows, and while a
// queue drains: probes tell of its end no sooner.
const (
	rampTick  = 0.03
	drainTick = 0.05
)

// fastFor is for how many seconds a ramp is stepped fast.
const fastFor = 3.0

// why is the clause for logs and status.
func (c *Controller) why(out *Output, in *Input, s *signal) string {
	switch out.Phase {
	case PauseAll:
		return "management cannot be reached over a link that is busy with rsync"
	case Fewer:
		if s.sees && s.queue > c.target {
			return "limits are at their floor and the delay still stands"
		}
		return "limits at their floor were not enough; more run when the delay has stayed short"
	case Backoff:
		return "the delay stayed when the transfers gave way"
	case Watching:
		return c.wouldWhy(in)
	case Blind:
		return "neither delay nor capacity is known: limits follow what passes"
	case Engaged:
		switch {
		case c.mode == draining:
			return "draining the queue"
		case c.shaper.stands:
			return "the shaper holds the link"
		}
		return "limits hold the link"
	case Probing:
		return "limits grow until the link answers"
	case Free:
		if c.set.Off {
			return "switched off"
		}
		if out.Saturated {
			return "saturated, but not by rsync"
		}
	}
	return "no transfers"
}
