package control

import (
	"math"
	"time"
)

// delay remembers what is known of the path.
type delay struct {
	base    float64 // s, as it was last told
	foreign float64 // s of delay that did not react when we gave way
	seen    float64 // when a delay was last known
	ever    bool

	queue   time.Duration // as it was told last
	changed float64       // when that changed
	every   float64       // s between changes

	own, owned         float64 // s, what the transfers' own RTTs told of a queue, and when
	noise, noiseRecent float64 // s, mean deviation of delay without a queue of ours
	last, jitter       float64 // s, the last value of the newest probes, and the mean step between values
	mean, swing        float64 // s, of the delay as it is, and its deviation, over half a minute
}

// senseDelay removes from the delay what was found not to be ours.
func (c *Controller) senseDelay(in *Input, s *signal) {
	d := &c.delay
	s.sees, s.passive = in.Delay.Known, in.Delay.Passive
	lag := d.age(in, s)
	s.loop = lag + s.rtt
	if !s.sees {
		return
	}
	d.seen, d.ever = s.now, true
	if math.Abs(s.base-d.base) > 1e-3 {
		d.foreign = max(0, d.foreign-(s.base-d.base))
		d.base = s.base
	}
	s.raw = seconds(in.Delay.Queue)
	s.recent = s.raw
	if in.Delay.RecentKnown {
		s.recent = seconds(in.Delay.Recent)
		lag = min(lag, max(leastLag, seconds(in.Delay.RecentLag)))
	}
	s.loop = lag + s.rtt + s.recent
	if len(c.members) > 0 {
		d.relent(s)
	}
	if c.mode == ramping || c.mode == cruising && s.now > c.budget.settled || c.mode == draining && c.tooSoon(s) {
		d.flutter(s, !c.excused(s) && !c.birthing(s))
	}
	d.last = s.recent
	s.queue = max(0, s.raw-d.offset(d.noise))
	s.fresh = max(0, s.recent-d.offset(d.noiseRecent))
	if s.passive { // the transfers' own RTT knows delayed acknowledgements too
		s.queue, s.fresh = max(0, s.queue-c.target), max(0, s.fresh-c.target)
	}
}

// relent forgets foreign delay and noise that are no longer there: at once when
// the delay is clearly shorter, else by its mean over half a minute.
func (d *delay) relent(s *signal) {
	w := blend(s.dt, 30)
	d.mean += (s.raw - d.mean) * w
	d.swing += (math.Abs(s.raw-d.mean) - d.swing) * w
	if s.raw < d.foreign-2*d.noise-1e-3 {
		d.foreign += (s.raw - d.foreign) * blend(s.dt, 0.5)
		d.mean = d.foreign
	}
	d.foreign = min(d.foreign, d.mean)
	if d.swing < d.noise {
		d.noiseRecent *= d.swing / d.noise
		d.noise = d.swing
	}
}

// age is how old the delay is in seconds: as told, else judged by how often it
// changes, since the median of a few probes changes with nearly each of them.
func (d *delay) age(in *Input, s *signal) float64 {
	if l := seconds(in.Delay.Lag); l > 0 {
		return clamp(l, leastLag, 2)
	}
	switch q := in.Delay.Queue; {
	case d.changed == 0:
		d.queue, d.changed = q, s.now
	case q != d.queue:
		d.every += (min(s.now-d.changed, 1) - d.every) / 2
		d.queue, d.changed = q, s.now
	}
	return clamp(1.2*max(d.every, s.now-d.changed), guessLeast, guessMost)
}

// Bounds of the age of a delay in seconds, where it is told and where not.
const (
	leastLag   = 0.05
	guessLeast = 0.15
	guessMost  = 0.5
)

// How many deviations of its noise a delay must exceed to count: beyond the
// mean where that is known, else beyond the shortest.
const (
	noiseMargin  = 1.5
	jitterMargin = 2.5
)

// offset is the delay in seconds up to which it may be another's or noise.
func (d *delay) offset(noise float64) float64 {
	return max(d.foreign+noiseMargin*noise, jitterMargin*d.jitter)
}

// restless is how far the delay strays in s without a queue of ours: by what goes
// on now, and by what the path is known for.
func (d *delay) restless() float64 { return max(d.noiseRecent, d.jitter) }

// flutter follows how far the delay falls from one value to the next while
// nothing drains: a queue that builds up never falls, noise does half of the
// time.
func (d *delay) flutter(s *signal, steady bool) {
	if s.recent == d.last || !steady {
		return
	}
	down := 2 * max(0, d.last-s.recent)
	d.jitter += (min(down, 3*d.jitter+2e-3) - d.jitter) * 0.15
}

// innocent learns the delay and its noise from samples taken while no queue can
// be ours.
func (d *delay) innocent(s *signal, tau, most float64) {
	w := blend(s.dt, tau)
	d.foreign += (min(s.raw, most) - d.foreign) * w
	d.noise += (min(math.Abs(s.raw-d.foreign), most) - d.noise) * w
	d.noiseRecent += (min(math.Abs(s.recent-d.foreign), most) - d.noiseRecent) * w
	d.mean, d.swing = d.foreign, d.noise
}
