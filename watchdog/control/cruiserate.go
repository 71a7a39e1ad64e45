package control

import "math"

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
		t = tuning{head: 0.96, knee: 0.3 * c.target, period: 20}
	case c.shaper.stands:
		t = tuning{head: 0.98, knee: 0.3 * c.target, period: 20}
	}
	if !c.budget.sure { // the top may be too high by as much
		t.head, t.period = min(t.head, 0.93), 4
		if c.set.Direction == Tx && c.cap.measured == 0 && c.delay.base <= shortPath && !c.noisy() { // or too low
			t.period = 2
		}
	}
	near := 0.9
	if c.delay.base <= shortPath && !c.noisy() { // a queue is soon seen
		near = 0.95
	}
	if c.budget.top < near*c.cap.most { // it bore more once
		t.period = min(t.period, 3)
	}
	t.knee += c.delay.restless()
	return t
}

// cruiseRate follows a cubic around the rate that was once too much: quickly
// up to it, a plateau there, and then a new ramp, because the link bears more
// (the shape of RFC 9438).
func (c *Controller) cruiseRate(in *Input, s *signal) {
	b, t := &c.budget, c.tuning()
	if c.cap.full && s.rateKnown && s.rate < 0.9*c.cap.most { // below the capacity noise is likelier than a queue
		t.knee = max(t.knee, c.engage)
	}
	c.doubt(s)
	c.regain(in, s)
	if c.doubts(in) { // little delay is no reason to stay
		t.knee = max(t.knee, c.target+c.delay.restless())
	}
	switch {
	case s.sees && s.fresh > t.knee && (s.queue > t.knee || s.fresh > 2*t.knee) &&
		s.now > b.settled && s.now-s.loop > b.entered: // a delay from before the last change says nothing
		c.cutRate(in, s)
		return
	case s.sees && s.fresh > t.knee/2: // neither up nor down
		return
	case !s.busy || c.deaf(s):
		return
	}
	b.age += s.dt
	if c.climbs(in) {
		b.rate *= math.Exp(c.climb(in, s) * s.dt)
		return
	}
	x := (b.age - t.period) / t.period
	b.rate = max(b.rate, b.top*(1+(1-t.head)*x*x*x))
	if s.sees && b.rate > b.top*(1+0.6*(1-t.head)) && !in.Configured {
		c.mode, b.again = ramping, s.dt
	}
}

// regain leaves a top that is far below what has passed without a queue since: it
// came from a moment in which less was sent than the link bears.
func (c *Controller) regain(in *Input, s *signal) {
	b := &c.budget
	passed := c.tuning().head * (c.best(in) - s.others)
	if c.cap.full && b.top < farBelow*passed && s.sees && s.fresh < c.empty() && s.now > b.settled {
		b.top, b.age, b.sure, b.settled = passed, 0, false, s.now+s.loop
	}
}

// farBelow is the part of what passed below which a top is no longer believed.
const farBelow = 0.6

// growth is that of the cubic per second once it is above the top.
func (c *Controller) growth() float64 {
	t := c.tuning()
	x := (c.budget.age - t.period) / t.period
	if x < 0 || c.windowed() {
		return 0
	}
	return 3 * (1 - t.head) * x * x / t.period
}

// cutRate goes below what the link bore when the queue began, long enough for
// the queue to drain.
func (c *Controller) cutRate(in *Input, s *signal) {
	b := &c.budget
	ref := b.top
	if c.birthing(s) && b.spared < sparedMost {
		b.spared++
	} else {
		b.spared = 0
	}
	if ref == 0 || !c.excused(s) && b.spared == 0 {
		ref = c.borne(s)
		b.noted = ref + s.others
		b.sure = (c.mode == cruising || b.again > 0) && ref > 0.9*b.rate
	}
	ref = max(ref, c.least(in))
	queue := s.fresh + s.loop*clamp(b.rate/ref-1, 0, 1) // it grew since the probes saw it
	depth := drainDepth(queue, c.target)
	c.meet(in, s, ref)
	first, from, held := c.mode != draining, c.mode, b.rate
	b.undo, b.twice = b.top, c.mode == draining
	b.lone = c.mode == cruising && s.now-b.cut > loneFor && c.delay.noiseRecent > 0.2*c.target
	b.top, b.rate = ref, ref
	trigger := b.trigger
	c.sink(s, depth)
	b.trigger = trigger
	if first {
		b.trigger, b.from, b.held = s.recent, from, held
	}
	b.rate = max(b.rate, c.least(in))
}

// drainDepth is the part of what the link bears that is let in until a queue in s has
// gone: the longer the queue, the less.
func drainDepth(queue, target float64) float64 {
	switch {
	case queue > 8*target:
		return 0.5
	case queue > 2*target:
		return 0.75
	}
	return 0.9
}

// sparedMost is how many cuts in a row may be for the bursts of births, which say
// nothing of what the link bears: where births never end, some have to.
const sparedMost = 3

// sink drains the queue at a rate below the top, or below the present rate when
// no top is known.
func (c *Controller) sink(s *signal, depth float64) {
	b := &c.budget
	b.rate = depth * max(b.top, b.rate)
	b.age, b.again, b.trigger = 0, 0, 0
	b.cut, b.depth, b.before = s.now, depth, s.fresh
	b.shown = max(0, s.recent-c.delay.offset(c.delay.noiseRecent)) // s.fresh may be what no probe has met
	b.checked, b.patience = s.now, s.now+1.2*s.loop
	c.mode = draining
}

