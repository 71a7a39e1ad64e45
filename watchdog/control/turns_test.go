package control

import (
	"testing"
	"time"
)

// TestTurns: of twelve transfers four may run. Each gets its turn, none is
// stopped for a moment only, and never do more than four run.
func TestTurns(t *testing.T) {
	b := newBench(Settings{Direction: Tx, Pause: true, MaxRunning: 4}, 12)
	b.load(50 * mbit)
	ran := make([]time.Duration, 12)
	changes, before := 0, make([]bool, 12)
	b.run(20*time.Minute, func() {
		if n := 12 - b.paused(); n > 4 {
			t.Fatalf("%d run at %v", n, b.in.Now)
		}
		for i, l := range b.out.Flows {
			if !l.Pause {
				ran[i] += 100 * time.Millisecond
			}
			if l.Pause && (b.out.Phase == Fewer || b.out.Phase == PauseAll) {
				t.Fatalf("%s is paused by need, and there is none", l.ID)
			}
			if l.Pause != before[i] {
				before[i] = l.Pause
				changes++
			}
		}
	})
	least, longest := ran[0], ran[0]
	for _, d := range ran {
		least, longest = min(least, d), max(longest, d)
	}
	t.Logf("of 20 min each ran for %v to %v, %d changes an hour", least, longest, 3*changes)
	if least < 4*time.Minute || longest > 10*time.Minute {
		t.Errorf("turns are not fair: %v to %v", least, longest)
	}
	if 3*changes > 1500 {
		t.Errorf("%d changes an hour", 3*changes)
	}
}

// TestTurnsEnd: when a running transfer ends, a waiting one takes its place.
func TestTurnsEnd(t *testing.T) {
	b := newBench(Settings{Direction: Rx, Pause: true, MaxRunning: 2}, 4)
	b.load(50 * mbit)
	b.run(3*time.Second, nil)
	for i, l := range b.out.Flows {
		if !l.Pause {
			b.in.Flows = append(b.in.Flows[:i:i], b.in.Flows[i+1:]...)
			break
		}
	}
	b.run(time.Second, nil)
	if n := len(b.in.Flows) - b.paused(); n != 2 {
		t.Errorf("%d run a second after one of two ended, want 2", n)
	}
}

// TestTurnsUnpausable: what may not be stopped runs beyond the cap.
func TestTurnsUnpausable(t *testing.T) {
	b := newBench(Settings{Direction: Tx, Pause: true, MaxRunning: 1}, 3)
	b.in.Flows[0].Pausable, b.in.Flows[1].Pausable = false, false
	b.load(10 * mbit)
	b.run(5*time.Second, nil)
	if b.out.Flows[0].Pause || b.out.Flows[1].Pause || !b.out.Flows[2].Pause {
		t.Errorf("%+v", b.out.Flows)
	}
}
