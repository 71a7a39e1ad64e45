package control

import (
	"fmt"
	"math"
	"testing"
)

// variants runs a scenario for both directions, with and without a shaper.
func variants(t *testing.T, scenario func(w *world)) {
	for _, dir := range []Direction{Rx, Tx} {
		for _, sh := range []bool{false, true} {
			t.Run(fmt.Sprintf("%v/shaper=%v", dir, sh), func(t *testing.T) {
				w := lab(dir)
				w.shaper = sh
				scenario(w)
				w.run(t)
			})
		}
	}
}

func (w *world) rival(kind sender, app, born, dies float64) *world {
	w.transfers = append(w.transfers, &transfer{id: "rival", kind: kind, theirs: true, rtt: w.rtt, app: app, born: born, dies: dies})
	return w
}

func TestRivalInelastic(t *testing.T) {
	variants(t, func(w *world) {
		w.with(8, cubic).rival(constant, 30*mbit, 5, 12)
		w.length = 25
	})
}

func TestRivalElastic(t *testing.T) {
	variants(t, func(w *world) {
		w.with(8, cubic).rival(cubic, 0, 5, 40)
		w.length = 60
	})
}

func TestChurn(t *testing.T) {
	variants(t, func(w *world) {
		for i := range 120 {
			w.transfers = append(w.transfers, &transfer{id: fmt.Sprint("c", i), kind: sender(i % 2), rtt: w.rtt, floor: 2896, born: 0.5 + float64(i)*0.25, size: 8e6 * (0.5 + float64(i*7919%100)/50)})
		}
		w.length = 30
	})
}

func TestForeignQueue(t *testing.T) {
	variants(t, func(w *world) {
		w.with(8, cubic)
		w.foreign = func(now float64) float64 {
			if now > 8 && now < 30 {
				return 0.040 + 0.005*math.Sin(now*3)
			}
			return 0
		}
		w.length = 60
	})
}

func TestRouteSteps(t *testing.T) {
	variants(t, func(w *world) {
		w.with(8, cubic)
		w.route = func(now float64) float64 {
			if now > 8 {
				return 0.012
			}
			return 0
		}
		w.length = 60
	})
}

func TestBothEnds(t *testing.T) {
	variants(t, func(w *world) {
		w.with(8, cubic)
		far := w.set
		far.Direction = Rx + Tx - w.set.Direction
		w.far = &far
		w.length = 30
	})
}

func TestCoarseProbes(t *testing.T) {
	variants(t, func(w *world) {
		w.with(16, cubic)
		w.probe.every = 0.5
	})
}

var jitterIdle = 0.0

func TestJitter(t *testing.T) {
	variants(t, func(w *world) {
		w.rtt, w.noise = 0.03, 4*ms
		w.with(8, cubic)
		for _, t := range w.transfers {
			t.born += jitterIdle
		}
		w.length, w.calmFrom = 50, 15
	})
}

func TestSpeedChanges(t *testing.T) {
	variants(t, func(w *world) {
		w.with(8, cubic)
		w.speed = func(now float64) float64 {
			if now > 8 && now < 20 {
				return 30 * mbit
			}
			return 100 * mbit
		}
		w.length = 35
	})
}

func TestIdleApplications(t *testing.T) {
	variants(t, func(w *world) {
		for i := range 8 {
			w.transfers = append(w.transfers, &transfer{id: fmt.Sprint("a", i), rtt: w.rtt, floor: 2896, born: 0.5, app: float64(i) * mbit})
		}
		w.with(1, cubic)
		w.length = 30
	})
}
