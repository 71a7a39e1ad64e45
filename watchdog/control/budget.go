package control

// mode is where the budget's law stands.
type mode uint8

const (
	idle       mode = iota // no transfers
	ramping                // the budget grows until the link answers
	draining               // below capacity until the queue is gone
	cruising               // around what the link bears
	openLoop               // neither delay nor capacity is known: by what passes
	simulating             // limits are said and not set: a dry run
)

// law moves the budget. Rates are bytes/s of all transfers together, times seconds.
type law struct {
	mode mode
	budget
	shaper  shaper
	open    openLoopLaw
	drained bool // a queue has gone in this step because the limits were lowered
}

// budget is the total rate of the transfers. Sending, it is divided into
// pacing rates; receiving, into windows of rate x (path RTT + target), so that
// a budget equal to the capacity makes a queue of about the target.
type budget struct {
	rate    float64 // bytes/s
	top     float64 // bytes/s of ours that the link bore when it last was too much (W_max of RFC 9438); 0 when never
	settled float64 // when the last change should be visible
	bound   float64 // when the limits last were what holds the transfers
	start   rampState
	cut     cutState
	cruise  cruiseState
}

const (
	firstPart = 0.5 // of the capacity that is known, for the first budget
	// More than so many times the first budget, in a queue: it is what the link bears.
	ranAlready   = 2
	alreadyDepth = 0.75 // of that, until the queue is gone
	// The budget stays below what is used by these factors, and as much more as may
	// have come within an RTT of usedRTT seconds at the most: what is used is known
	// an RTT later. What a shaper allows and is not used yet comes at once.
	beyondUse       = 1.4
	beyondUseShaped = 1.06
	usedRTT         = 0.2
	// beyondSeen is how far a shaper's rate may be above what the link was seen to bear.
	beyondSeen = 1.05
	// passedPart is what the budget keeps of the rate that passed lately, while the
	// burst of new transfers drains, however long that takes.
	passedPart = 0.5
)

// actuation is what the law has set so far.
func (l *law) actuation(m *model) actuation {
	return actuation{
		mode: l.mode, rate: l.rate, settled: l.settled, cutAt: l.cut.at,
		windowed: l.windowed(m), shaperWanted: l.shaper.wanted,
	}
}

// windowed says that windows are what limits, so that the queue follows the
// budget in proportion and not as its integral.
func (l *law) windowed(m *model) bool { return !m.sending() && !l.shaper.stands }

// rest forgets what only matters while there are transfers.
func (l *law) rest() {
	l.mode, l.budget, l.shaper = idle, budget{}, shaper{}
}

// begin sets the first budget: half of what the link is known to bear, else
// little, but never less than what has flowed without harm. A queue that is
// there already comes from transfers that have run for a while, and then shows
// what the link bears; or from the burst of new ones, and then shows nothing.
func (l *law) begin(m *model, e evidence) {
	l.budget = budget{
		rate: firstRate(m, e), bound: e.now, start: rampState{begun: e.now, refuted: e.now - refutedFor},
		cut: cutState{at: e.now - isolatedAfter, reverted: e.now - isolatedAfter},
	}
	l.mode = ramping
	switch {
	case !e.known || e.newest < m.rampEnd():
		l.rate = max(l.rate, min(e.ours, e.flowRate))
	case e.flowRate > ranAlready*l.rate && l.windowed(m):
		l.mode, l.top, l.rate = cruising, e.flowRate, e.flowRate
		l.settled = e.now + e.loop
	case e.flowRate > ranAlready*l.rate:
		l.top, l.rate = e.flowRate, e.flowRate
		l.startDrain(m, e, alreadyDepth)
	}
	l.rate = max(l.rate, m.capacity.least())
}

// resume goes back to a rate after giving way was of no use.
func (l *law) resume(rate float64) {
	l.rate = max(l.rate, rate)
	l.mode, l.start.resumed = ramping, 0
}

// firstRate is the budget to begin with, in bytes/s.
func firstRate(m *model, e evidence) float64 {
	if m.capacity.trusted() {
		return firstPart * max(0, m.capacity.best()-e.others)
	}
	return startRate
}

// step moves the budget by one step. foreign says that a part of the delay is set
// aside as another's. It returns the evidence with a queue that the ramp saw by itself.
func (l *law) step(m *model, e evidence, foreign bool) evidence {
	if e.binding {
		l.bound = e.now
	}
	switch {
	case l.mode == ramping:
		e = l.ramp(m, e, foreign)
	case l.mode == draining:
		l.drain(m, e)
	case l.mode == cruising && l.windowed(m):
		l.cruiseWindow(m, e)
	case l.mode == cruising:
		l.cruiseRate(m, e)
	}
	least := l.lowest(m, e)
	l.rate = clamp(l.rate, least, max(l.highest(m, e), least))
	return e
}

// highest is the budget in bytes/s within what is used or known to pass, so that
// nothing saves up a burst (RFC 7661).
func (l *law) highest(m *model, e evidence) float64 {
	room := beyondUse + 2*min(e.rtt, usedRTT)
	if l.shaper.stands {
		room = beyondUseShaped + 2*min(e.rtt, usedRTT)
	}
	use := max(room*e.peak, startRate)
	best := m.capacity.best()
	if best <= 0 {
		return use
	}
	head := l.tuning(m).head * best
	if m.capacity.trusted() {
		use = max(use, head-e.others)
	}
	full := m.capacity.full
	switch {
	case e.in.Configured || !e.known:
		use = min(use, head-e.others)
	case l.shaper.stands && full && !m.noisy() && !l.probesUp(m, e.in.Configured): // more is known within a second, when it passes
		use = min(use, max(beyondSeen*best-e.others, startRate))
	case l.windowed(m) && full: // the queue that this makes is the target
		use = min(use, max(best-e.others, e.peak))
	}
	return use
}

// lowest is the budget in bytes/s that keeps every transfer going.
func (l *law) lowest(m *model, e evidence) float64 {
	least := max(m.capacity.least(), m.floors(l.mode, l.shaper.stands))
	if m.flightTells(e.rtt, l.shaper.wanted) && e.now-m.flows.newest < passedFor {
		least = max(least, passedPart*m.history.passed(e.now))
	}
	return least
}
