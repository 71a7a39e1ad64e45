package control

// flightEstimator follows what our senders have in the network: sent and not yet
// acknowledged. It is known at once, where a probe's answer comes a queue
// later, and by Little's law it is the rate times the RTT. It tells two things
// while no shaper of ours holds the bytes back on this host: how long the queue
// of our bytes is, and, when all that arrived in an interval was in the network
// at its start, so that the bottleneck cannot have been idle, exactly what the
// bottleneck bears. (BBR's delivery rate sample is the same measure for one
// connection: Cardwell et al., ACM Queue 14(5), 2016.)
type flightEstimator struct {
	at      float64 // when it was last looked at
	bytes   float64 // in the network then, beyond what acknowledgements lag behind
	arrived float64 // of the rate estimator then

	busyFor, busyBytes float64 // s and bytes of the present run of busy intervals
	bottleneck         float64 // bytes/s of ours by the last run; 0 before the first
	bottleneckAt       float64 // when that run ended
	queue              float64 // s of queue of our bytes; 0 when it is not known
}

const (
	// unacked is how many segments of each connection wait for their
	// acknowledgement in any case: two for a delayed one (RFC 1122 4.2.3.2), and
	// one on its way.
	unacked = 3
	// shortPath is the RTT in seconds up to which bytes in flight are a queue:
	// on longer paths most of them are just under way.
	shortPath = 0.005
	// busyLeast is for how many seconds the bottleneck must have been busy
	// without a break to be measured.
	busyLeast = 0.035
	// unknownFor is for how many seconds a transfer may send before it is known:
	// what it takes of the bottleneck is missing in the measure.
	unknownFor = 0.15
	// bottleneckFor is for how many seconds a measurement waits for a probe to
	// confirm that the queue was management's too, and not some client's.
	bottleneckFor = 0.5
	// quietMost is the time in seconds after which a measurement without news counts.
	quietMost = 0.2
	// confirmedAbove is the queue, of the target, by which a probe confirms it.
	confirmedAbove = 0.6
)

// flightTells says that bytes in flight tell of the bottleneck.
func (m *model) flightTells(rtt float64, shaperWanted bool) bool {
	return m.sending() && !shaperWanted && rtt <= shortPath
}

// estimateFlight takes one look. It needs all transfers to be measured at once, and
// measured since the last one.
func (m *model) estimateFlight(s *sample, a actuation) {
	f := &m.flight
	if !m.flightTells(s.rtt, a.shaperWanted) {
		*f = flightEstimator{}
		return
	}
	if !m.flows.complete {
		return
	}
	bytes := m.flows.inflight()
	got, dt := m.rates.arrived-f.arrived, s.now-f.at
	if got == 0 && bytes == f.bytes && dt < quietMost {
		return
	}
	f.measure(got, dt, s.now, m.flows.newest)
	f.queue = 0
	if drain := m.history.passed(s.now); drain > 0 {
		// The kernel sends in bursts, and those pass until the next look.
		f.queue = max(0, min(bytes, f.bytes)*wire/drain-s.rtt)
	}
	f.at, f.bytes, f.arrived = s.now, bytes, m.rates.arrived
}

// measure adds an interval of dt seconds in which got bytes arrived to the run of busy
// ones, or ends that.
func (f *flightEstimator) measure(got, dt, now, newest float64) {
	if f.at > newest+unknownFor && dt > 0 && got > 0 && got <= f.bytes {
		f.busyFor, f.busyBytes = f.busyFor+dt, f.busyBytes+got
	} else {
		f.busyFor, f.busyBytes = 0, 0
	}
	if f.busyFor >= busyLeast {
		f.bottleneck, f.bottleneckAt = f.busyBytes/f.busyFor*wire, now
	}
}

// inflight is what the transfers have in the network in bytes, beyond what
// acknowledgements lag behind.
func (t *flowTable) inflight() float64 {
	bytes := 0.0
	for i := range t.entries {
		f := &t.entries[i]
		if f.flow.Limitable && f.runs() {
			bytes += max(0, float64(f.flow.Inflight)-unacked*float64(f.flow.Floor)/2)
		}
	}
	return bytes
}

// recent is the rate of ours in bytes/s that the bottleneck was just seen to
// bear; 0 when it was not.
func (f *flightEstimator) recent(now float64) float64 {
	if f.bottleneck > 0 && now-f.bottleneckAt < bottleneckFor {
		return f.bottleneck
	}
	return 0
}

// proven is as recent, when no transfer has become known since that may have
// had a part.
func (f *flightEstimator) proven(now, newest float64) float64 {
	long := f.busyFor > busyLeast+unknownFor // one would have become known meanwhile
	if !long && now-f.bottleneckAt < unknownFor || newest > f.bottleneckAt-busyLeast {
		return 0
	}
	return f.recent(now)
}

// learnFlight takes over what the bottleneck was seen to bear, once a probe
// shows that queue.
func (m *model) learnFlight(e evidence, windowed bool) {
	rate := m.flight.proven(e.now, m.flows.newest)
	if rate == 0 || !e.known || e.passive || e.newest < confirmedAbove*m.target {
		return
	}
	m.capacity.observe(rate+e.others, e.dt, windowed)
	m.capacity.measured, m.flight.bottleneck = e.now, 0
}
