package control

import "math"

// openLoopLaw is the law where no delay can be measured and no capacity is known: no
// target answers, or the last one fell silent while limits hold. The rate at which
// the link stands is the evidence that is left. The budget grows while what passes
// follows it. Windows that make a queue of the target at the rate of the budget
// make a little more where the link is full, and then no more of them is used.
//
// What passes may stay behind because of somebody else's queue, where a window
// is worth less. So limits are let go step by step, and held again where a step let
// nothing more pass.
type openLoopLaw struct {
	budget float64 // bytes/s, at the last step that was taken
	passed float64 // bytes/s of ours then
	at     float64 // when
	until  float64 // s, no step before
	wait   float64 // s, length of the last such wait
}

const (
	openAfter  = 5.0  // s without a delay until the loop is open
	letGo      = 0.05 // per second: how fast limits are let go that nothing asks for
	letGoMost  = 40.0 // times what passes: beyond that no limit is left that counts
	stepLeast  = 2.0  // s that a step lasts at least
	stepBudget = 1.3  // what it adds to the budget
	stepPassed = 1.1  // and what has to pass more, for the next
	stepFirst  = 30.0 // s until it is tried again
	stepMost   = 600.0
	allPasses  = 0.85 // of the budget: all that is allowed is used
	fewPasses  = 0.5  // of what passed: somebody else's doing
	heldPart   = 0.9  // of what passes, for a rate that is held
	openRate   = 0.5  // per second, of a rate, which fills a queue as its integral
	openWindow = 3    // per second, of windows at the most
)

// step moves the budget by one step.
func (u *openLoopLaw) step(m *model, l *law, e evidence) {
	passed := passing(e)
	if l.mode != openLoop {
		l.mode = openLoop
		*u = openLoopLaw{budget: l.rate, passed: passed, at: e.now, until: e.now + signalLostFor}
	}
	switch {
	case e.in.Drops > dropsMany:
		u.hold(m, l, e.now, passed)
	case m.sending() && u.wait > 0 && e.now < u.until: // all that is paced passes
	case passed > allPasses*l.rate:
		l.rate *= math.Exp(openLoopGain(l.windowed(m), e.loop) * e.dt)
		*u = openLoopLaw{budget: l.rate, passed: passed, at: e.now, until: max(u.until, e.now+stepLeast), wait: u.wait}
	case passed < fewPasses*u.passed: // the steps begin anew
		u.note(l.rate, passed, e.now)
	case e.now < u.until || passed == 0:
	case l.rate < stepBudget*u.budget || e.now-u.at < stepLeast:
		l.rate = max(l.rate, min(l.rate*math.Exp(letGo*e.dt), letGoMost*e.peak))
	case passed > stepPassed*u.passed:
		u.note(l.rate, passed, e.now)
	default:
		u.hold(m, l, e.now, passed)
	}
	l.boundOpenLoop(m, e)
}

// boundOpenLoop keeps the budget below the NIC's speed, and above what keeps every
// transfer going.
func (l *law) boundOpenLoop(m *model, e evidence) {
	if best := m.capacity.best(); best > 0 {
		l.rate = min(l.rate, l.tuning(m).head*best-e.others)
	}
	l.rate = max(l.rate, m.capacity.least(), m.floors(l.mode, l.shaper.stands))
}

// note begins a step.
func (u *openLoopLaw) note(budget, passed, now float64) {
	u.budget, u.passed, u.at = budget, passed, now
}

// hold goes back to where the last step began, or below what passed where
// a rate above it would fill the queue.
func (u *openLoopLaw) hold(m *model, l *law, now, passed float64) {
	l.rate = min(l.rate, u.budget)
	if m.sending() {
		l.rate = min(l.rate, heldPart*passed)
	}
	u.wait = clamp(2*u.wait, stepFirst, stepMost)
	u.note(l.rate, passed, now)
	u.until = now + u.wait
}

// passing is what passes of ours in bytes/s: by the link where that is counted, else by
// the transfers themselves.
func passing(e evidence) float64 {
	if !e.rateKnown {
		return e.flowRate
	}
	return e.ours
}

// openLoopGain is the growth per second while all that is allowed passes.
func openLoopGain(windowed bool, loop float64) float64 {
	if windowed {
		return min(windowRamp/loop, openWindow)
	}
	return openRate
}

// openLoop moves the budget by what passes.
func (l *law) openLoop(m *model, e evidence) {
	if l.mode == idle {
		l.begin(m, e)
	}
	l.shaper = shaper{}
	l.open.step(m, l, e)
}

// closeLoop begins where nothing was limited, and goes on with the present budget where
// the delay can be measured again. A queue that stands is drained first.
func (l *law) closeLoop(m *model, e evidence) {
	switch held := l.rate; l.mode {
	case idle:
		l.begin(m, e)
	case openLoop:
		l.begin(m, e)
		if !e.known || e.newest < m.rampEnd() {
			l.rate = max(l.rate, min(held, e.peak))
		}
	case ramping, draining, cruising, simulating:
	}
}

// blind says that there is nothing to steer by: neither delay nor capacity, for the
// speed of a NIC says nothing of what is behind it. A
// delay that is missing because management cannot be reached is no reason to
// let go, and a short silence of the probe is not blindness.
func (m *model) blind(e evidence) bool {
	if e.known || m.capacity.trusted() || e.in.Management == Unreachable {
		return false
	}
	return !m.delay.ever || e.now-m.delay.lastSeen > openAfter
}
