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
