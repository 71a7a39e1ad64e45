package control

const (
	// Spans in seconds over which arrivals are counted: shorter ones know bursts of
	// acknowledgements, and while a ramp lasts longer ones know the time before.
	arrivedRamping  = 0.15
	arrivedCruising = 0.4
	// Spans in seconds over which what is sent comes in bursts, likewise.
	sentRamping  = 0.06
	sentCruising = 0.3
	// allowedAbove is the part of what was allowed above which all of it was sent.
	allowedAbove = 0.88
	// growthMost bounds how fast a queue is taken to have grown, in s per s.
	growthMost = 4
	// steadyJitter is the jitter, of the target, above which arrivals come in bursts.
	steadyJitter = 0.1
)

// delivered is the rate that the link bore when the queue of now began, in bytes/s
// of ours (the delivery rate of BBR): what went in one loop ago, less what stayed in
// the queue. While cruising that may still have been the end of the last cut, so that
// what went in since counts too.
func (l *law) delivered(m *model, e evidence) float64 {
	if seen := m.flight.recent(e.now); seen > 0 {
		return seen
	}
	if l.mode == ramping && m.flight.queue > 0 { // the queue of our own bytes, which no probe has met yet
		return max(m.arrivedRate(e, l.mode), m.history.passed(e.now))
	}
	ref := m.wentIn(e, l.mode, l.rate, e.now-e.loop)
	if probing := l.shaper.stands && !l.cruise.met; l.mode == cruising && !probing {
		ref = max(ref, m.wentIn(e, l.mode, l.rate, e.now-e.loop/2))
	}
	past, ok := m.history.at(e.now - e.loop)
	if ok && e.now > past.at {
		ref /= 1 + clamp((e.newest-past.newest)/(e.now-past.at), 0, growthMost)
	}
	if m.sending() && e.rtt < arrivedRamping/10 && m.delay.jitter < steadyJitter*m.target {
		ref = max(ref, m.arrivedRate(e, l.mode)) // on longer or restless paths arrivals come late and in bursts
	}
	return ref
}

// arrivedRate is the highest rate in bytes/s at which bytes of ours arrived
// lately: that much the link bears, whatever was sent. 0 when it is not
// counted.
func (m *model) arrivedRate(e evidence, state mode) float64 {
	over := arrivedRamping
	if state == cruising {
		over = arrivedCruising
	}
	return m.history.fastest(e.now-e.loop-over/2, over) * wire
}

// wentIn is the rate of ours at a time in bytes/s: what was allowed, or what was
// sent when that was much less. A NIC's counters may leave out headers that its
// driver adds, so what was allowed is the better figure.
func (m *model) wentIn(e evidence, state mode, budget, at float64) float64 {
	past, ok := m.history.at(at)
	if !ok {
		if e.rateKnown {
			return min(budget, e.ours)
		}
		return budget
	}
	allowed := min(budget, past.budget)
	span := sentCruising
	if state == ramping {
		span = sentRamping
	}
	before, _ := m.history.at(past.at - span)
	if !e.rateKnown || past.at <= before.at {
		return allowed
	}
	sent := max(0, (past.bytes-before.bytes)/(past.at-before.at)-e.others)
	if state != ramping && sent > allowedAbove*allowed {
		return allowed
	}
	return min(allowed, sent)
}
