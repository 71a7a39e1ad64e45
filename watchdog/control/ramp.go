package control

import "math"

// rampState is how a ramp goes on: exponential growth as in slow start (RFC 9438
// 4.10), but no faster than the delay can tell of it in time.
type rampState struct {
	begun        float64 // when the first ramp began
	resumed      float64 // s for which a ramp goes on from a top that was once right; 0 in a first ramp
	waited       float64 // s for which this ramp has waited on hints
	hintLeast    float64 // s, the least hint of this ramp plus one; 0 before the first
	hintAnswered bool    // the present hint has been answered with a lower rate
	refuted      float64 // when no probe had met a queue of ours either by the end of its drain
}

const (
	// refutedFor is for how many seconds the transfers' own evidence, their RTTs and
	// what they have in flight, is not believed after a queue that they told of was
	// met by no probe: while many begin on a busy machine, acknowledgements wait for a
	// processor, and do so again a moment later.
	refutedFor = 1.5
	// The queue that ends a ramp, of the target, and the jitter that is allowed on top.
	rampEndPart   = 0.6
	rampEndJitter = 2
	// A hint is about as old as a smoothed RTT takes to follow, and a ramp waits
	// for the probes to confirm hints for so long in all, in seconds.
	hintLag   = 0.06
	hintsFor  = 0.8
	hintAbove = 0.002 // s, beyond the ramp's bound: delayed acknowledgements of a crowd
	hintCut   = 0.5   // of the rate, the most that a hint takes
	// The queue in seconds that a ramp may have made by the time that the news arrives:
	// as probes alone tell of it, where they are all that does, and where hints do.
	rampQueue        = 0.025
	rampQueueRefuted = 0.01
	rampQueueHinted  = 0.01
	// The same for a ramp that goes on from an earlier top, where it grows from first
	// by the second up to most, and where the rate is far below the largest capacity.
	resumedFirst, resumedMost             = 0.003, 0.02
	resumedFirstShaped, resumedMostShaped = 0.002, 0.006
	resumedBelow                          = 0.9
	// Growth per second, and per feedback delay with windows, whose queue follows in
	// proportion; no more than 10 % in 20 ms and 25 % in an RTT.
	backGain   = 2
	windowRamp = 0.7
)

// rampEnd is the queue in seconds that ends a ramp.
func (m *model) rampEnd() float64 { return rampEndPart*m.target + rampEndJitter*m.delay.jitter }

// ramp grows the budget until the link answers.
func (l *law) ramp(m *model, e evidence, foreign bool) evidence {
	probed := e.newest
	if own := max(l.ownInflation(m, e.now), l.start.ownInFlight(m, e)); own > max(e.newest, m.rampEnd()) {
		e.newest, e.loop = own, min(e.loop, hintLag/2+e.rtt+own)
	}
	end := m.rampEnd()
	resumes := l.start.resumed > 0 && !m.noisy()
	if resumes {
		end = min(end, l.tuning(m).knee)
	}
	switch {
	case e.known && e.newest > end:
		l.endRamp(m, e, probed <= end)
	case m.delay.signalLost(e) || resumes && e.newest > end/2:
	case l.start.hinted(m, e):
		l.awaitProbes(m, e)
	default:
		l.grow(m, e, foreign)
	}
	return e
}

// endRamp answers the queue that a ramp has made; unprobed says that no probe has met
// it yet.
func (l *law) endRamp(m *model, e evidence, unprobed bool) {
	switch {
	case m.flows.inGrace(e.now, e.loop):
	case l.windowed(m):
		l.mode, l.top, l.settled, l.cruise.lastQueue = cruising, l.rate, e.now, e.now
		l.cruiseWindow(m, e)
	case m.flows.starting(e.now, e.loop):
		l.top, l.cut.unprobed = 0, unprobed
		l.startDrain(m, e, drainDepth(e.newest, m.target))
	default:
		sent := l.rate
		l.cutRate(m, e)
		l.cut.unprobed = unprobed && l.top >= sent // all that was sent has passed, too
	}
}

// awaitProbes holds the rate until the probes confirm a hint or time is up.
func (l *law) awaitProbes(m *model, e evidence) {
	r := &l.start
	r.waited += e.dt
	if !r.hintAnswered { // once: what goes in from now on is held and no measure
		l.rate, r.hintAnswered = max(min(l.rate, m.wentIn(e, l.mode, l.rate, e.now-hintLag)), hintCut*l.rate, m.capacity.least()), true
	}
}

