package control

import "testing"

// TestHours: nothing flaps. Transfers that have the link to themselves for
// ten minutes see hardly any change of phase and no pause, and 64 receivers
// at the floor of their windows, of which only some may run, change at the pace
// of their turns.
func TestHours(t *testing.T) {
	short(t, true)
	for _, dir := range []Direction{Rx, Tx} {
		for _, shaper := range []bool{false, true} {
			w := lab(dir)
			w.rtt, w.shaper, w.length = 4*ms, shaper, 600
			r := w.with(4, cubic).within(t, most{p99: 15 * ms, use: 0.93})
			t.Logf("%v, shaper %v: %d pauses and %d changes of phase an hour", dir, shaper, 6*r.pauses, 6*r.phases)
			if r.pauses > 0 || 6*r.phases > 60 {
				t.Errorf("%v, shaper %v: %d pauses, %d changes of phase in 10 min", dir, shaper, r.pauses, r.phases)
			}
		}
	}
	w := lab(Rx)
	w.rtt, w.length = 2*ms, 300
	r := w.with(64, cubic).within(t, most{p50: 8 * ms, p99: 20 * ms, use: 0.93})
	t.Logf("64 receivers: %d pauses and resumes an hour, least share %.2f", 12*r.pauses, r.minShare)
	if 12*r.pauses > 2500 || r.minShare < 0.05 {
		t.Errorf("%d pauses and resumes in 5 min, least share %.2f", r.pauses, r.minShare)
	}
}
