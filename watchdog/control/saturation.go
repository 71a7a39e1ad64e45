package control

import "math/bits"

// saturation says whether the link is saturated and whether our limits matter,
// with hysteresis.
type saturation struct {
	used      uint8   // the last six samples of utilisation, newest lowest
	sampled   float64 // when the last one was taken
	last      float64 // when the link last was saturated
	ever      bool
	saturated bool
	engaged   bool
}

const (
	usedAbove     = 0.9  // of the capacity
	usedSamples   = 3    // of six: so many make it saturated
	sixSamples    = 0x3f // six bits
	sampleEvery   = 0.1  // s
	dropsMany     = 10.  // packets/s; stray frames are counted as dropped too, about one in a second
	dropsAbove    = 0.5  // of the capacity: drops at less are no sign of it
	saturatedFor  = 3.0  // s without a sign of it until the link is not saturated
	disengageTime = 10.  // s without binding until limits are no longer engaged
)

// observe takes one sample: three of six at 90 % of the capacity, a queue, or
// drops on this host under load.
func (l *saturation) observe(e evidence, best, engage float64) {
	if e.now-l.sampled >= sampleEvery-1e-3 {
		l.sampled = e.now
		l.used = l.used << 1 & sixSamples
		if e.rateKnown && best > 0 && e.rate >= usedAbove*best {
			l.used |= 1
		}
	}
	dropping := e.in.Drops > dropsMany && e.rateKnown && e.rate > dropsAbove*best
	if bits.OnesCount8(l.used) >= usedSamples || e.known && e.queue >= engage || dropping {
		l.last, l.ever = e.now, true
	}
	l.saturated = l.ever && e.now-l.last < saturatedFor
}

// engage follows engagement: at once when saturated or cut, released only when
// the limits have not been binding for long.
func (l *saturation) engage(m mode, now, bound float64) {
	switch {
	case m == idle || m == openLoop:
		l.engaged = false
	case l.saturated || m == draining:
		l.engaged = true
	case now-bound > disengageTime:
		l.engaged = false
	}
}
