package control

import (
	"testing"
	"time"
)

// TestRegain: a top that was met while little was sent is left as soon as the link is
// seen to bear more, and not by the seconds that a cubic takes.
func TestRegain(t *testing.T) {
	b := newBench(Settings{Direction: Rx}, 8)
	b.in.Shaper, b.in.ShaperOn = true, true
	b.load(95 * mbit)
	b.in.Delay.Queue = 12 * time.Millisecond // full: limits are engaged
	b.run(2*time.Second, nil)
	b.in.Delay.Queue = 0
	b.run(10*time.Second, func() { b.load(min(95*mbit, b.c.law.rate)) })
	c := b.c
	if !c.law.shaper.stands {
		t.Fatalf("no shaper stands: %+v", b.out)
	}
	c.model.capacity.seen, c.model.capacity.full, c.model.capacity.most = 95*mbit, true, 95*mbit
	c.law.top, c.law.rate, c.law.cruise.met, c.law.cruise.age, c.law.mode = 7*mbit, 7*mbit, true, 0, cruising
	b.run(2*time.Second, func() { b.load(min(95*mbit, c.law.rate)) })
	if c.law.rate < 80*mbit {
		t.Errorf("%.1f of 95 Mbit/s after two seconds without a queue", c.law.rate/mbit)
	}
}

// TestLateSteps: a daemon that could not run for a second knows of a queue, and of a
// rate that is mostly of the time before it: that is no capacity.
func TestLateSteps(t *testing.T) {
	b := newBench(Settings{Direction: Rx}, 8)
	b.in.Learnt, b.in.Shaper = 0, true
	b.load(4 * mbit)
	b.run(2*time.Second, nil)
	b.in.Delay.Queue = 40 * time.Millisecond
	for range 5 {
		b.in.Now += time.Second
		b.out = b.c.Step(b.in)
	}
	if b.out.Capacity > 0 {
		t.Errorf("capacity %.1f Mbit/s by steps of a second", b.out.Capacity/mbit)
	}
}