// grow raises the budget, until it is where cruising begins.
func (l *law) grow(m *model, e evidence, foreign bool) {
	r, k := &l.start, &m.capacity
	l.rate *= math.Exp(l.rampGain(m, e, foreign) * e.dt)
	if r.resumed > 0 {
		r.resumed += e.dt
		return
	}
	if k.trusted() { // learnt since the ramp began
		l.rate = max(l.rate, firstRate(m, e))
	}
	if best := k.best(); best > 0 && l.rate >= l.tuning(m).head*best-e.others {
		l.mode, l.top, l.cruise.age = cruising, max(best-e.others, k.least()), 0
		l.settled = e.now + e.loop
	}
}

// ownInflation is the queue in seconds that the transfers' own RTTs tell of while
// we send: the least of them, and only while it rises. Late in a ramp it is younger
// than what probes say.
func (l *law) ownInflation(m *model, now float64) float64 {
	if !m.sending() || l.shaper.wanted || l.start.refutedLately(now) {
		return 0
	}
	return m.delay.rising(m.flows.leastInflation(l.mode), now)
}

// ownInFlight is the queue in seconds that our bytes wait in and that may be ours,
// while no burst of new transfers is part of it.
func (r *rampState) ownInFlight(m *model, e evidence) float64 {
	if m.flows.starting(e.now, e.loop) || r.refutedLately(e.now) {
		return 0
	}
	return max(0, m.flight.queue-m.delay.offset(m.delay.noiseNewest))
}

// refutedLately says that the transfers' own evidence is not believed; the ramp is careful
// meanwhile.
func (r *rampState) refutedLately(now float64) bool { return now-r.refuted < refutedFor }

// trustsHints says that the senders' own RTT may hold this ramp back.
func (r *rampState) trustsHints(m *model, e evidence) bool {
	return e.in.Delay.HintKnown && m.sending() && r.waited < hintsFor
}

// hinted says that the senders' own RTT shows a queue that no probe has seen
// yet.
func (r *rampState) hinted(m *model, e evidence) bool {
	if !r.trustsHints(m, e) {
		return false
	}
	hint := seconds(e.in.Delay.Hint)
	if r.hintLeast == 0 || hint < r.hintLeast-1 { // it falls for long after the first burst
		r.hintLeast = hint + 1
	}
	if hint <= r.hintLeast-1+m.rampEnd()+hintAbove {
		r.hintAnswered = false
		return false
	}
	return !m.flows.inGrace(e.now, e.loop)
}

// rampGain is the ramp's growth per second. A rate that grows by the factor
// exp(g t) past the capacity has filled a queue of about g t^2 / 2 seconds
// when the news of it arrives after t; a window cannot do that. A ramp that
// goes on from what was the capacity once begins at a crawl.
func (l *law) rampGain(m *model, e evidence, foreign bool) float64 {
	most := min(math.Log(1.1)/0.02, math.Log(1.25)/max(e.rtt, 1e-3))
	switch {
	case foreign && l.start.resumed == 0: // going back to where we were is no experiment
		return min(most, backGain)
	case l.windowed(m):
		return min(most, windowRamp/e.loop)
	case l.start.resumed > 0:
		return min(most, l.resumedGain(m, e))
	case l.start.trustsHints(m, e):
		return min(most, 2*(rampQueueHinted+e.rtt/2)/((hintLag+e.rtt)*(hintLag+e.rtt)))
	}
	queue := rampQueue
	if l.start.refutedLately(e.now) { // only probes tell of one now
		queue = rampQueueRefuted
	}
	return min(most, 2*(queue+e.rtt/2)/(e.loop*e.loop))
}

// resumedGain is the growth per second of a ramp that goes on from an earlier top.
func (l *law) resumedGain(m *model, e evidence) float64 {
	age := 1 + l.start.resumed
	queue := min(resumedFirst*age, resumedMost)
	if l.shaper.stands { // windows of a crowd move into the link's queue at once
		queue = min(resumedFirstShaped*age, resumedMostShaped)
	}
	if l.rate < resumedBelow*m.capacity.most {
		queue = resumedMost
	}
	loop := e.loop
	if l.shaper.stands && e.rtt <= shortPath { // what is in flight says nothing then, and steps are seldom
		loop += seconds(steadyTick)
	}
	return 2 * queue / (loop * loop)
}
