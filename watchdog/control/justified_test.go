package control

import "testing"

// Limits that a link needs show it: whoever holds it looks for what it bears
// again and again, and meets a queue of a millisecond at least twice in a
// minute. What shows none for many minutes is held for nothing, and the engine
// begins anew.
func TestHoldsShowTheirNeed(t *testing.T) {
	short(t, true)
	for _, dir := range []Direction{Rx, Tx} {
		for _, rtt := range []float64{4 * ms, 40 * ms} {
			w := lab(dir)
			w.rtt, w.shaper, w.length = rtt, true, 180
			last, longest, engaged := 10.0, 0.0, false
			w.each = func(_ float64, o Output) { engaged = o.Phase == Engaged }
			w.input = func(now float64, in *Input) {
				if !engaged || seconds(in.Delay.Queue) >= 1*ms {
					last = max(now, last)
				}
				longest = max(longest, now-last)
			}
			w.with(8, cubic).run(t)
			if longest > 45 {
				t.Errorf("%v, RTT %.0f ms: no sign of need for %.0f s", dir, rtt/ms, longest)
			}
		}
	}
}
