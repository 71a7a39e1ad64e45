package control

import (
	"math"
	"time"
)

// delayEstimator remembers what is known of the path.
type delayEstimator struct {
	externalDelay
	base     float64 // s, RTT of the empty path as it was last told
	lastSeen float64 // when a delay was last known
	ever     bool    // it was

	told     time.Duration // the delay as it was told last
	changed  float64       // when that changed
	interval float64       // s between changes

	last, jitter    float64 // s, the last value of the newest probes, and the mean step between values
	mean, deviation float64 // s, of the delay as it is, over half a minute

	inflation   float64 // s, what the transfers' own RTTs told of a queue
	inflationAt float64 // when
}

// externalDelay is delay that does not come from a queue of ours, with its noise.
type externalDelay struct {
	external           float64 // s that did not react when we gave way
	noise, noiseNewest float64 // s, mean deviation, by the median and by the newest probes
}

const (
	// Bounds of the age of a delay in seconds: where it is told, and where it is
	// judged by how often it changes.
	leastLag   = 0.05
	mostLag    = 2.0
	guessLeast = 0.15
	guessMost  = 0.5
	guessOver  = 1.2 // of the time between changes
	// A base RTT that changed by more is another route.
	routeChange = 1e-3 // s
	// How many deviations of its noise a delay must exceed to count: beyond the
	// mean where that is known, else beyond the shortest.
	noiseMargin  = 1.5
	jitterMargin = 2.5
	// External delay that is gone is forgotten.
	meanTau   = 30.0 // s, of the mean that takes external delay with it
	goneTau   = 0.5  // s, where the delay is clearly shorter
	goneBelow = 1e-3 // s, below it and its noise
	// idleTau is the time constant in seconds in which it is learnt without transfers.
	idleTau = 5.0
	// Jitter is learnt from falls, each with this weight and bounded by this much.
	jitterWeight = 0.15
	jitterGrows  = 3.0
	jitterLeast  = 2e-3 // s
	// signalLostFor is for how many seconds a lost delay is waited for.
	signalLostFor = 10.0
	// The transfers' own RTTs are compared with what they were so many seconds ago,
	// and have risen when they are longer by the factor and the time.
	inflationEvery = 0.08
	inflationBy    = 1.5
	inflationLeast = 1e-3 // s
)

// observe fills in the delay and the feedback delay.
func (d *delayEstimator) observe(s *sample) {
	in := &s.in.Delay
	s.delayKnown, s.passive = in.Known, in.Passive
	lag := d.age(in, s.now)
	s.latency = lag + s.rtt
	if !s.delayKnown {
		return
	}
	d.lastSeen, d.ever = s.now, true
	if math.Abs(s.base-d.base) > routeChange {
		d.external = max(0, d.external-(s.base-d.base))
		d.base = s.base
	}
	s.delay = seconds(in.Queue)
	s.recent = s.delay
	if in.RecentKnown {
		s.recent = seconds(in.Recent)
		lag = min(lag, max(leastLag, seconds(in.RecentLag)))
	}
	s.latency = lag + s.rtt + s.recent
}

// age is how old the delay is in seconds: as told, else judged by how often it
// changes, since the median of a few probes changes with nearly each of them.
func (d *delayEstimator) age(in *Delay, now float64) float64 {
	if l := seconds(in.Lag); l > 0 {
		return clamp(l, leastLag, mostLag)
	}
	switch q := in.Queue; {
	case d.changed == 0:
		d.told, d.changed = q, now
	case q != d.told:
		d.interval += (min(now-d.changed, 1) - d.interval) / 2
		d.told, d.changed = q, now
	}
	return clamp(guessOver*max(d.interval, now-d.changed), guessLeast, guessMost)
}

// decay forgets external delay and noise that are no longer there: at once when
// the delay is clearly shorter, else by its mean over half a minute.
func (d *delayEstimator) decay(s *sample) {
	w := blend(s.dt, meanTau)
	d.mean += (s.delay - d.mean) * w
	d.deviation += (math.Abs(s.delay-d.mean) - d.deviation) * w
	if s.delay < d.external-2*d.noise-goneBelow {
		d.external += (s.delay - d.external) * blend(s.dt, goneTau)
		d.mean = d.external
	}
	d.external = min(d.external, d.mean)
	if d.deviation < d.noise {
		d.noiseNewest *= d.deviation / d.noise
		d.noise = d.deviation
	}
}

// learnJitter follows how far the delay falls from one value to the next while
// nothing drains: a queue that builds up never falls, noise does half of the
// time.
func (d *delayEstimator) learnJitter(recent float64) {
	if recent == d.last {
		return
	}
	down := 2 * max(0, d.last-recent)
	d.jitter += (min(down, jitterGrows*d.jitter+jitterLeast) - d.jitter) * jitterWeight
}

// learn follows the delay and its noise by a sample that was taken while no queue
// can be ours.
func (x *externalDelay) learn(s *sample, tau, most float64) {
	w := blend(s.dt, tau)
	x.external += (min(s.delay, most) - x.external) * w
	x.noise += (min(math.Abs(s.delay-x.external), most) - x.noise) * w
	x.noiseNewest += (min(math.Abs(s.recent-x.external), most) - x.noiseNewest) * w
}

// setAside takes a delay for another's from now on.
func (d *delayEstimator) setAside(x externalDelay) {
	d.externalDelay = x
	d.mean, d.deviation = x.external, x.noise
}

// offset is the delay in seconds up to which it may be another's or noise.
func (d *delayEstimator) offset(noise float64) float64 {
	return max(d.external+noiseMargin*noise, jitterMargin*d.jitter)
}

// variability is how far the delay strays in s without a queue of ours: by what goes
// on now, and by what the path is known for.
func (d *delayEstimator) variability() float64 { return max(d.noiseNewest, d.jitter) }

// signalLost says that the delay was lost a moment ago. It may come back with a full
// queue, so nothing grows meanwhile.
func (d *delayEstimator) signalLost(e evidence) bool {
	return !e.known && d.ever && e.now-d.lastSeen < signalLostFor
}

// rising returns an inflation of the transfers' own RTTs while it rises quickly, for
// they also fall slowly after a burst; else 0.
func (d *delayEstimator) rising(inflation, now float64) float64 {
	rises := inflation > inflationBy*d.inflation+inflationLeast
	if now-d.inflationAt > inflationEvery {
		d.inflation, d.inflationAt = inflation, now
	}
	if !rises || math.IsInf(inflation, 1) {
		return 0
	}
	return inflation
}

// learnIdle follows the delay while there are no transfers: none of it is ours.
func (d *delayEstimator) learnIdle(s *sample, most float64) {
	d.learn(s, idleTau, most)
	d.mean, d.deviation = d.external, d.noise
}
