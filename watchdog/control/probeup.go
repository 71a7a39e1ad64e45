package control

import (
	"math"
	"time"
)

// proof is how far the top is believed. A queue that was met may have been a
// noise, and then a top that is far too low would stay for ever: what the link
// bears beyond it is never seen. So it is doubted again, after ever longer
// times as long as the queue is met at the same rate.
type proof struct {
	top   float64 // bytes/s at which the queue was met last
	lasts float64 // s for which that is believed
	until float64 // when that ends
}

const (
	believeFirst = 5.0   // s
	believeMost  = 600.0 // s
	sameTop      = 0.25  // of the top
)

// unmet says that no queue was met at the top while the shaper stood, or that it
// is no longer believed.
func (c *Controller) unmet(in *Input) bool {
	return c.mode == cruising && c.shaper.stands && !c.budget.met && !in.Configured
}

// doubts says that the top may be far too low: it is unmet, and what it was met
// by before may have been noise.
func (c *Controller) doubts(in *Input) bool { return c.unmet(in) && c.uncertain() }

// uncertain says that the top does not come from a ramp of this run over a
// quiet path. Where the noise is as long as the queues that are looked for, or the
// news of them is old, a climb would tell nothing.
func (c *Controller) uncertain() bool {
	return c.delay.base < shaperRTT && c.delay.jitter < 0.5*c.target && (c.noisy() || !c.cap.full || c.budget.proof.lasts > 0)
}

// doubt ends the belief in the top when its time has come.
func (c *Controller) doubt(s *signal) {
	b := &c.budget
	if b.met && b.proof.lasts > 0 && s.now >= b.proof.until && s.fresh < c.empty() {
		b.met, b.age = false, 0
	}
}

// meet notes the rate at which a queue was met.
func (c *Controller) meet(in *Input, s *signal, top float64) {
	b := &c.budget
	if !c.shaper.stands {
		return
	}
	if p := &b.proof; c.doubts(in) {
		if math.Abs(top-p.top) < sameTop*p.top {
			p.lasts = min(2*p.lasts, believeMost)
		} else {
			p.lasts = believeFirst
		}
		p.top, p.until = top, s.now+p.lasts
	}
	b.met = true
}

// climbs says that the top is only what the ramp took for the capacity, in a
// queue that may have been a burst of 64 KB from one sender. A shaper cuts such
// bursts to frames, so the first queue that appears while it stands is worth
// more, and is looked for at once instead of on a plateau. The same goes for a
// top that is in doubt.
func (c *Controller) climbs(in *Input) bool {
	return c.unmet(in) && (c.uncertain() || c.set.Direction == Tx && !c.noisy())
}

// climb is the growth per second on the way to that queue, which stays below
// climbQueue until the news of it arrives. It is quicker the longer none appears:
// then the top was far off.
func (c *Controller) climb(in *Input, s *signal) float64 {
	loop := s.loop + seconds(climbTick)
	most := 2.0
	if c.doubts(in) {
		most = 10
	}
	return min(climbGain*clamp(c.budget.age, 1, most), 2*climbQueue/(loop*loop))
}

const (
	climbGain  = 0.15  // per second
	climbQueue = 0.010 // s
	climbTick  = 50 * time.Millisecond
)
