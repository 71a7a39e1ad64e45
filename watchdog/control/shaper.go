package control

// shaper is the handover from socket limits to a shaper of our own.
type shaper struct {
	wanted bool    // it is asked for
	stands bool    // it is in place and carries the budget
	since  float64 // when it was asked for or came to stand
	denied float64 // do not ask again before
	again  float64 // s to wait after the next denial
}

func (h *shaper) shift(by float64) { h.since, h.denied = h.since+by, h.denied+by }

// A shaper behind the bottleneck is felt only when the senders react, and needs
// short queues for a sign: beyond these bounds windows are better.
const (
	shaperRTT   = 0.030 // s
	shaperNoise = 0.001 // s
)

// slack is the factor by which a bound is wider for a shaper that is in use.
func (h *shaper) slack() float64 {
	if h.wanted {
		return 2
	}
	return 1
}

// handover asks for the shaper once the capacity is known, and follows whether
// it stands. The socket limits stay until it does.
func (c *Controller) handover(in *Input, s *signal) {
	h := &c.shaper
	if !c.suitsShaper(in, s) {
		if h.wanted {
			c.takeBack(s)
		}
		return
	}
	switch {
	case !h.wanted:
		ready := c.load.engaged && c.mode == cruising && s.now > c.budget.settled
		if ready && s.now >= h.denied {
			h.wanted, h.since = true, s.now
		}
	case !h.stands && in.ShaperOn:
		h.stands, h.since, h.again = true, s.now, 0
		c.takeOver(in, s)
	case !h.stands && s.now-h.since > 3, h.stands && !in.ShaperOn:
		h.again = clamp(2*h.again, 30, 1800)
		h.denied = s.now + h.again
		c.takeBack(s)
	}
}

// suitsShaper says whether a shaper may carry the budget here.
func (c *Controller) suitsShaper(in *Input, s *signal) bool {
	return c.permitsShaper(in, s) && c.best(in) > 0 && c.trusted(in)
}

// permitsShaper says whether anything but an unknown capacity speaks against a
// shaper. Its own queue shows in the transfers' own RTT, so only probes can
// steer it.
func (c *Controller) permitsShaper(in *Input, s *signal) bool {
	if c.witness.lacks(c, s) {
		return false
	}
	slack := c.shaper.slack()
	noise := c.delay.restless()
	if c.set.Direction == Rx && !c.set.ShaperOnly && (s.rtt > shaperRTT*slack || noise > shaperNoise) {
		return false
	}
	return in.Shaper && !c.set.NoShaper && c.mode != unsighted && !s.passive &&
		(s.sees || c.shaper.stands) && c.best(in) < shaperMost*slack
}

// awaitsShaper says that a shaper will take over soon, which is better than to
// pause transfers.
func (c *Controller) awaitsShaper(in *Input, s *signal) bool {
	return c.permitsShaper(in, s) && s.now >= c.shaper.denied
}

// takeOver starts below the capacity, so that a queue left standing drains.
func (c *Controller) takeOver(in *Input, s *signal) {
	b := &c.budget
	b.top = max(c.best(in)-s.others, c.least(in))
	b.rate, b.sure, b.met, b.proof = b.top, false, false, proof{}
	depth := 0.9
	if s.fresh > c.target {
		depth = 0.75
	}
	c.sink(s, depth)
}

// takeBack returns to socket limits at the present budget.
func (c *Controller) takeBack(s *signal) {
	c.shaper.wanted, c.shaper.stands, c.shaper.since = false, false, s.now
	c.budget.settled = s.now + s.loop
	if c.mode == draining {
		c.mode = cruising
	}
}
