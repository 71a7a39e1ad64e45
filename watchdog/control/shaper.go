package control

// shaper is the handover from socket limits to a shaper of our own.
type shaper struct {
	wanted bool    // it is asked for
	stands bool    // it is in place and carries the budget
	since  float64 // when it was asked for or came to stand
	denied float64 // do not ask again before
	wait   float64 // s to wait after the next denial
}

const (
	// A shaper behind the bottleneck is felt only when the senders react, and needs
	// short queues for a sign: beyond these bounds windows are better. While one is in
	// use the bounds are wider by shaperSlack.
	shaperRTT   = 0.030 // s
	shaperNoise = 0.001 // s
	shaperSlack = 2
	// A shaper that does not stand after standsWithin seconds is denied.
	standsWithin           = 3
	deniedFirst            = 30   // s
	deniedMost             = 1800 // s
	takeOverDepth          = 0.9  // of the capacity, so that a queue left standing drains
	takeOverDepthWithQueue = 0.75
)

// slack is the factor by which a bound is wider for a shaper that is in use.
func (h *shaper) slack() float64 {
	if h.wanted {
		return shaperSlack
	}
	return 1
}

// handOver asks for the shaper once the capacity is known, and follows whether
// it stands. The socket limits stay until it does. unbacked says that the delay may be
// a target's own, which a shaper would hide.
func (l *law) handOver(m *model, e evidence, engaged, unbacked bool) {
	h := &l.shaper
	if !h.suits(m, e, l.mode, unbacked) {
		if h.wanted {
			l.takeBack(e)
		}
		return
	}
	switch {
	case !h.wanted:
		steady := l.mode == cruising && e.now > l.settled
		if engaged && steady && e.now >= h.denied {
			h.wanted, h.since = true, e.now
		}
	case !h.stands && e.in.ShaperOn:
		h.stands, h.since, h.wait = true, e.now, 0
		l.takeOver(m, e)
	case !h.stands && e.now-h.since > standsWithin, h.stands && !e.in.ShaperOn:
		h.wait = clamp(2*h.wait, deniedFirst, deniedMost)
		h.denied = e.now + h.wait
		l.takeBack(e)
	}
}

// suits says whether a shaper may carry the budget here.
func (h *shaper) suits(m *model, e evidence, state mode, unbacked bool) bool {
	return h.permitted(m, e, state, unbacked) && m.capacity.best() > 0 && m.capacity.trusted()
}

// permitted says whether anything but an unknown capacity speaks against a
// shaper. Its own queue shows in the transfers' own RTT, so only probes can
// steer it.
func (h *shaper) permitted(m *model, e evidence, state mode, unbacked bool) bool {
	if unbacked || !e.in.Shaper || m.NoShaper || state == openLoop || e.passive {
		return false
	}
	slack := h.slack()
	if !m.sending() && !m.ShaperOnly && (e.rtt > shaperRTT*slack || m.delay.variability() > shaperNoise) {
		return false
	}
	return (e.known || h.stands) && m.capacity.best() < shaperMost*slack
}

// awaited says that a shaper will take over soon, which is better than to
// pause transfers.
func (h *shaper) awaited(m *model, e evidence, state mode, unbacked bool) bool {
	return h.permitted(m, e, state, unbacked) && e.now >= h.denied
}

// takeOver starts below the capacity.
func (l *law) takeOver(m *model, e evidence) {
	l.top = max(m.capacity.best()-e.others, m.capacity.least())
	l.rate = l.top
	l.cruise.sure, l.cruise.met, l.cruise.confidence = false, false, confidence{}
	depth := takeOverDepth
	if e.newest > m.target {
		depth = takeOverDepthWithQueue
	}
	l.startDrain(m, e, depth)
}

// takeBack returns to socket limits at the present budget.
func (l *law) takeBack(e evidence) {
	l.shaper.wanted, l.shaper.stands, l.shaper.since = false, false, e.now
	l.settled = e.now + e.loop
	if l.mode == draining {
		l.mode = cruising
	}
}
