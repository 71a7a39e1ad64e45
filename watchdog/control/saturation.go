package control

// load says whether the link is saturated and whether our limits matter,
// with hysteresis.
type load struct {
	bits      uint8   // the last six samples of utilisation, newest lowest
	sampled   float64 // when the last one was taken
	hot       float64 // when the link last was saturated
	ever      bool
	saturated bool
	engaged   bool
}

func (l *load) shift(by float64) { l.sampled, l.hot = l.sampled+by, l.hot+by }

const (
	sampleEvery = 0.1 // s
	coolAfter   = 3.0 // s without a sign of it until the link is not saturated
	idleAfter   = 10. // s without binding until limits are no longer engaged
)

// watch takes one sample: three of six at 90 % of the capacity, a queue, or
// drops on this host under load.
func (l *load) watch(in *Input, s *signal, best, engage float64) {
	if s.now-l.sampled >= sampleEvery-1e-3 || s.now < l.sampled {
		l.sampled = s.now
		l.bits = l.bits << 1 & 0x3f
		if s.rateKnown && best > 0 && s.rate >= 0.9*best {
			l.bits |= 1
		}
	}
	n := 0
	for b := l.bits; b != 0; b &= b - 1 {
		n++
	}
	dropping := in.Drops > dropsMany && s.rateKnown && s.rate > 0.5*best
	if n >= 3 || s.sees && s.queue >= engage || dropping {
		l.hot, l.ever = s.now, true
	}
	l.saturated = l.ever && s.now-l.hot < coolAfter
}

// settle follows engagement: at once when saturated or cut, released only when
// the limits have not been binding for long.
func (c *Controller) settle(s *signal) {
	l := &c.load
	switch {
	case c.mode == idle || c.mode == unsighted:
		l.engaged = false
	case l.saturated || c.mode == draining:
		l.engaged = true
	case s.now-c.budget.quiet > idleAfter:
		l.engaged = false
	}
}
