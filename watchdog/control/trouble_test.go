package control

import (
	"fmt"
	"math"
	"testing"
)

// variants runs a scenario for both directions, with and without a shaper.
func variants(t *testing.T, m most, scenario func(w *world)) {
	eachVariant(t, func(t *testing.T, scene func() *world) {
		w := scene()
		w.within(t, m)
	}, scenario)
}

// usualVariants does so with several sequences of random numbers.
func usualVariants(t *testing.T, m most, scenario func(w *world)) {
	eachVariant(t, func(t *testing.T, scene func() *world) { usually(t, m, scene) }, scenario)
}

func eachVariant(t *testing.T, try func(t *testing.T, scene func() *world), scenario func(w *world)) {
	for _, dir := range []Direction{Rx, Tx} {
		for _, sh := range []bool{false, true} {
			t.Run(fmt.Sprintf("%v/shaper=%v", dir, sh), func(t *testing.T) {
				short(t, sh || dir == Tx)
				try(t, func() *world {
					w := lab(dir)
					w.shaper = sh
					scenario(w)
					return w
				})
			})
		}
	}
}

// rival adds traffic over the same bottleneck that is not rsync.
func (w *world) rival(kind sender, app, born, dies float64) *world {
	w.transfers = append(w.transfers, &transfer{id: "rival", kind: kind, theirs: true, rtt: w.rtt, app: app, born: born, dies: dies})
	return w
}

// TestRivalInelastic: 30 Mbit/s that do not give way come for 7 s. Rsync makes
// room, and takes it back.
func TestRivalInelastic(t *testing.T) {
	variants(t, most{p50: 6 * ms, p99: 90 * ms, use: 0.65}, func(w *world) {
		w.with(8, cubic).rival(constant, 30*mbit, 5, 12)
		w.length = 25
	})
}

// TestRivalElastic: a download fills the FIFO whatever rsync does. Rsync gives
// way, learns that it is of no use, and is not starved.
func TestRivalElastic(t *testing.T) {
	usualVariants(t, most{use: 0.15}, func(w *world) {
		w.with(8, cubic).rival(cubic, 0, 5, 40)
		w.length = 50
	})
}

// TestChurn: transfers of 4 to 20 MB come four times a second, more than the
// link can carry.
func TestChurn(t *testing.T) {
	variants(t, most{p50: 8 * ms, p99: 60 * ms, peak: 60 * ms, use: 0.75}, func(w *world) {
		for i := range 120 {
			w.transfers = append(w.transfers, &transfer{
				id: fmt.Sprint("c", i), kind: sender(i % 2), rtt: w.rtt, floor: 2896,
				born: 0.5 + float64(i)*0.25, size: 8e6 * (0.5 + float64(i*7919%100)/50),
			})
		}
		w.length = 30
	})
}

// TestBornIntoQueue: the last of 16 receivers take the queue that the first
// ones made for their path, so that their floors differ. The link is found to
// be full when most are at their floors and those are not.
func TestBornIntoQueue(t *testing.T) {
	w := lab(Rx).with(16, cubic)
	w.shaper = true
	for _, tr := range w.transfers[13:] {
		tr.shook = 17 * ms
	}
	shaped := 0.0
	w.each = func(now float64, o Output) {
		if shaped == 0 && o.Shaper > 0 {
			shaped = now
		}
	}
	w.within(t, most{p99: 6 * ms, use: 0.95})
	if shaped == 0 || shaped > 5 {
		t.Errorf("a shaper after %.1f s, want one within 5 s", shaped)
	}
}

// TestForeignQueue: 40 ms of somebody else's delay come and go. Rsync gives
// way, finds that it does not help, and takes its rate back.
func TestForeignQueue(t *testing.T) {
	variants(t, most{p99: 60 * ms, use: 0.65}, func(w *world) {
		seen := false
		w.with(8, cubic)
		w.foreign = func(now float64) float64 {
			if now > 8 && now < 30 {
				return 0.040 + 0.005*math.Sin(now*3)
			}
			return 0
		}
		w.each = func(now float64, o Output) {
			seen = seen || o.NotOurs
			if now > 29.8 && !seen {
				seen = true
				t.Error("nobody noticed that the queue is not ours")
			}
		}
		w.length = 50
	})
}

// TestRouteSteps: the path becomes 12 ms longer for good.
func TestRouteSteps(t *testing.T) {
	variants(t, most{p50: 8 * ms, p99: 30 * ms, use: 0.70}, func(w *world) {
		w.with(8, cubic)
		w.route = func(now float64) float64 {
			if now > 8 {
				return 0.012
			}
			return 0
		}
		w.length = 50
	})
}

// TestBothEnds: a Lifeline limits the same transfers at the other end.
func TestBothEnds(t *testing.T) {
	variants(t, most{p99: 15 * ms, peak: 60 * ms, calm: 3, use: 0.90}, func(w *world) {
		w.with(8, cubic)
		far := w.set
		far.Direction = Rx + Tx - w.set.Direction
		w.far = &far
		w.length = 30
	})
}

// TestCoarseProbes: one probe in half a second. Nothing fast can be done with
// that, but nothing bad either.
func TestCoarseProbes(t *testing.T) {
	variants(t, most{p99: 120 * ms, use: 0.35}, func(w *world) {
		w.with(16, cubic)
		w.probe.every = 0.5
	})
}

// TestJitter: the administrator sits behind a path with 4 ms of jitter, of
// which nothing was known when the transfers began.
func TestJitter(t *testing.T) {
	usualVariants(t, most{p99: 40 * ms, use: 0.45}, func(w *world) {
		w.rtt, w.noise = 0.03, 4*ms
		w.with(8, cubic)
		w.length, w.calmFrom = 50, 15
	})
}

// TestSpeedChanges: the link falls to 30 Mbit/s for 12 s and comes back.
func TestSpeedChanges(t *testing.T) {
	variants(t, most{p50: 6 * ms, use: 0.50}, func(w *world) {
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

// TestIdleApplications: what seven slow transfers leave, a greedy one gets.
func TestIdleApplications(t *testing.T) {
	variants(t, most{p99: 40 * ms, use: 0.80}, func(w *world) {
		for i := range 7 {
			w.transfers = append(w.transfers, &transfer{id: fmt.Sprint("a", i), rtt: w.rtt, floor: 2896, born: 0.5, app: float64(1+i) * mbit})
		}
		w.with(1, cubic)
		w.length, w.calmFrom = 40, 12
	})
}

// TestPinsAreForgotten: an operator holds every sender at a crawl for a while and
// lets it go. A crawl goes in bursts with long pauses, and what a transfer moves
// in one second of it says nothing of what it could: the whole budget must be
// given out again, and to each alike.
func TestPinsAreForgotten(t *testing.T) {
	w := lab(Tx).with(5, cubic)
	for _, x := range w.transfers {
		x.burst = 64 << 10
	}
	w.input = func(now float64, in *Input) {
		for i := range in.Flows {
			if now > 4 && now < 14 {
				in.Flows[i].Pinned = Pin{Rate: 2e4}
			}
		}
	}
	given, least := 0.0, math.Inf(1)
	w.each = func(now float64, o Output) {
		given, least = 0, math.Inf(1)
		for _, f := range o.Flows {
			given += f.Pacing * wire
			least = min(least, f.Pacing*wire)
		}
	}
	w.length, w.calmFrom = 30, 22
	w.run(t)
	if rate := w.ctl.c.law.rate; given < 0.9*rate || least < 0.1*rate {
		t.Errorf("of %.1f Mbit/s %.1f are given out, %.2f to one", rate/mbit, given/mbit, least/mbit)
	}
}