// borne is the rate that the link bore when the queue of now began, in bytes/s
// of ours: what went in one loop ago, less what stayed in the queue. While
// cruising that may still have been the end of the last cut, so that what went
// in since counts too.
func (c *Controller) borne(s *signal) float64 {
	if seen := c.flight.recent(s); seen > 0 {
		return seen
	}
	if c.mode == ramping && c.flight.queue > 0 { // the queue of our own bytes, which no probe has met yet
		return max(c.arrivedRate(s), c.passes(s))
	}
	ref := c.wentIn(s, s.now-s.loop)
	if climbing := c.shaper.stands && !c.budget.met; c.mode == cruising && !climbing {
		ref = max(ref, c.wentIn(s, s.now-s.loop/2))
	}
	past, ok := c.history.at(s.now - s.loop)
	if ok && s.now > past.at {
		ref /= 1 + clamp((s.fresh-past.fresh)/(s.now-past.at), 0, 4)
	}
	if c.set.Direction == Tx && s.rtt < arrivedRamping/10 && c.delay.jitter < 0.1*c.target {
		ref = max(ref, c.arrivedRate(s)) // on longer or restless paths arrivals come late and in bursts
	}
	return ref
}

// Spans in seconds over which arrivals are counted: shorter ones know bursts of
// acknowledgements, and while a ramp lasts longer ones know the time before.
const (
	arrivedRamping  = 0.15
	arrivedCruising = 0.4
)

// arrivedRate is the highest rate in bytes/s at which bytes of ours arrived
// lately: that much the link bears, whatever was sent. 0 when it is not
// counted.
func (c *Controller) arrivedRate(s *signal) float64 {
	over := arrivedRamping
	if c.mode == cruising {
		over = arrivedCruising
	}
	return c.history.arrivals(s.now-s.loop-over/2, over) * wire
}

// wentIn is the rate of ours at a time in bytes/s: what was allowed, or what was
// sent when that was much less. A NIC's counters may leave out headers that its
// driver adds, so what was allowed is the better figure.
func (c *Controller) wentIn(s *signal, at float64) float64 {
	past, ok := c.history.at(at)
	if !ok {
		if s.rateKnown {
			return min(c.budget.rate, s.ours)
		}
		return c.budget.rate
	}
	ref := min(c.budget.rate, past.budget)
	span := 0.3 // s, over which what is sent comes in bursts
	if c.mode == ramping {
		span = 0.06
	}
	before, _ := c.history.at(past.at - span)
	if !s.rateKnown || past.at <= before.at {
		return ref
	}
	sent := max(0, (past.bytes-before.bytes)/(past.at-before.at)-s.others)
	if c.mode != ramping && sent > 0.88*ref {
		return ref
	}
	return min(ref, sent)
}

// empty is the queue in seconds below which none stands.
func (c *Controller) empty() float64 {
	return c.target/3 + c.delay.restless()
}

// drain waits for the queue to go, and cuts again when it grows for long or
// does not shrink by at least a third of what it should.
func (c *Controller) drain(in *Input, s *signal) {
	b := &c.budget
	since := s.now - b.checked
	wait, seen := s.loop, since
	if c.shaper.wanted && !c.noisy() { // the capacity is known: what is seen now is a loop old
		wait, seen = 1.5*s.loop, since-s.loop
	}
	b.alarmed = b.alarmed && s.sees && s.fresh < c.empty()
	switch {
	case s.now-b.cut < max(0.1, 0.75*s.loop) && !c.noisy(): // cannot have worked yet, whatever the probes say
	case b.alarmed:
		b.alarmed, b.refuted, b.waited = false, s.now, hintsFor
		c.mode, b.top, b.noted = ramping, b.undo, 0
	case s.fresh < c.empty() && b.top == 0:
		c.mode = ramping
	case s.fresh < c.empty() || !s.sees:
		c.mode = cruising
		b.entered, b.settled = s.now, s.now+s.loop
		if c.conclude(s) {
			c.gone = s.sees && !s.passive && b.shown > c.target/2
			b.rate = max(c.tuning().head*b.top, c.least(in))
		}
	case s.fresh > b.before && s.now < b.patience: // the old rate still shows
		b.before, b.checked = s.fresh, s.now
	case since < max(0.1, wait):
	case s.fresh > b.before-(1-b.depth)*seen/3:
		c.cutRate(in, s)
	default:
		b.before, b.checked = s.fresh, s.now
	}
}

// tooSoon says that the last cut cannot have had any effect yet.
func (c *Controller) tooSoon(s *signal) bool {
	return s.now-c.budget.cut < s.rtt+0.4*(s.loop-s.rtt-s.recent)
}

// noisy says that the path's jitter is worth taking into account.
func (c *Controller) noisy() bool { return c.delay.jitter > 0.1*c.target }

// loneFor is the time in seconds after which a cut stands alone.
const loneFor = 5.0

// conclude learns from a queue that has drained, and says whether it was one. A
// cut that came later than what drained it can have worked is taken back: the
// queue went by the cut before it, or was none. On a noisy path it takes two
// cuts in short order to believe; and what comes back soon was real.
func (c *Controller) conclude(s *signal) (real bool) {
	b := &c.budget
	if b.trigger > 0 && c.noisy() && (c.tooSoon(s) || b.trigger < c.delay.offset(c.delay.noiseRecent)+c.empty()) { // it was noise
		b.top, b.rate, b.noted = b.undo, b.held, 0
		c.mode = b.from
		return false
	}
	if b.undo > 0 && s.now-b.undone > loneFor && (s.now-b.cut < s.loop || b.lone) {
		b.undone = s.now
		b.top = max(b.top, b.undo)
		b.noted = 0
		if b.twice {
			b.noted = b.undo + s.others
		}
	}
	if b.noted > 0 && !c.cap.stands(s) {
		if c.tellsFlight(s) {
			b.noted = max(b.noted, c.passes(s)+s.others)
		}
		c.note(b.noted)
	}
	b.noted = 0
	return true
}
