package control

// flight follows what our senders have in the network: sent and not yet
// acknowledged. It is known at once, where a probe's answer comes a queue
// later, and by Little's law it is the rate times the RTT. It tells two things
// while no shaper of ours holds the bytes back on this host: how long the queue
// of our bytes is, and, when all that arrived in an interval was in the network
// at its start, so that the bottleneck cannot have been idle, exactly what the
// bottleneck bears.
type flight struct {
	at      float64 // when it was last looked at
	bytes   float64 // in the network then, beyond what acknowledgements lag behind
	arrived float64 // of the meter then

	span, passed float64 // s and bytes of the present run of busy intervals
	bears        float64 // bytes/s of ours by the last run; 0 before the first
	bearsAt      float64 // when that run ended
	queue        float64 // s of queue of our bytes; 0 when it is not known
}

func (f *flight) shift(by float64) { f.at, f.bearsAt = f.at+by, f.bearsAt+by }

const (
	// lagging is how many segments of each connection wait for their
	// acknowledgement in any case: two for a delayed one (RFC 1122 4.2.3.2), and
	// one on its way.
	lagging = 3
	// shortPath is the RTT in seconds up to which bytes in flight are a queue:
	// on longer paths most of them are just under way.
	shortPath = 0.005
	// busyFor is for how many seconds the bottleneck must have been busy
	// without a break to be measured.
	busyFor = 0.035
	// unknownFor is for how many seconds a transfer may send before it is known:
	// what it takes of the bottleneck is missing in the measure.
	unknownFor = 0.15
	// What passed is counted over passesOver, in which a burst of
	// acknowledgements is small, and remembered for passesFor, in seconds.
	passesOver = 0.08
	passesFor  = 2.0
	// bearsFor is for how many seconds a measurement waits for a probe to
	// confirm that the queue was management's too, and not some client's.
	bearsFor = 0.5
)

// tellsFlight says that bytes in flight tell of the bottleneck.
func (c *Controller) tellsFlight(s *signal) bool {
	return c.set.Direction == Tx && !c.shaper.wanted && s.rtt <= shortPath
}

// watchFlight takes one look. It needs all transfers to be measured at once, and
// measured since the last one.
func (c *Controller) watchFlight(s *signal) {
	f := &c.flight
	if !c.tellsFlight(s) {
		*f = flight{}
		return
	}
	if !c.whole {
		return
	}
	bytes := 0.0
	for i := range c.members {
		m := &c.members[i]
		if m.flow.Limitable && runs(m) {
			bytes += max(0, float64(m.flow.Inflight)-lagging*float64(m.flow.Floor)/2)
		}
	}
	got, dt := c.meter.arrived-f.arrived, s.now-f.at
	if got == 0 && bytes == f.bytes && dt < 0.2 {
		return
	}
	if f.at > c.newest+unknownFor && dt > 0 && got > 0 && got <= f.bytes {
		f.span, f.passed = f.span+dt, f.passed+got
	} else {
		f.span, f.passed = 0, 0
	}
	if f.span >= busyFor {
		f.bears, f.bearsAt = f.passed/f.span*wire, s.now
	}
	f.queue = 0
	if drain := c.passes(s); drain > 0 {
		// The kernel sends in bursts, and those pass until the next look.
		f.queue = max(0, min(bytes, f.bytes)*wire/drain-s.rtt)
	}
	f.at, f.bytes, f.arrived = s.now, bytes, c.meter.arrived
}

// passes is the most in bytes/s that the link was seen to pass of ours in the
// last seconds: at least so much it bears. 0 when nothing was seen.
func (c *Controller) passes(s *signal) float64 {
	return c.history.arrivals(s.now-passesFor, passesOver) * wire
}

// inFlight is the queue in seconds that our bytes wait in and that may be ours,
// while no burst of new transfers is part of it.
func (c *Controller) inFlight(s *signal) float64 {
	if c.birthing(s) || c.refuted(s) {
		return 0
	}
	return max(0, c.flight.queue-c.delay.offset(c.delay.noiseRecent))
}

// recent is the rate of ours in bytes/s that the bottleneck was just seen to
// bear; 0 when it was not.
func (f *flight) recent(s *signal) float64 {
	if f.bears > 0 && s.now-f.bearsAt < bearsFor {
		return f.bears
	}
	return 0
}

// proven is as recent, when no transfer has become known since that may have
// had a part.
func (c *Controller) proven(s *signal) float64 {
	f := &c.flight
	long := f.span > busyFor+unknownFor // one would have become known meanwhile
	if !long && s.now-f.bearsAt < unknownFor || c.newest > f.bearsAt-busyFor {
		return 0
	}
	return c.flight.recent(s)
}

// learnFlight takes over what the bottleneck was seen to bear, once a probe
// shows that queue.
func (c *Controller) learnFlight(s *signal) {
	rate := c.proven(s)
	if rate == 0 || !s.sees || s.passive || s.fresh < 0.6*c.target {
		return
	}
	c.note(rate + s.others)
	c.cap.measured, c.flight.bears = s.now, 0
}
