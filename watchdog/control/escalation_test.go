package control

import (
	"testing"
	"time"
)

// TestShutOut: management cannot get in over a link that is busy with rsync.
// Everything is paused within seconds, and comes back one by one when it can.
func TestShutOut(t *testing.T) {
	b := newBench(Settings{Direction: Rx, Pause: true}, 8)
	b.load(100 * mbit)
	b.in.Delay.Queue = 100 * time.Millisecond
	b.run(5*time.Second, nil)
	b.in.Management, b.in.Delay.Known = Unreachable, false
	b.run(4*time.Second, nil)
	if b.out.Phase != PauseAll || b.paused() != 8 {
		t.Fatalf("phase %v, %d paused", b.out.Phase, b.paused())
	}
	b.in.Management, b.in.Delay.Known, b.in.Delay.Queue = Reachable, true, 0
	b.load(0)
	last, most := 8, 0
	b.run(3*time.Minute, func() {
		n := b.paused()
		most = max(most, last-n)
		last = n
	})
	if last != 0 || most > 1 {
		t.Errorf("%d still paused, up to %d came back at once", last, most)
	}
}

// TestShutOutFlaps: each time transfers come back management is lost again. The
// pauses become rarer.
func TestShutOutFlaps(t *testing.T) {
	b := newBench(Settings{Direction: Rx, Pause: true}, 8)
	changes, last := 0, 0
	b.run(time.Hour, func() {
		n := b.paused()
		if n != last {
			changes++
		}
		last = n
		b.in.Management, b.in.Delay.Queue = Reachable, 0
		b.load(100 * mbit * float64(8-n) / 8)
		if n < 6 {
			b.in.Management, b.in.Delay.Queue = Unreachable, 100*time.Millisecond
		}
	})
	t.Logf("%d changes in an hour", changes)
	if changes > 150 {
		t.Errorf("%d changes in an hour", changes)
	}
}

// TestDeadPath: pausing everything does not bring management back, so rsync was
// not the reason, and runs again.
func TestDeadPath(t *testing.T) {
	b := newBench(Settings{Direction: Tx, Pause: true}, 4)
	b.load(100 * mbit)
	b.run(3*time.Second, nil)
	b.in.Management, b.in.Delay.Known = Unreachable, false
	paused := time.Duration(0)
	b.run(time.Hour, func() {
		if b.paused() == 4 {
			paused += 100 * time.Millisecond
			b.load(0)
		} else {
			b.load(100 * mbit)
		}
	})
	t.Logf("paused for %v of an hour", paused)
	if paused < 30*time.Second || paused > 12*time.Minute {
		t.Errorf("paused for %v of an hour", paused)
	}
}

// TestInnocent: management is lost while rsync hardly does anything.
func TestInnocent(t *testing.T) {
	b := newBench(Settings{Direction: Rx, Pause: true}, 4)
	b.load(0.5 * mbit)
	b.in.Management, b.in.Delay.Known = Unreachable, false
	b.run(time.Minute, nil)
	if b.paused() > 0 {
		t.Errorf("%d paused for somebody else's fault", b.paused())
	}
}

// TestNoPausing: where pausing is not allowed nothing is paused.
func TestNoPausing(t *testing.T) {
	b := newBench(Settings{Direction: Rx, MaxRunning: 2}, 64)
	b.load(100 * mbit)
	b.in.Delay.Queue = 100 * time.Millisecond
	b.in.Management = Unreachable
	b.run(time.Minute, func() {
		if b.paused() > 0 {
			t.Fatal("paused, and may not be")
		}
	})
}
