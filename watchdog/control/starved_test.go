package control

import (
	"math"
	"testing"
	"time"
)

// TestLateAcknowledgements: while many transfers log in on a busy machine their
// acknowledgements wait for a processor, now and then. Their own RTTs rise, and
// what they have in flight with them, as if a queue stood; no probe meets one. The
// ramp must not take that for what the link bears.
func TestLateAcknowledgements(t *testing.T) {
	short(t, true)
	for _, kind := range []sender{cubic, bbr} {
		for _, every := range []float64{0.25, 0.4, 0.7} {
			for _, late := range []float64{0.008, 0.016, 0.025} {
				usually(t, most{p99: 15 * ms, peak: 60 * ms, use: 0.85}, func() *world {
					return starved(kind, 0.04, func(now float64, noise func() float64) float64 {
						if now > 2.4 || math.Mod(now, every)/every > 0.5 {
							return 0
						}
						return late * (0.7 + 0.3*noise())
					})
				})
			}
		}
	}
}

// TestAcknowledgementsEverLater: the same, but they wait longer and longer, until
// all have logged in. That no probe meets what they tell of must count then, also
// when the last transfer has begun long enough ago to be no excuse.
func TestAcknowledgementsEverLater(t *testing.T) {
	short(t, true)
	for _, kind := range []sender{cubic, bbr} {
		for _, until := range []float64{1.4, 1.8, 2.2} {
			for _, late := range []float64{0.010, 0.017, 0.025} {
				usually(t, most{p99: 20 * ms, peak: 60 * ms, use: 0.85}, func() *world {
					return starved(kind, 0.02, func(now float64, noise func() float64) float64 {
						if now > until {
							return 0
						}
						return late * (now - starvedFrom) / (until - starvedFrom) * (0.8 + 0.2*noise())
					})
				})
			}
		}
	}
}

const starvedFrom = 0.5 // s, when the first transfer begins

// starved is the lab with 16 senders that begin the given time in seconds apart.
// late gives how long their acknowledgements wait in s; noise is random, in 0..1.
func starved(kind sender, apart float64, late func(now float64, noise func() float64) float64) *world {
	w := lab(Tx).with(16, kind)
	w.shaper, w.calmFrom, w.length = true, 3.5, 12
	for i, x := range w.transfers {
		x.born = starvedFrom + apart*float64(i)
	}
	w.input = func(now float64, in *Input) {
		if now < starvedFrom {
			return
		}
		wait := late(now, w.rng.Float64)
		if wait == 0 {
			return
		}
		in.Delay.Hint += time.Duration(wait * float64(time.Second))
		in.Delay.HintKnown = true
		for i := range in.Flows {
			f := &in.Flows[i]
			f.RTT += time.Duration(wait * float64(time.Second))
			f.Inflight += int64(wait * f.Rate)
		}
	}
	return w
}
