package control

// responseTest is the test of whose queue it is by its response: when our rate fell by
// 30 % because of us for 5 s and the delay stayed, the queue is not ours. What stays of
// the delay is then set aside, and only more than that counts as ours.
type responseTest struct {
	testing  bool
	rate     float64          // bytes/s of ours before we gave way
	delay    float64          // s of delay then, as it was measured
	capacity capacityEstimate // what was known of the link then
	outside  externalDelay    // what the delay is like since the rate fell
	beyond   float64          // s for which the delay has been more than our windows can make
	low      float64          // s for which the rate has been low
	lastLong float64          // s, when the delay last was too long
	until    float64          // end of the back-off
	wait     float64          // s, length of the last back-off
	foreign  bool             // the last verdict was: not ours
	assumed  bool             // a part of the delay is set aside until the back-off ends
	carried  float64          // s of queue in a direction that does not carry the load
	trial    float64          // until when such a direction is cut all the same
}

const (
	responseFor    = 5.0   // s for which the rate has to be low
	responseFell   = 0.7   // of the rate before
	responseStays  = 0.8   // of the delay before: less is a response
	responseBound  = 0.6   // of the budget, above which that is why the rate is low
	responseFloor  = 1.1   // of the least budget: below there is nothing left to give
	episodeEnds    = 1.0   // s without a long queue
	beyondFor      = 3.0   // s
	beyondAfter    = 4.0   // s from our own start, or the last one of a transfer: old windows must drain
	beyondWindows  = 1.5   // times the queue that all windows can make
	backoffFirst   = 30.0  // s
	backoffMost    = 600.0 // s
	backoffForgets = 3.0   // times the longest back-off without one: it begins anew
	resumePart     = 0.5   // of our rate before we gave way, to go back to
	onTop          = 0.5   // of what was set aside: so much more must be ours
	trialAfter     = 3.0   // s of queue in a direction that does not carry the load
	trialFor       = 12.0  // s
	trialLeast     = 2.0   // times the least budget
	carriesShare   = 0.5   // of the other direction's rate
	carriesPart    = 0.6   // of the capacity
	outsideMost    = 10    // s, longest delay that is learnt as another's
)

// rest keeps what outlives a set of transfers.
func (r *responseTest) rest() {
	*r = responseTest{assumed: r.assumed, until: r.until, wait: r.wait}
}

// observe runs the test. began is when limits, transfers or their number last changed.
func (r *responseTest) observe(m *model, l *law, e evidence, began float64) (evidence, verdict) {
	if r.assumed && e.now >= r.until {
		e = r.expire(m, e)
	}
	if r.foreign {
		return r.tolerate(m, e), verdict{}
	}
	r.tryOut(m, e)
	// Nothing to measure, or nothing to give way with: limits that are not in force
	// are no way to give way.
	if !e.known || !e.rateKnown || e.limitable == 0 || 2*e.unenforced > e.limitable {
		r.testing = false
		return e, verdict{}
	}
	if r.testing && r.exceeds(m, l, e, began) || r.stays(m, l, e) {
		v := r.conclude(e.now)
		return e.withQueue(0, 0), v
	}
	return e, verdict{}
}

// expire ends the assumption that a part of the delay is another's: that is
// tested again, after ever longer times.
func (r *responseTest) expire(m *model, e evidence) evidence {
	r.assumed, r.foreign, r.testing = false, false, false
	m.delay.externalDelay = externalDelay{}
	offset := m.delay.offset(0)
	return e.withQueue(max(0, e.delay-offset), max(0, e.recent-offset))
}

// tolerate overlooks a queue while we step back, unless so much came on top of
// what was set aside that some of it must be ours.
func (r *responseTest) tolerate(m *model, e evidence) evidence {
	if e.queue > max(m.engage, onTop*m.delay.external) {
		r.foreign = false
		return e
	}
	return e.withQueue(0, 0)
}

// stays follows one episode of a long queue, and says that it stayed although we gave
// way.
func (r *responseTest) stays(m *model, l *law, e evidence) bool {
	long := e.queue > m.target
	if long {
		r.lastLong = e.now
	}
	switch {
	case !r.testing && long && l.mode != ramping:
		*r = responseTest{testing: true, rate: e.peak, delay: e.delay, lastLong: e.now, capacity: m.capacity.capacityEstimate,
			assumed: r.assumed, until: r.until, wait: r.wait, trial: r.trial, carried: r.carried}
	case !r.testing:
	case e.now-r.lastLong > episodeEnds:
		r.testing = false
	case e.delay < responseStays*r.delay:
		r.rate, r.delay, r.low, r.capacity = e.ours, e.delay, 0, m.capacity.capacityEstimate
	case !gaveWay(m, l, e, r.rate):
		r.delay, r.low = max(r.delay, e.delay), 0
	default:
		r.low = r.learn(e, r.low)
		return r.low >= responseFor
	}
	return false
}

// learn follows what the delay is like for the seconds that a doubt has lasted, and
// returns how long it has lasted with this step.
func (r *responseTest) learn(e evidence, lasted float64) float64 {
	if lasted == 0 {
		r.outside = externalDelay{external: e.delay}
	}
	lasted += e.dt
	r.outside.learn(e.sample, max(lasted, e.dt), outsideMost)
	return lasted
}

// exceeds says that the queue has been longer for a while than all our windows
// together can make it.
func (r *responseTest) exceeds(m *model, l *law, e evidence, began float64) bool {
	young := e.now < l.settled || e.now < began+beyondAfter
	if young || e.queue < m.target+beyondWindows*m.longestOwnQueue(e, l.mode) {
		r.beyond = 0
		return false
	}
	r.beyond = r.learn(e, r.beyond)
	return r.beyond >= beyondFor
}

// gaveWay says that we have much less than we had, and that our own limits are
// the reason; or nothing left to give.
func gaveWay(m *model, l *law, e evidence, had float64) bool {
	least := m.capacity.least()
	if m.sending() { // windows at their floors can still fill a slow link, pacing cannot
		least = max(least, m.floors(l.mode, l.shaper.stands))
	}
	if l.rate < responseFloor*least {
		return true
	}
	return e.ours < responseFell*had && e.ours > responseBound*l.rate
}

// conclude finds that the delay is not ours.
func (r *responseTest) conclude(now float64) verdict {
	wait := clamp(2*r.wait, backoffFirst, backoffMost)
	if now-r.until > backoffForgets*backoffMost {
		wait = backoffFirst
	}
	v := verdict{notOurs: true, rate: r.rate, capacity: r.capacity, outside: r.outside}
	*r = responseTest{foreign: true, assumed: true, until: now + wait, wait: wait}
	return v
}

// tryOut cuts a direction that does not seem to carry the load after a while
// all the same, because what is known of its capacity may be wrong. The test
// then tells.
func (r *responseTest) tryOut(m *model, e evidence) {
	if !e.known || e.queue < m.engage || r.carries(m, e) || e.ours < trialLeast*m.capacity.least() {
		r.carried = 0
		return
	}
	r.carried += e.dt
	if r.carried > trialAfter && e.now >= r.trial {
		r.trial = e.now + trialFor
		r.carried = 0
	}
}

// carries says whether this direction carries the load that makes the queue.
// The same delay is told to both directions of a link, so the one with much
// less traffic than the other and than its own capacity did not make it.
func (r *responseTest) carries(m *model, e evidence) bool {
	if !e.rateKnown || e.now < r.trial || e.rate >= carriesShare*e.in.Other {
		return true
	}
	return m.capacity.trusted() && e.rate >= carriesPart*m.capacity.best()
}
