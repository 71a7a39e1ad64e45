package control

import (
	"math"
	"time"
)

// confidence is how far the top is believed. A queue that was met may have been a
// noise, and then a top that is far too low would stay for ever: what the link
// bears beyond it is never seen. So it is doubted again, after ever longer
// times as long as the queue is met at the same rate.
type confidence struct {
	top   float64 // bytes/s at which the queue was met last
	lasts float64 // s for which that is believed
	until float64 // when that ends
}

const (
	believeFirst = 5.0   // s
	believeMost  = 600.0 // s
	sameTop      = 0.25  // of the top
	// probeJitter is the jitter, of the target, above which probing would tell nothing.
	probeJitter = 0.5
	// The growth per second at first, and how many times that it becomes; so fast that
	// the queue stays below probeQueue in seconds until the news of it arrives.
	probeFirst     = 0.15
	probeTimes     = 2.0
	probeTimesFar  = 10.0
	probeQueueMost = 0.010
	probeTick      = 50 * time.Millisecond
)

// unmet says that no queue was met at the top while the shaper stood, or that it
// is no longer believed.
func (l *law) unmet(configured bool) bool {
	return l.mode == cruising && l.shaper.stands && !l.cruise.met && !configured
}

// uncertain says that the top does not come from a ramp of this run over a
// quiet path. Where the noise is as long as the queues that are looked for, or the
// news of them is old, probing would tell nothing.
func (k *cruiseState) uncertain(m *model) bool {
	return m.delay.base < shaperRTT && m.delay.jitter < probeJitter*m.target &&
		(m.noisy() || !m.capacity.full || k.confidence.lasts > 0)
}

// doubtsTop says that the top may be far too low: it is unmet, and what it was met
// by before may have been noise.
func (l *law) doubtsTop(m *model, configured bool) bool {
	return l.unmet(configured) && l.cruise.uncertain(m)
}

// expireTop ends the belief in the top when its time has come.
func (k *cruiseState) expireTop(m *model, e evidence) {
	if k.met && k.confidence.lasts > 0 && e.now >= k.confidence.until && e.newest < m.drainedBelow() {
		k.met, k.age = false, 0
	}
}

// confirmTop notes the rate at which a queue was met while the shaper stood. A top that
// was in doubt is believed from then on, and for longer where it is the same again.
func (k *cruiseState) confirmTop(top, now float64, doubted bool) {
	if b := &k.confidence; doubted {
		if math.Abs(top-b.top) < sameTop*b.top {
			b.lasts = min(2*b.lasts, believeMost)
		} else {
			b.lasts = believeFirst
		}
		b.top, b.until = top, now+b.lasts
	}
	k.met = true
}

// probesUp says that the rate grows at once until a queue shows (as BBR's ProbeBW_UP),
// and not on a plateau: the top is only what the ramp took for the capacity, in a
// queue that may have been a burst of 64 KB from one sender. A shaper cuts such
// bursts to frames, so the first queue that appears while it stands is worth
// more. The same goes for a top that is in doubt.
func (l *law) probesUp(m *model, configured bool) bool {
	return l.unmet(configured) && (l.cruise.uncertain(m) || m.sending() && !m.noisy())
}

// probeGain is the growth per second on the way to that queue. It is quicker the
// longer none appears: then the top was far off.
func (l *law) probeGain(m *model, e evidence) float64 {
	loop := e.loop + seconds(probeTick)
	most := probeTimes
	if l.doubtsTop(m, e.in.Configured) {
		most = probeTimesFar
	}
	return min(probeFirst*clamp(l.cruise.age, 1, most), 2*probeQueueMost/(loop*loop))
}
