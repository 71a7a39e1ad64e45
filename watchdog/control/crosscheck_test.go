package control

import (
	"fmt"
	"testing"
)

// liar makes a target of w tell a delay that is late seconds longer while more than
// 5 Mbit/s pass, although no queue stands. It is believed until it is contradicted;
// then what is left is another target, or none.
func liar(w *world, late float64, other bool) (contradicted func() float64) {
	const lag = 0.2 // s, of the median that is told
	at, bytes, above, told, since := 0.0, 0.0, false, false, 0.0
	w.each = func(now float64, o Output) {
		if since == 0 && o.Contradicted {
			since = now
		}
	}
	w.input = func(now float64, in *Input) {
		if now-at >= lag {
			told, above = above, (w.ctl.passed-bytes)/(now-at) > 5*mbit
			at, bytes = now, w.ctl.passed
		}
		if since > 0 {
			in.Learnt = 0
		}
		switch {
		case since == 0 && told:
			in.Delay.Queue += span2(late)
		case since > 0 && !other:
			in.Delay = w.passive(in.Flows)
		}
	}
	return func() float64 { return since }
}

// passive is what the transfers' own TCP shows, where that is known.
func (w *world) passive(flows []Flow) Delay {
	if w.set.Direction == Rx || len(flows) == 0 || w.ctl.shaped > 0 {
		return Delay{}
	}
	var queues []float64
	for _, f := range flows {
		queues = append(queues, seconds(f.RTT-f.MinRTT))
	}
	return Delay{Known: true, Passive: true, Queue: span2(median(queues)), Base: span2(w.rtt)}
}

// TestLiar: a target is late whenever more than 5 Mbit/s pass, although the link
// bears 100 and no transfer meets a queue. That costs 10 s of goodput at the most.
// Receivers behind a shaper take longer to tell on a long path, where the least
// windows make about 5 Mbit/s.
func TestLiar(t *testing.T) {
	for _, rtt := range []float64{0.2 * ms, 30 * ms} {
		for _, late := range []float64{20 * ms, 100 * ms, 500 * ms} {
			for _, other := range []bool{true, false} {
				t.Run(fmt.Sprintf("rtt=%v/late=%v/other=%v", rtt, late, other), func(t *testing.T) {
					eachVariant(t, func(t *testing.T, scene func() *world) { costsLittle(t, late, other, scene) },
						func(w *world) {
							w.rtt, w.length, w.calmFrom = rtt, 60, 0
							w.with(8, cubic)
						})
				})
			}
		}
	}
}

// costsLittle compares a scene with a liar in it with the same one without.
func costsLittle(t *testing.T, late float64, other bool, scene func() *world) {
	honest := scene().run(t)
	w := scene()
	contradicted := liar(w, late, other)
	r := w.run(t)
	most := 10.0
	if w.set.Direction == Rx && w.shaper && w.rtt > shortPath {
		most = 15
	}
	if lost := (honest.use - r.use) * w.length; lost > most {
		t.Errorf("%.1f s of goodput lost, contradicted at %.1f s", lost, contradicted())
	}
}

// TestHonestTargetIsNotContradicted: the queue that it tells of is the bottleneck's, which the
// transfers meet as well; also where they began in it, so that their least RTTs hold it.
func TestHonestTargetIsNotContradicted(t *testing.T) {
	for _, asleep := range []float64{0, 5} {
		for _, rtt := range []float64{0.2 * ms, 30 * ms} {
			variants(t, most{use: 0.6}, func(w *world) {
				w.rtt, w.asleep, w.length, w.calmFrom = rtt, asleep, 40, 10
				w.with(8, cubic)
				for _, x := range w.transfers {
					x.shook = asleep * 20 * ms
				}
				w.each = func(now float64, o Output) {
					if o.Contradicted {
						t.Errorf("contradicted at %.1f s", now)
					}
				}
			})
		}
	}
}
