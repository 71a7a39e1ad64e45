package control

import "math"

// cruiseState is how the budget stands around the top.
type cruiseState struct {
	age        float64 // s of use since the top was found
	sure       bool    // the top was found at a crawl and not in a fast ramp
	met        bool    // a queue was met while the shaper stood
	confidence confidence
	entered    float64 // when the last drain ended
	lastQueue  float64 // with windows: when there last was a queue, or no use for more
}

// tuning is how the law of rates is adapted to what enforces the rate.
type tuning struct {
	head   float64 // of the capacity: where cruising begins
	knee   float64 // s of queue that mean too much
	period float64 // s until the old top is reached again
}

const (
	headPacing, periodPacing = 0.95, 4
	headShapedRx             = 0.96
	headShapedTx             = 0.98
	periodShaped             = 20
	kneeShaped               = 0.3 // of the target
	// Of a top that was found in a fast ramp: it may be too high by as much, or too low
	// where it was never measured.
	headUnsure, periodUnsure = 0.93, 4
	periodUnmeasured         = 2
	// Below so much of the largest capacity the top is reached again soon; on a short
	// and quiet path a queue is soon seen.
	nearMost, nearMostShort = 0.9, 0.95
	periodFar               = 3
	// noiseBelow is the part of the largest capacity below which noise is likelier than a
	// queue.
	noiseBelow = 0.9
	// farBelow is the part of what passed below which a top is no longer believed.
	farBelow = 0.6
	// plateauEnds is the part of the way from the head to the top, beyond the top, at
	// which the plateau ends and a new ramp begins.
	plateauEnds = 0.6
)

// tuning returns the figures for pacing, or for the shaper that stands. What a
// shaper lets through is smooth, so that it may stay nearer to the capacity and
// take a shorter queue for a sign; behind the bottleneck it works only by
// holding the senders back, so that it needs more room.
func (l *law) tuning(m *model) tuning {
	t := tuning{head: headPacing, knee: m.target, period: periodPacing}
	switch {
	case l.shaper.stands && !m.sending():
		t = tuning{head: headShapedRx, knee: kneeShaped * m.target, period: periodShaped}
	case l.shaper.stands:
		t = tuning{head: headShapedTx, knee: kneeShaped * m.target, period: periodShaped}
	}
	short := m.delay.base <= shortPath && !m.noisy()
	if !l.cruise.sure {
		t.head, t.period = min(t.head, headUnsure), periodUnsure
		if m.sending() && m.capacity.measured == 0 && short {
			t.period = periodUnmeasured
		}
	}
	near := nearMost
	if short {
		near = nearMostShort
	}
	if l.top < near*m.capacity.most { // it bore more once
		t.period = min(t.period, periodFar)
	}
	t.knee += m.delay.variability()
	return t
}

// position is where an age lies on the cubic, in periods: -1 at the cut, 0 at the top.
func (t tuning) position(age float64) float64 { return (age - t.period) / t.period }

// cruiseRate follows a cubic around the rate that was once too much: quickly
// up to it, a plateau there, and then a new ramp, because the link bears more
// (the shape of RFC 9438).
func (l *law) cruiseRate(m *model, e evidence) {
	t := l.tuning(m)
	if m.capacity.full && e.rateKnown && e.rate < noiseBelow*m.capacity.most {
		t.knee = max(t.knee, m.engage)
	}
	l.cruise.expireTop(m, e)
	l.raiseStaleTop(m, e)
	if l.doubtsTop(m, e.in.Configured) { // little delay is no reason to stay
		t.knee = max(t.knee, m.target+m.delay.variability())
	}
	switch {
	case l.tooMuch(e, t.knee):
		l.cutRate(m, e)
	case e.known && e.newest > t.knee/2: // neither up nor down
	case !e.binding || m.delay.signalLost(e):
	default:
		l.raise(m, e, t)
	}
}

// tooMuch says that a queue beyond the knee answers the present rate: a delay from
// before the last change says nothing.
func (l *law) tooMuch(e evidence, knee float64) bool {
	return e.known && e.newest > knee && (e.queue > knee || e.newest > 2*knee) &&
		e.now > l.settled && e.now-e.loop > l.cruise.entered
}

// raise moves the budget along the cubic, or probes for more.
func (l *law) raise(m *model, e evidence, t tuning) {
	l.cruise.age += e.dt
	if l.probesUp(m, e.in.Configured) {
		l.rate *= math.Exp(l.probeGain(m, e) * e.dt)
		return
	}
	x := t.position(l.cruise.age)
	l.rate = max(l.rate, l.top*(1+(1-t.head)*x*x*x))
	if e.known && l.rate > l.top*(1+plateauEnds*(1-t.head)) && !e.in.Configured {
		l.mode, l.start.resumed = ramping, e.dt
	}
}

// raiseStaleTop leaves a top that is far below what has passed without a queue since: it
// came from a moment in which less was sent than the link bears.
func (l *law) raiseStaleTop(m *model, e evidence) {
	passed := l.tuning(m).head * (m.capacity.best() - e.others)
	if m.capacity.full && l.top < farBelow*passed && e.known && e.newest < m.drainedBelow() && e.now > l.settled {
		l.top, l.cruise.age, l.cruise.sure, l.settled = passed, 0, false, e.now+e.loop
	}
}

// growth is that of the cubic per second once it is above the top.
func (l *law) growth(m *model) float64 {
	t := l.tuning(m)
	x := t.position(l.cruise.age)
	if x < 0 || l.windowed(m) {
		return 0
	}
	return 3 * (1 - t.head) * x * x / t.period
}
