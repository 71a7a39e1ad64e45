package control

import "math"

// budget is the total rate of the transfers. Sending, it is divided into
// pacing rates; receiving, into windows of rate x (path RTT + target), so that
// a budget equal to the capacity makes a queue of about the target.
type budget struct {
	rate    float64 // bytes/s
	top     float64 // bytes/s that the link bore when it last was too much
	age     float64 // s of use since then
	again   bool    // the ramp goes on from a capacity that was once right
	depth   float64 // of top: the rate while draining
	before  float64 // s of queue when draining was last checked
	drained float64 // when the queue should be gone
	settled float64 // when the last change should be visible
	quiet   float64 // when the limits last bound
}

func (b *budget) shift(by float64) {
	b.drained, b.settled, b.quiet = b.drained+by, b.settled+by, b.quiet+by
}

// tuning is how the law of rates is adapted to what enforces the rate.
type tuning struct {
	head   float64 // of the capacity: where cruising begins
	knee   float64 // s of queue that mean too much
	period float64 // s until the old top is reached again
}

func (c *Controller) tuning() tuning {
	switch {
	case c.shaper.stands && c.set.Direction == Rx:
		return tuning{head: 0.96, knee: 0.6 * c.target, period: 15}
	case c.shaper.stands:
		return tuning{head: 0.98, knee: 0.6 * c.target, period: 15}
	}
	return tuning{head: 0.95, knee: c.target, period: 4}
}

// windowed says that windows are what limits, so that the queue follows the
// budget in proportion and not as its integral.
func (c *Controller) windowed() bool {
	return c.set.Direction == Rx && !c.shaper.stands
}

// begin sets the first budget: half of what the link is known to bear, else
// little, but never less than what has flowed without harm. A queue that is
// there already drains first: transfers that have run for a while made it and
// show what the link bears, the burst of new ones shows nothing.
func (c *Controller) begin(in *Input, s *signal) {
	b := &c.budget
	*b = budget{rate: startRate, quiet: s.now}
	c.mode = ramping
	if c.trusted(in) {
		b.rate = 0.5 * max(0, c.best(in)-s.others)
	}
	switch {
	case !s.sees || s.fresh < 0.6*c.target:
		b.rate = max(b.rate, min(s.ours, s.paid))
	case s.paid > 2*b.rate:
		b.top, b.rate, b.depth, b.before = s.paid, 0.75*s.paid, 0.75, s.fresh
		c.mode, b.drained = draining, s.now+s.loop+min(4*s.fresh, 3)
	default:
		c.mode, b.depth, b.before, b.drained = draining, 0.75, s.fresh, s.now+s.loop+min(2*s.fresh, 3)
	}
	b.settled = b.drained + s.loop
	b.rate = max(b.rate, c.least(in))
}

// steer moves the budget by one step.
func (c *Controller) steer(in *Input, s *signal) {
	if s.busy {
		c.budget.quiet = s.now
	}
	if !c.carries(in, s) && c.mode != lifted {
		s.queue, s.fresh = 0, 0
	}
	switch c.mode {
	case ramping:
		c.ramp(in, s)
	case draining:
		c.drain(in, s)
	case cruising:
		if c.windowed() {
			c.cruiseWindow(in, s)
		} else {
			c.cruiseRate(in, s)
		}
	}
	c.bound(in, s)
}

// ramp grows the budget exponentially, as slow start does, but no faster than
// the delay can tell of it in time.
func (c *Controller) ramp(in *Input, s *signal) {
	b := &c.budget
	if s.sees && s.fresh > 0.6*c.target {
		if s.now-c.newest < 0.4+s.loop { // their burst, which no limit has met yet
			c.mode, b.top, b.depth, b.before, b.drained = draining, 0, 0.75, s.fresh, s.now+2*s.loop+2*s.fresh
			return
		}
		c.cut(in, s)
		return
	}
	b.rate *= math.Exp(c.gain(s) * s.dt)
	best := c.best(in)
	if best > 0 && b.rate >= c.tuning().head*best-s.others {
		c.mode, b.top, b.age = cruising, max(best-s.others, c.least(in)), 0
		b.settled = s.now + s.loop
	}
}

