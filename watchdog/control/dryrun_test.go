package control

import (
	"strings"
	"testing"
	"time"
)

// full is a dry run on a link that eight transfers keep full.
func full(dir Direction) *bench {
	b := newBench(Settings{Direction: dir, Pause: true, DryRun: true}, 8)
	b.in.Learnt = 0
	b.in.Shaper = true
	b.load(98 * mbit)
	b.in.Delay.Queue = 150 * time.Millisecond
	return b
}

// TestDryRunConcludesNothing: the delay stays for minutes whatever is said, because
// nothing is done. That is no evidence of anything: the queue is nobody else's by
// it, the floors were not tried, and no shaper that does not come is waited for.
func TestDryRunConcludesNothing(t *testing.T) {
	for _, dir := range []Direction{Rx, Tx} {
		b := full(dir)
		last := 0.0
		b.run(10*time.Minute, func() {
			if b.out.NotOurs || b.paused() > 0 || b.out.Phase != Watching || b.out.Moving {
				t.Fatalf("%v at %v: %+v", dir, b.in.Now, b.out)
			}
			if b.in.Now > 10*time.Second && (b.c.law.rate < 0.8*98*mbit || last > 0 && b.c.law.rate < 0.95*last) {
				t.Fatalf("%v at %v: a budget of %.1f Mbit/s by what was not done", dir, b.in.Now, b.c.law.rate/mbit)
			}
			last = b.c.law.rate
			for i := range b.in.Flows {
				b.in.Flows[i].Stopped = false
			}
		})
		if b.out.Shaper == 0 || !strings.HasPrefix(b.out.Why, "would limit the transfers to 9") {
			t.Errorf("%v: %+v", dir, b.out)
		}
	}
}

// TestDryRunWouldPause: it says what it would do while management is shut out, for
// as long as that lasts, and no longer.
func TestDryRunWouldPause(t *testing.T) {
	b := full(Rx)
	b.run(10*time.Second, nil)
	b.in.Management = Unreachable
	b.run(5*time.Second, nil)
	b.run(time.Hour, func() {
		if b.paused() != 8 || b.out.Phase != Watching || !strings.HasPrefix(b.out.Why, "would pause all") {
			t.Fatalf("at %v: %+v", b.in.Now, b.out)
		}
	})
	b.in.Management = Reachable
	b.run(time.Second, nil)
	if b.paused() != 0 {
		t.Errorf("management is back: %+v", b.out)
	}
}

// TestDryRunMostRunning: the same ones would be paused with every step, and what
// they use counts.
func TestDryRunMostRunning(t *testing.T) {
	b := newBench(Settings{Direction: Tx, Pause: true, DryRun: true, MaxRunning: 3}, 8)
	b.load(90 * mbit)
	var first Output
	b.run(2*time.Minute, func() {
		if first.Flows == nil {
			first = b.out
		}
		for i := range b.out.Flows {
			if b.out.Flows[i].Pause != first.Flows[i].Pause {
				t.Fatalf("at %v the schedule changed", b.in.Now)
			}
		}
	})
	if b.paused() != 5 {
		t.Errorf("%d would be paused, want 5", b.paused())
	}
}

// TestDryRunUnknown: where nothing tells of the link it says that limits would grow.
func TestDryRunUnknown(t *testing.T) {
	b := newBench(Settings{Direction: Rx, DryRun: true}, 2)
	b.in.Learnt = 0
	b.load(20 * mbit)
	b.run(5*time.Second, nil)
	if b.out.Phase != Watching || !strings.Contains(b.out.Why, "would") || b.out.Capacity != 0 {
		t.Errorf("%+v", b.out)
	}
	b.in.Delay = Delay{}
	b.run(10*time.Second, nil)
	if b.out.Phase != Blind {
		t.Errorf("phase %v without delay or capacity, want blind", b.out.Phase)
	}
}

// TestFewerSaysWhatIs: the delay is only said to stand while it is above the target.
func TestFewerSaysWhatIs(t *testing.T) {
	b := unreachable(6)
	b.run(20*time.Second, nil)
	if b.out.Phase != Fewer || !strings.Contains(b.out.Why, "still stands") {
		t.Fatalf("%+v", b.out)
	}
	b.in.Delay.Queue = 20 * time.Microsecond
	b.run(2*time.Second, nil)
	if b.out.Phase != Fewer || strings.Contains(b.out.Why, "still stands") {
		t.Errorf("at a delay of 20 us: %v, %s", b.out.Phase, b.out.Why)
	}
}
