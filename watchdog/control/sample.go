package control

// sample is what one step measured. The estimators fill it (estimate), and nobody
// writes to it afterwards. Times are seconds, rates bytes/s of this direction.
type sample struct {
	in      Input // sanitized
	now, dt float64

	linkRates
	flowRate float64 // as ours, by the transfers' own rates over the last second

	delayKnown bool    // delay means something
	passive    bool    // and comes from the transfers' own TCP
	delay      float64 // above the base RTT, by the median of the last probes
	recent     float64 // the same by the newest probes
	base       float64 // RTT of the empty path
	rtt        float64 // mean of the transfers' empty paths, the base at least
	latency    float64 // feedback delay: from a change of limits until recent shows it

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

// drainsNothing says that no queue falls because of what was set.
func (a *actuation) drainsNothing(s *sample) bool {
	switch a.mode {
	case ramping:
		return true
	case cruising:
		return s.now > a.settled
	case draining:
		return tooSoon(s, s.latency, a.cutAt)
	case idle, openLoop, simulating:
	}
	return false
}

// tooSoon says that a cut cannot have had any effect yet.
func tooSoon(s *sample, loop, cutAt float64) bool {
	return s.now-cutAt < s.rtt+effectAfter*(loop-s.rtt-s.recent)
}
