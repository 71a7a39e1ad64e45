package control

import (
	"testing"
	"time"
)

// A clock that goes back stands still: what was measured gets no older, and no
// measurement is made of none.
func TestMeasuredGoesBackWithTheClock(t *testing.T) {
	c := New(Settings{})
	c.Step(Input{Now: 10 * time.Second})
	c.Step(Input{Now: 5 * time.Second})
	if k := &c.model.capacity; k.measured != 0 || k.measuredLately(c.clock.now) {
		t.Errorf("never measured, and then at %g s", k.measured)
	}
	c.model.capacity.measured = 7
	for _, now := range []time.Duration{4, 6, 1} { // 2 s in all
		c.Step(Input{Now: now * time.Second})
	}
	if age := c.clock.now - c.model.capacity.measured; age != 5 {
		t.Errorf("measured %g s ago, want 5", age)
	}
}

// TestBestCapacity: what was seen in a standing queue stands above what was learnt
// earlier, and what is configured above all.
func TestBestCapacity(t *testing.T) {
	for name, c := range map[string]struct {
		capacity         capacity
		best, remembered float64
		trusted          bool
	}{
		"nothing":                {capacity{}, 0, 0, false},
		"a NIC's speed":          {capacity{prior: prior{configured: 100}}, 100, 0, false},
		"configured":             {capacity{prior: prior{configured: 100, certain: true}}, 100, 0, true},
		"learnt":                 {capacity{prior: prior{configured: 100, learnt: 40}}, 40, 40, true},
		"learnt, and more seen":  {capacity{prior{configured: 100, learnt: 40}, capacityEstimate{seen: 60}}, 60, 60, true},
		"full below what learnt": {capacity{prior{configured: 100, learnt: 40}, capacityEstimate{seen: 30, full: true}}, 30, 30, true},
		"full above configured":  {capacity{prior{configured: 100, certain: true}, capacityEstimate{seen: 130, full: true}}, 100, 100, true},
	} {
		k := c.capacity
		if best, remembered, trusted := k.best(), k.remembered(), k.trusted(); best != c.best || remembered != c.remembered || trusted != c.trusted {
			t.Errorf("%s: %g, %g, %v; want %g, %g, %v", name, best, remembered, trusted, c.best, c.remembered, c.trusted)
		}
	}
}
