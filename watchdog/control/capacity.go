package control

// Capacities of the link beyond which, and rates below which, we do not steer.
const (
	shaperMost = 2.5e9 / 8 // bytes/s: HTB has one lock per device
	leastRate  = 1e6 / 8   // bytes/s: what rsync keeps whoever else is on the link
	leastShare = 0.02      // of the capacity, likewise
	startRate  = 5e6 / 8   // bytes/s: first budget on a link of which nothing is known
)

const (
	// measuredFor is for how many seconds a measurement outweighs what is concluded
	// from delays.
	measuredFor = 30.0
	// standingAfter is the time in seconds after which a queue is called standing, and
	// standingAbove its length, of the target: windows hold a queue, rates avoid one.
	standingAfter = 0.5
	standingAbove = 0.4
	// A queue below emptyBelow, of the target, is no sign of a full link.
	emptyBelow = 0.2
	// mostTau is the time constant in seconds in which the largest one is forgotten.
	mostTau = 600
	// Observations move the estimate with a time constant in seconds while windows
	// hold the queue, and else with a weight each; one that is below so large a part
	// of it replaces it.
	observeTau    = 2
	observeWeight = 0.4
	replaceBelow  = 0.7
)

// capacity is what the link bears.
type capacity struct {
	prior prior
	capacityEstimate
}

// prior is what is known of the capacity before anything is seen, as this step was
// told.
type prior struct {
	configured float64 // bytes/s, from configuration or a believable speed; 0 when unknown
	certain    bool    // that is the operator's word for the bottleneck
	learnt     float64 // bytes/s, from earlier runs; 0 when unknown
}

// capacityEstimate is what the link was seen to bear.
type capacityEstimate struct {
	seen float64 // bytes/s, from a standing queue or from traffic that passed; 0 when never
	full bool    // a standing queue confirmed seen
	most float64 // the largest that was confirmed, slowly forgotten

	measured float64 // when it was measured while the link cannot have been idle

	stood float64 // s for which a queue has stood
	past  float64 // bytes of the link that passed meanwhile
}

// best is the estimate to work with in bytes/s, and 0 when there is none: what
// was seen under a standing queue, but never more than what was configured.
func (k *capacity) best() float64 {
	configured := k.prior.configured
	v := k.seen
	if !k.full {
		if l := k.prior.learnt; l > 0 {
			v = max(v, l)
		} else {
			v = max(v, configured)
			if configured == 0 {
				return 0
			}
		}
	}
	if configured > 0 {
		v = min(v, configured)
	}
	return v
}

// trusted says whether best is more than the speed of some NIC on the way.
func (k *capacity) trusted() bool { return k.full || k.prior.learnt > 0 || k.prior.certain }

// least is the budget that rsync keeps in any case, in bytes/s.
func (k *capacity) least() float64 { return max(leastRate, leastShare*k.best()) }

// remembered is the capacity worth writing down: only what a full link confirmed,
// now or in an earlier run. The speed of a NIC says nothing of what is behind it.
func (k *capacity) remembered() float64 {
	if k.full || k.prior.learnt > 0 {
		return k.best()
	}
	return 0
}

// measuredLately says that the capacity was measured, where a cut only guesses it.
func (k *capacity) measuredLately(now float64) bool {
	return k.measured > 0 && now-k.measured < measuredFor
}

// learnCapacity follows the capacity: up at once with what passed, and by observations
// of a full link, which a standing queue shows while no cut of ours is in force.
func (m *model) learnCapacity(e evidence, a actuation, carries bool) {
	k := &m.capacity
	if !e.rateKnown {
		return
	}
	m.learnFlight(e, a.windowed)
	k.most -= (k.most - k.seen) * blend(e.dt, mostTau)
	if k.seen > 0 && m.rates.mean > k.seen && e.newest < emptyBelow*m.target {
		k.seen = m.rates.mean
	}
	if !carries || !m.standing(e, a) {
		k.stood, k.past = 0, 0
		return
	}
	k.stood, k.past = k.stood+e.dt, k.past+e.in.Rate*e.dt
	switch {
	case k.stood <= standingAfter:
	case k.full:
		k.observe(e.rate, e.dt, a.windowed)
	default: // a single look may be of a burst
		k.observe(k.past/k.stood, e.dt, a.windowed)
	}
}

// standing says that a queue stands that our windows hold, at a rate that is known.
func (m *model) standing(e evidence, a actuation) bool {
	steady := a.mode == cruising && e.now > a.settled
	late := e.dt > longestMeasure // the rate of so long a step is also of before the queue
	return a.windowed && steady && !late && e.known && e.queue >= standingAbove*m.target
}

// observe takes one observation of a full link.
func (k *capacity) observe(rate, dt float64, windowed bool) {
	switch {
	case !k.full, rate < replaceBelow*k.seen && !windowed:
		k.seen, k.full = rate, true
	case windowed:
		k.seen += (rate - k.seen) * blend(dt, observeTau)
	default:
		k.seen += (rate - k.seen) * observeWeight
	}
	k.most = max(k.most, k.seen)
}
