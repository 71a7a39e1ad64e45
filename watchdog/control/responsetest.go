package control

// cause is the test of whose queue it is: when our rate fell by 30 % because
// of us for 5 s and the delay stayed, the queue is not ours. What stays of the
// delay is then set aside, and only more than that counts as ours.
type cause struct {
	testing bool
	rate    float64  // bytes/s of ours before we gave way
	delay   float64  // s of raw delay then
	meant   delay    // what the delay is like since the rate fell
	cap     capacity // what was known of the link then
	beyond  float64  // s for which the delay has been more than our windows can make
	low     float64  // s for which the rate has been low
	lastLow float64  // s, when the delay last was too long
	until   float64  // end of the back-off
	wait    float64  // s, length of the last back-off
	foreign bool     // the last verdict was: not ours
	assumed bool     // a part of the delay is set aside until the back-off ends
	idleFor float64  // s of queue in a direction that does not carry the load
	trial   float64  // until when such a direction is cut all the same
}

const (
	causeFor    = 5.0   // s
	causeFell   = 0.7   // of the rate before
	causeStays  = 0.8   // of the delay before
	beyondFor   = 3.0   // s
	beyondAfter = 4.0   // s from our own start, or the last one of a transfer: old windows must drain
	backFirst   = 30.0  // s
	backMost    = 600.0 // s
	trialFor    = 12.0  // s
)

func (k *cause) shift(by float64) {
	k.until, k.trial, k.lastLow = k.until+by, k.trial+by, k.lastLow+by
}

func (k *cause) rest() { *k = cause{assumed: k.assumed, until: k.until, wait: k.wait} }

// judge runs the test.
func (k *cause) judge(c *Controller, in *Input, s *signal) {
	if k.assumed && s.now >= k.until {
		k.expire(c, s)
	}
	if k.foreign {
		k.tolerate(c, s)
		return
	}
	k.tryOut(c, in, s)
	// Nothing to measure, or nothing to give way with: limits that are not in force
	// are no way to give way.
	if !s.sees || !s.rateKnown || s.reachable == 0 || 2*s.loose > s.reachable {
		k.testing = false
		return
	}
	k.test(c, in, s)
}

// expire ends the assumption that a part of the delay is another's: that is
// tested again, after ever longer times.
func (k *cause) expire(c *Controller, s *signal) {
	d := &c.delay
	k.assumed, k.foreign, k.testing = false, false, false
	d.foreign, d.noise, d.noiseRecent = 0, 0, 0
	s.queue = max(0, s.raw-d.offset(0))
	s.fresh = max(0, s.recent-d.offset(0))
}

// tolerate overlooks a queue while we step back, unless so much came on top of
// what was set aside that some of it must be ours.
func (k *cause) tolerate(c *Controller, s *signal) {
	if s.queue > max(c.engage, 0.5*c.delay.foreign) {
		k.foreign = false
		return
	}
	s.queue, s.fresh = 0, 0
}

// test follows one episode of a long queue.
func (k *cause) test(c *Controller, in *Input, s *signal) {
	if s.queue > c.target {
		k.lastLow = s.now
	}
	if k.testing && k.exceeds(c, s) {
		k.acquit(c, s)
		return
	}
	switch {
	case !k.testing && s.queue > c.target && c.mode != ramping:
		*k = cause{testing: true, rate: s.peak, delay: s.raw, lastLow: s.now, cap: c.cap,
			assumed: k.assumed, until: k.until, wait: k.wait, trial: k.trial, idleFor: k.idleFor}
	case !k.testing:
	case s.now-k.lastLow > 1:
		k.testing = false
	case s.raw < causeStays*k.delay: // it reacts
		k.rate, k.delay, k.low, k.cap = s.ours, s.raw, 0, c.cap
	case !c.gaveWay(in, s, k.rate):
		k.delay, k.low = max(k.delay, s.raw), 0
	default:
		if k.low == 0 {
			k.meant = delay{foreign: s.raw}
		}
		k.low += s.dt
		k.meant.innocent(s, max(k.low, s.dt), 10)
		if k.low >= causeFor {
			k.acquit(c, s)
		}
	}
}

// exceeds says that the queue has been longer for a while than all our windows
// together can make it.
func (k *cause) exceeds(c *Controller, s *signal) bool {
	began := max(c.newest, c.crisis.changed, c.budget.begun)
	young := s.now < c.budget.settled || s.now < began+beyondAfter
	if young || s.queue < c.target+1.5*c.ownMost(s) {
		k.beyond = 0
		return false
	}
	if k.beyond == 0 {
		k.meant = delay{foreign: s.raw}
	}
	k.beyond += s.dt
	k.meant.innocent(s, max(k.beyond, s.dt), 10)
	return k.beyond >= beyondFor
}

// gaveWay says that we have much less than we had, and that our own limits are
// the reason; or nothing left to give.
func (c *Controller) gaveWay(in *Input, s *signal, had float64) bool {
	least := c.least(in)
	if c.set.Direction == Tx { // windows at their floors can still fill a slow link, pacing cannot
		least = max(least, c.floors())
	}
	if c.budget.rate < 1.1*least {
		return true
	}
	return s.ours < causeFell*had && s.ours > 0.6*c.budget.rate
}

// acquit sets aside the delay that did not react, and lets the budget grow again.
func (k *cause) acquit(c *Controller, s *signal) {
	wait := clamp(2*k.wait, backFirst, backMost)
	if s.now-k.until > 3*backMost {
		wait = backFirst
	}
	d := &c.delay
	d.foreign, d.noise, d.noiseRecent = k.meant.foreign, k.meant.noise, k.meant.noiseRecent
	d.mean, d.swing = d.foreign, d.noise
	c.cap = k.cap
	c.budget.rate = max(c.budget.rate, 0.5*k.rate)
	*k = cause{foreign: true, assumed: true, until: s.now + wait, wait: wait}
	s.queue, s.fresh = 0, 0
	c.mode, c.budget.again = ramping, 0
	c.crisis.acquit()
}

// tryOut cuts a direction that does not seem to carry the load after a while
// all the same, because what is known of its capacity may be wrong. The test
// then tells.
func (k *cause) tryOut(c *Controller, in *Input, s *signal) {
	if !s.sees || s.queue < c.engage || c.carries(in, s) || s.ours < 2*c.least(in) {
		k.idleFor = 0
		return
	}
	k.idleFor += s.dt
	if k.idleFor > 3 && s.now >= k.trial {
		k.trial = s.now + trialFor
		k.idleFor = 0
	}
}