// gain is the ramp's growth per second. A rate that grows by the factor
// exp(g t) past the capacity has filled a queue of about g t^2 / 2 seconds
// when the news of it arrives after t; a window cannot do that.
func (c *Controller) gain(s *signal) float64 {
	most := min(math.Log(1.1)/0.02, math.Log(1.25)/max(s.rtt, 1e-3))
	if c.windowed() {
		return min(most, 0.7/s.loop)
	}
	most = min(most, 2*(0.025+s.rtt/2)/(s.loop*s.loop))
	if c.budget.again {
		most *= 0.3
	}
	return most
}

// cut reacts to a queue that is too long.
func (c *Controller) cut(in *Input, s *signal) {
	if c.windowed() {
		c.cutWindow(in, s)
	} else {
		c.cutRate(in, s)
	}
}

// cutRate goes below what the link bore when the queue began, long enough for
// the queue to drain. The burst of new transfers says nothing of the capacity.
func (c *Controller) cutRate(in *Input, s *signal) {
	b := &c.budget
	ref := c.borne(s)
	if s.now-c.newest < 0.5+s.loop && b.top > 0 {
		ref = b.top
	} else {
		c.note(ref + s.others)
	}
	ref = max(ref, c.least(in))
	depth := 0.9
	if s.fresh > 2*c.target {
		depth = 0.75
	}
	b.top, b.age, b.again = ref, 0, false
	b.rate = max(depth*ref, c.least(in))
	b.depth, b.before = depth, s.fresh
	b.drained = s.now + 2*s.loop + min(s.fresh/(1-depth), 3)
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
	case s.fresh < c.target/3 && b.top == 0:
		c.mode = ramping
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

// cruiseRate follows a cubic around the rate that was once too much: quickly
// up to it, a plateau there, and faster again when the link bears more (the
// shape of RFC 9438).
func (c *Controller) cruiseRate(in *Input, s *signal) {
	b, t := &c.budget, c.tuning()
	switch {
	case s.sees && s.queue > t.knee && s.now > b.settled:
		c.cutRate(in, s)
		return
	case s.sees && s.fresh > t.knee/2: // the knee: neither up nor down
		return
	case !s.busy:
		return
	}
	b.age += s.dt
	x := (b.age - t.period) / t.period
	b.rate = max(b.rate, b.top*(1+(1-t.head)*x*x*x))
	if s.sees && b.rate > 1.02*b.top && !in.Configured {
		c.mode, b.again = ramping, true
	}
}

// cutWindow shrinks the windows in proportion to the delay that they make.
// Offered windows are never withdrawn, so it waits until the old ones are used.
func (c *Controller) cutWindow(in *Input, s *signal) {
	b := &c.budget
	path := s.rtt + c.delay.foreign
	ratio := clamp((path+0.5*c.target)/(path+s.fresh), 0.5, 0.97)
	b.rate = max(b.rate*ratio, c.least(in))
	b.settled = s.now + max(0.2, s.loop+2*(s.fresh+s.rtt))
	b.top = b.rate
	c.mode = cruising
}

// cruiseWindow holds the queue between half the target and the target.
func (c *Controller) cruiseWindow(in *Input, s *signal) {
	b := &c.budget
	switch {
	case s.now < b.settled:
	case s.sees && s.queue > c.target:
		c.cutWindow(in, s)
	case s.busy && (!s.sees || s.fresh < 0.5*c.target):
		b.rate *= math.Exp(min(0.3, 0.1/max(s.rtt, 1e-3)) * s.dt)
	}
}

// bound keeps the budget within what is used or known to be borne, so that
// nothing saves up a burst.
func (c *Controller) bound(in *Input, s *signal) {
	b := &c.budget
	use := max(1.5*s.peak, startRate, c.least(in))
	if best := c.best(in); best > 0 {
		head := c.tuning().head * best
		if c.trusted(in) {
			use = max(use, head-s.others)
		}
		if in.Configured || !s.sees {
			use = min(use, max(head-s.others, c.least(in)))
		}
	}
	b.rate = clamp(b.rate, c.least(in), max(use, c.least(in)))
}
