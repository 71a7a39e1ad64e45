package control

const (
	// wire is the bytes on a link per byte of TCP payload at an MTU of 1500: a
	// frame of 1514 bytes carries 1448.
	wire = 1.045
	// bindingAbove is the part of the budget above which it is what limits.
	bindingAbove = 0.85
	// mostBase is the longest base RTT in seconds that is reckoned with.
	mostBase = 2
	// noisyAbove is the jitter, of the target, that is worth taking into account.
	noisyAbove = 0.1
	// emptyPart: a queue below one in so many of the target, beyond the variability of
	// the delay, is none.
	emptyPart = 3
	// effectAfter is the part of the probes' lag after which a cut may show in them.
	effectAfter = 0.4
)

// model is what the estimators know of the link, the path and the transfers.
type model struct {
	params
	flows    flowTable
	rates    rateEstimator
	history  history
	delay    delayEstimator
	flight   flightEstimator
	capacity capacity
}

// estimate measures: it brings the estimators up to date and fills the sample.
func (m *model) estimate(in Input, c *clock, a actuation) sample {
	s := sample{in: in, now: c.now, dt: c.dt}
	m.capacity.prior = prior{configured: in.Capacity, certain: in.Configured && in.Capacity > 0, learnt: in.Learnt}
	m.rates.arrived += m.flows.update(&s.in, s.now, m.DryRun)
	s.base = clamp(seconds(in.Delay.Base), 0, mostBase)
	m.flows.counts(&s, a.mode)
	m.rates.observe(&s, &m.history, m.flows.newest)
	m.estimateDelay(&s, a)
	s.binding = s.ours > bindingAbove*a.rate
	if m.flows.complete { // else what arrived is of different times
		m.history.addArrival(s.now, m.rates.arrived)
	}
	m.estimateFlight(&s, a)
	return s
}

// estimateDelay follows the delay and its noise.
func (m *model) estimateDelay(s *sample, a actuation) {
	d := &m.delay
	d.observe(s)
	if !s.delayKnown {
		return
	}
	if len(m.flows.entries) > 0 {
		d.decay(s)
	}
	if a.drainsNothing(s) && !m.flows.inGrace(s.now, s.latency) && !m.flows.starting(s.now, s.latency) {
		d.learnJitter(s.recent)
	}
	d.last = s.recent
}

// queueing is the evidence before attribution: the delay beyond its noise and
// beyond what was found to be another's.
func (m *model) queueing(s *sample) evidence {
	e := evidence{sample: s, known: s.delayKnown, loop: s.latency}
	if !s.delayKnown {
		return e
	}
	d := &m.delay
	e.queue = max(0, s.delay-d.offset(d.noise))
	e.newest = max(0, s.recent-d.offset(d.noiseNewest))
	if s.passive { // the transfers' own RTT knows delayed acknowledgements too
		e = e.withQueue(max(0, e.queue-m.target), max(0, e.newest-m.target))
	}
	return e
}

// noisy says that the path's jitter is worth taking into account.
func (m *model) noisy() bool { return m.delay.jitter > noisyAbove*m.target }

// drainedBelow is the queue in seconds below which none stands.
func (m *model) drainedBelow() float64 { return m.target/emptyPart + m.delay.variability() }

// forgetRates drops what a gap in time made meaningless.
func (m *model) forgetRates() {
	m.flight = flightEstimator{}
	m.history.clear()
	m.rates.restart()
}
