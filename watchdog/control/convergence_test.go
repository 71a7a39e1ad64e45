package control

import (
	"fmt"
	"testing"
)

// short skips a long run under the race detector.
func short(t *testing.T, long bool) {
	if racing && long {
		t.Skip("a long run of code without goroutines: not under the race detector")
	}
}

// TestConvergence is the incident, for 1 to 256 transfers that begin at once on
// a link of which nothing is known: 100 Mbit/s, a 2 MB FIFO, RTT 0.2 ms. The
// first 20 ms of each transfer go unlimited, as they do in life; what 64 of
// them send by then is not the controller's to prevent.
func TestConvergence(t *testing.T) {
	for _, dir := range []Direction{Rx, Tx} {
		for _, kind := range []sender{cubic, bbr} {
			for _, shaper := range []bool{false, true} {
				for _, n := range []int{1, 4, 16, 64, 256} {
					t.Run(fmt.Sprintf("%v/%v/shaper=%v/%d", dir, kind, shaper, n), func(t *testing.T) {
						short(t, n > 16 || shaper)
						w := lab(dir).with(n, kind)
						w.shaper = shaper
						m := most{p99: 15 * ms, peak: 60 * ms, calm: 3, use: 0.92}
						if n > 16 {
							m = most{p50: 6 * ms, p99: 70 * ms, use: 0.75}
							w.length = 14
						}
						w.within(t, m)
					})
				}
			}
		}
	}
}

// TestLinks is eight transfers over links from 10 Mbit/s to 25 Gbit/s and paths
// from 0.2 to 200 ms, with a FIFO of 150 ms. On the long and fast ones cubic
// itself takes minutes to fill the link, whether it is limited or not.
func TestLinks(t *testing.T) {
	for _, dir := range []Direction{Rx, Tx} {
		for _, c := range []float64{10 * mbit, 100 * mbit, gbit, 10 * gbit, 25 * gbit} {
			for _, rtt := range []float64{0.2 * ms, 10 * ms, 50 * ms, 200 * ms} {
				t.Run(fmt.Sprintf("%v/%gM/%gms", dir, c/mbit, rtt/ms), func(t *testing.T) {
					short(t, rtt != 10*ms)
					w := lab(dir)
					w.capacity, w.rtt, w.buffer = c, rtt, c*0.15
					w.length, w.calmFrom = 30, 18
					m := most{p50: 7 * ms, p99: 10*ms + rtt/2 + 15*ms, use: 0.85}
					if c*rtt > 5e6 {
						m.use = 0.3
					}
					w.with(8, cubic).within(t, m)
				})
			}
		}
	}
}

// TestShapedLinks is the same with a shaper, where one may be used.
func TestShapedLinks(t *testing.T) {
	for _, dir := range []Direction{Rx, Tx} {
		for _, c := range []float64{10 * mbit, gbit} {
			for _, rtt := range []float64{0.2 * ms, 10 * ms, 50 * ms} {
				t.Run(fmt.Sprintf("%v/%gM/%gms", dir, c/mbit, rtt/ms), func(t *testing.T) {
					w := lab(dir)
					w.capacity, w.rtt, w.buffer, w.shaper = c, rtt, c*0.15, true
					w.length, w.calmFrom = 30, 15
					w.with(8, bbr).within(t, most{p50: 7 * ms, p99: 25 * ms, use: 0.88})
				})
			}
		}
	}
}

// TestKnownLink begins at nearly full speed on a link that was learnt earlier.
func TestKnownLink(t *testing.T) {
	usualVariants(t, most{p99: 15 * ms, peak: 60 * ms, calm: 1, use: 0.93}, func(w *world) {
		w.with(16, cubic)
		w.learnt, w.calmFrom = 100*mbit, 1.5
	})
}

// TestConfiguredLink never goes beyond what the operator said.
func TestConfiguredLink(t *testing.T) {
	variants(t, most{p99: 5 * ms, peak: 60 * ms, calm: 1, use: 0.40}, func(w *world) {
		w.with(8, cubic)
		w.known = 50 * mbit
		w.each = func(now float64, o Output) {
			total := 0.0
			for _, l := range o.Flows {
				total += l.Pacing
			}
			if o.Capacity > 50*mbit || total > 50*mbit || o.Shaper > 50*mbit {
				t.Errorf("at %.2f s: capacity %.3g, pacing %.3g, shaper %.3g bytes/s", now, o.Capacity, total, o.Shaper)
			}
		}
	})
}

// TestLateStart starts the controller late, over transfers that have
// filled the link for ten seconds.
func TestLateStart(t *testing.T) {
	variants(t, most{p99: 15 * ms, use: 0.85}, func(w *world) {
		w.with(8, cubic)
		w.asleep, w.length, w.calmFrom = 10, 25, 16
	})
}

// TestShaperAlone has no windows beside the shaper, as an operator may choose.
// Incoming, that costs a third of the link: senders feel such a shaper only when
// they react.
func TestShaperAlone(t *testing.T) {
	for _, dir := range []Direction{Rx, Tx} {
		for _, rtt := range []float64{0.2 * ms, 50 * ms} {
			t.Run(fmt.Sprintf("%v/%gms", dir, rtt/ms), func(t *testing.T) {
				w := lab(dir)
				w.rtt, w.shaper, w.set.ShaperOnly = rtt, true, true
				w.length, w.calmFrom = 40, 20
				bare := 0
				w.each = func(_ float64, o Output) {
					for _, l := range o.Flows {
						if l.Shape && l.Window == 0 && l.Pacing == 0 {
							bare++
						}
					}
				}
				m := most{p50: 10 * ms, p99: 40 * ms, use: 0.9}
				if dir == Rx {
					m.use = 0.6
				}
				w.with(8, cubic).within(t, m)
				if bare == 0 {
					t.Error("the shaper never stood alone")
				}
			})
		}
	}
}
