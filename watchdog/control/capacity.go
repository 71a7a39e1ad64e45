package control

// Capacities of the link beyond which, and rates below which, we do not steer.
const (
	shaperMost = 2.5e9 / 8 // bytes/s: HTB has one lock per device
	leastRate  = 1e6 / 8   // bytes/s: what rsync keeps whoever else is on the link
	leastShare = 0.02      // of the capacity, likewise
	startRate  = 5e6 / 8   // bytes/s: first budget on a link of which nothing is known
)

// capacity is what the link was seen to bear.
type capacity struct {
	seen float64 // bytes/s, from a standing queue or from traffic that passed; 0 when never
	full bool    // a standing queue confirmed seen
	most float64 // the largest that was confirmed, slowly forgotten

	measured float64 // when it was measured while the link cannot have been idle

	stood float64 // s for which a queue has stood
	past  float64 // bytes of the link that passed meanwhile
}

// best is the estimate to work with in bytes/s, and 0 when there is none: what
// was seen under a standing queue, but never more than what was configured.
func (c *Controller) best(in *Input) float64 {
	configured := in.Capacity
	v := c.cap.seen
	if !c.cap.full {
		if l := in.Learnt; l > 0 {
			v = max(v, l)
		} else {
			v = max(v, configured)
			if configured == 0 {
				return 0
			}
		}
	}
	if configured > 0 {
		v = min(v, configured)
	}
	return v
}

// trusted says whether best is more than the speed of some NIC on the way.
func (c *Controller) trusted(in *Input) bool {
	return c.cap.full || in.Learnt > 0 || in.Configured && in.Capacity > 0
}

// learn follows the capacity: up at once with what passed, and by observations
// of a full link, which a standing queue shows while no cut of ours is in force.
func (c *Controller) learn(in *Input, s *signal) {
	if !s.rateKnown {
		return
	}
	c.learnFlight(s)
	c.cap.most -= (c.cap.most - c.cap.seen) * blend(s.dt, 600)
	if c.cap.seen > 0 && c.meter.mean > c.cap.seen && s.fresh < 0.2*c.target {
		c.cap.seen = c.meter.mean
	}
	standing := 0.4 * c.target // windows hold a queue, rates avoid one
	steady := c.mode == cruising && s.now > c.budget.settled
	late := s.dt > longestLook // the rate of so long a step is also of before the queue
	if !c.windowed() || !steady || late || !s.sees || s.queue < standing || !c.carries(in, s) {
		c.cap.stood, c.cap.past = 0, 0
		return
	}
	c.cap.stood, c.cap.past = c.cap.stood+s.dt, c.cap.past+in.Rate*s.dt
	switch {
	case c.cap.stood <= standsAfter:
	case c.cap.full:
		c.note(s.rate)
	default: // a single look may be of a burst
		c.note(c.cap.past / c.cap.stood)
	}
}

// measureFor is for how many seconds a measurement outweighs what is concluded
// from delays.
const measureFor = 30.0

// stands says that the capacity was measured lately, where a cut only guesses it.
func (k *capacity) stands(s *signal) bool { return k.measured > 0 && s.now-k.measured < measureFor }

// standsAfter is the time in seconds after which a queue is called standing.
const standsAfter = 0.5

// note takes one observation of a full link.
func (c *Controller) note(rate float64) {
	switch {
	case !c.cap.full, rate < 0.7*c.cap.seen && !c.windowed():
		c.cap.seen, c.cap.full = rate, true
	case c.windowed():
		c.cap.seen += (rate - c.cap.seen) * blend(c.dt, 2)
	default:
		c.cap.seen += (rate - c.cap.seen) * 0.4
	}
	c.cap.most = max(c.cap.most, c.cap.seen)
}

// carries says whether this direction carries the load that makes the queue.
// The same delay is told to both directions of a link, so the one with much
// less traffic than the other and than its own capacity is innocent.
func (c *Controller) carries(in *Input, s *signal) bool {
	if !s.rateKnown || s.now < c.cause.trial || s.rate >= 0.5*in.Other {
		return true
	}
	return c.trusted(in) && s.rate >= 0.6*c.best(in)
}
