package control

import (
	"testing"
	"time"
)

// TestNeverSeen is the incident where nothing ever answers: no target, no gateway.
// Receivers are held by what passes.
func TestNeverSeen(t *testing.T) {
	for _, n := range []int{4, 16} {
		w := lab(Rx).with(n, cubic)
		w.noDelay = true
		w.each = func(now float64, o Output) {
			if now > 1 && o.Phase != Blind {
				t.Errorf("phase %v at %.1f s", o.Phase, now)
			}
		}
		w.within(t, most{p99: 25 * ms, peak: 60 * ms, calm: 1, use: 0.92})
	}
}

// TestSightLost: the only target falls silent while limits hold, for good or for a
// while. No queue comes back.
func TestSightLost(t *testing.T) {
	for _, back := range []float64{20, 1000} {
		variants(t, most{p99: 25 * ms, peak: 60 * ms, use: 0.85}, func(w *world) {
			w.with(16, cubic)
			w.length = 60
			w.input = func(now float64, in *Input) {
				if now > 3 && now < back {
					in.Delay = Delay{}
				}
			}
		})
	}
}

// TestUnseenRival: where nothing answers and somebody else's queue makes every
// window worth less, limits are let go step by step.
func TestUnseenRival(t *testing.T) {
	w := lab(Rx).with(8, cubic).rival(cubic, 0, 5, 200)
	w.noDelay, w.length, w.calmFrom = true, 200, 150
	w.within(t, most{use: 0.1})
}

// TestBornLimited: a transfer has limits from its first step, whatever is known.
func TestBornLimited(t *testing.T) {
	for _, dir := range []Direction{Rx, Tx} {
		c := New(Settings{Direction: dir})
		out := c.Step(Input{Now: time.Second, RateKnown: true, Flows: []Flow{{ID: "a", Limitable: true, Floor: 2896, Remaining: -1}}})
		if l := out.Flows[0]; l.Window == 0 && l.Pacing == 0 {
			t.Errorf("%v: %+v", dir, l)
		}
	}
}
