package control

// tuning is how the law of rates is adapted to what enforces the rate.
type tuning struct {
	head   float64 // of the capacity: where cruising begins
	knee   float64 // s of queue that mean too much
	period float64 // s until the old top is reached again
}

// tuning returns the figures for pacing, or for the shaper that stands. What a
// shaper lets through is smooth, so that it may stay nearer to the capacity and
// take a shorter queue for a sign; behind the bottleneck it works only by
// holding the senders back, so that it needs more room.
func (c *Controller) tuning() tuning {
	t := tuning{head: 0.95, knee: c.target, period: 4}
	switch {
	case c.shaper.stands && c.set.Direction == Rx:
		t = tuning{head: 0.96, knee: 0.5 * c.target, period: 20}
	case c.shaper.stands:
		t = tuning{head: 0.98, knee: 0.5 * c.target, period: 20}
	}
	if !c.budget.sure {
		t.period = 3
	}
	return t
}

// cruiseRate follows a cubic around the rate that was once too much: quickly
// up to it, a plateau there, and then a new ramp, because the link bears more
// (the shape of RFC 9438).
func (c *Controller) cruiseRate(in *Input, s *signal) {
	b, t := &c.budget, c.tuning()
	switch {
	case s.sees && s.queue > t.knee && s.now > b.settled:
		c.cutRate(in, s)
		return
	case s.sees && s.fresh > t.knee/2: // neither up nor down
		return
	case !s.busy:
		return
	}
	b.age += s.dt
	x := (b.age - t.period) / t.period
	b.rate = max(b.rate, b.top*(1+(1-t.head)*x*x*x))
	if s.sees && b.rate > 1.01*b.top && !in.Configured {
		c.mode, b.again = ramping, s.dt
	}
}

// cutRate goes below what the link bore when the queue began, long enough for
// the queue to drain.
func (c *Controller) cutRate(in *Input, s *signal) {
	b := &c.budget
	ref := b.top
	if ref == 0 || !c.excused(s) {
		ref = c.borne(s)
		c.note(ref + s.others)
		b.sure = c.mode == cruising || b.again > 0
	}
	ref = max(ref, c.least(in))
	queue := s.fresh + s.loop*clamp(b.rate/ref-1, 0, 1) // it grew since the probes saw it
	depth := 0.9
	if queue > 2*c.target {
		depth = 0.75
	}
	b.top = ref
	c.sink(s, depth, queue)
	b.rate = max(b.rate, c.least(in))
}

// sink drains a queue of so many seconds at a rate below the top.
func (c *Controller) sink(s *signal, depth, queue float64) {
	b := &c.budget
	b.rate = depth * b.top
	b.age, b.again = 0, 0
	b.depth, b.before = depth, queue
	b.drained = s.now + 2*s.loop + min(queue/(1-depth), 3)
	b.settled = b.drained + s.loop
	c.mode = draining
}

// borne is the rate that the link bore when the queue of now began, in bytes/s
// of ours: what went in one loop ago, less what stayed in the queue.
func (c *Controller) borne(s *signal) float64 {
	ref := c.budget.rate
	past, ok := c.history.at(s.now - s.loop)
	if !ok {
		if s.rateKnown {
			ref = min(ref, s.ours)
		}
		return ref
	}
	ref = min(ref, past.budget)
	before, _ := c.history.at(past.at - 0.06)
	if s.rateKnown && past.at > before.at {
		ref = min(ref, max(0, (past.bytes-before.bytes)/(past.at-before.at)-s.others))
	}
	if c.mode == ramping && s.now > past.at {
		ref /= 1 + clamp((s.fresh-past.fresh)/(s.now-past.at), 0, 1)
	}
	return ref
}

// drain waits for the queue to go, and cuts again when it does not shrink.
func (c *Controller) drain(in *Input, s *signal) {
	b := &c.budget
	switch {
	case s.fresh < c.target/3 || !s.sees:
		c.mode = cruising
		b.rate = max(c.tuning().head*b.top, c.least(in))
		b.settled = s.now + s.loop
	case s.now <= b.drained:
	case s.fresh < 0.8*b.before:
		b.before = s.fresh
		b.drained = s.now + s.loop + min(s.fresh/(1-b.depth), 3)
	default:
		c.cutRate(in, s)
	}
}
