package control

// sample is what one step measured. The estimators fill it (estimate), and nobody
// writes to it afterwards. Times are seconds, rates bytes/s of this direction.
type sample struct {
	in      Input // sanitized
	now, dt float64

	linkRates
	flowRate float64 // as ours, by the transfers' own rates over the last second

	sees    bool    // delay means something
	passive bool    // and comes from the transfers' own TCP
	delay   float64 // above the base RTT, by the median of the last probes
	recent  float64 // the same by the newest probes
	base    float64 // RTT of the empty path
	rtt     float64 // mean of the transfers' empty paths, the base at least
	latency float64 // feedback delay: from a change of limits until recent shows it

	running    int  // transfers that are not paused
	limitable  int  // of these, the ones that limits reach
	unenforced int  // of these, the ones on which what was decided is not in force
	binding    bool // the limits are what holds the transfers
}

// evidence is a sample with the part of its delay that may be a queue of ours, which
// is what the law acts on. Each stage of attribution returns what it leaves of it.
type evidence struct {
	*sample
	known  bool    // queue and newest mean something
	queue  float64 // s, by the median of the last probes
	newest float64 // s, by the newest probes
	loop   float64 // s, feedback delay of newest
}

// withQueue is the evidence with a queue of another length.
func (e evidence) withQueue(queue, newest float64) evidence {
	e.queue, e.newest = queue, newest
	return e
}

// actuation is what the limits of the last step were, as far as measurements
// depend on it.
type actuation struct {
	mode         mode
	rate         float64 // bytes/s, the budget
	settled      float64 // when the last change of it should be visible
	cutAt        float64 // when the rate was last cut
	windowed     bool    // windows limit, not rates
	shaperWanted bool
}

// bindingAbove is the part of the budget above which it is what limits.
const bindingAbove = 0.85

// wire is the bytes on a link per byte of TCP payload at an MTU of 1500: a
// frame of 1514 bytes carries 1448.
const wire = 1.045

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
	s.base = clamp(seconds(in.Delay.Base), 0, 2)
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
	if !s.sees {
		return
	}
	if len(m.flows.entries) > 0 {
		d.decay(s)
	}
	if a.mode == ramping || a.mode == cruising && s.now > a.settled || a.mode == draining && tooSoon(s, s.latency, a.cutAt) {
		if !m.flows.inGrace(s.now, s.latency) && !m.flows.starting(s.now, s.latency) {
			d.learnJitter(s.recent)
		}
	}
	d.last = s.recent
}

// queueing is the evidence before attribution: the delay beyond its noise and
// beyond what was found to be another's.
func (m *model) queueing(s *sample) evidence {
	e := evidence{sample: s, known: s.sees, loop: s.latency}
	if !s.sees {
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

// tooSoon says that a cut cannot have had any effect yet.
func tooSoon(s *sample, loop, cutAt float64) bool {
	return s.now-cutAt < s.rtt+0.4*(loop-s.rtt-s.recent)
}

// noisy says that the path's jitter is worth taking into account.
func (m *model) noisy() bool { return m.delay.jitter > 0.1*m.target }

// drainedBelow is the queue in seconds below which none stands.
func (m *model) drainedBelow() float64 { return m.target/3 + m.delay.variability() }

// forgetRates drops what a gap in time made meaningless.
func (m *model) forgetRates() {
	m.flight = flightEstimator{}
	m.history.clear()
	m.rates.restart()
}
