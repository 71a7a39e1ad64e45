package control

import (
	"fmt"
	"testing"
	"time"
)

// bench steps a controller with made-up inputs, where no link is needed to see
// what it decides.
type bench struct {
	c   *Controller
	in  Input
	out Output
}

func newBench(set Settings, flows int) *bench {
	b := &bench{c: New(set)}
	b.in = Input{
		RateKnown: true, Management: Reachable, Learnt: 100 * mbit,
		Delay: Delay{Known: true, Base: 200 * time.Microsecond, Lag: 50 * time.Millisecond},
	}
	for i := range flows {
		b.in.Flows = append(b.in.Flows, Flow{
			ID: fmt.Sprint("f", i), Remaining: -1, Age: time.Duration(i) * time.Second, Floor: 2896,
			MinRTT: 200 * time.Microsecond, Limitable: true, Pausable: true,
		})
	}
	return b
}

// run steps for so long, a tenth of a second at a time. The transfers move
// at the rates that were set, unless they are paused.
func (b *bench) run(d time.Duration, each func()) {
	for end := b.in.Now + d; b.in.Now < end; b.in.Now += 100 * time.Millisecond {
		b.out = b.c.Step(b.in)
		for i := range b.in.Flows {
			b.in.Flows[i].Stopped = b.out.Flows[i].Pause
		}
		if each != nil {
			each()
		}
	}
}

// load sets the rates: of the link, and equal parts of it for the transfers.
func (b *bench) load(rate float64) {
	b.in.Rate = rate
	for i := range b.in.Flows {
		b.in.Flows[i].Rate = rate / wire / float64(len(b.in.Flows))
	}
}

func (b *bench) paused() (n int) {
	for _, l := range b.out.Flows {
		if l.Pause {
			n++
		}
	}
	return n
}

// TestOff: a direction that is switched off is left alone, but for the
// operator's own wishes.
func TestOff(t *testing.T) {
	b := newBench(Settings{Direction: Tx, Off: true, MaxRunning: 1, Pause: true}, 3)
	b.in.Flows[1].Pinned = Pin{Rate: 1e6}
	b.in.Flows[2].Pinned = Pin{Pause: true}
	b.load(100 * mbit)
	b.in.Delay.Queue = 200 * time.Millisecond
	b.in.Management = Unreachable
	b.run(10*time.Second, nil)
	want := []FlowLimit{{ID: "f0"}, {ID: "f1", Pacing: 1e6}, {ID: "f2", Pause: true}}
	for i, l := range b.out.Flows {
		if l != want[i] {
			t.Errorf("%+v, want %+v", l, want[i])
		}
	}
	if b.out.Phase != Free {
		t.Errorf("phase %v, want free", b.out.Phase)
	}
}

// TestBlind: a delay that is lost while limits hold is no reason to let go. What
// passes is the evidence then: limits are let go step by step while more passes
// with every step, and held where it does not.
func TestBlind(t *testing.T) {
	b := newBench(Settings{Direction: Tx, Pause: true}, 4)
	b.in.Learnt = 0
	b.load(20 * mbit)
	b.run(5*time.Second, nil)
	b.in.Delay = Delay{}
	b.run(3*time.Second, nil)
	if b.out.Phase == Blind {
		t.Error("blind after three seconds of silence")
	}
	most := 0.0
	b.run(2*time.Minute, func() { most = max(most, b.out.Flows[0].Pacing) })
	if held := b.out.Flows[0].Pacing; b.out.Phase != Blind || held == 0 || 4*most > 2*20*mbit {
		t.Errorf("phase %v, pacing %.0f, at most %.0f while 20 Mbit/s pass, want blind and little more than what passes", b.out.Phase, held, most)
	}
	b.run(5*time.Minute, func() { b.load(0.95 * wire * 4 * b.out.Flows[0].Pacing) }) // the link bears it
	if held := 4 * b.out.Flows[0].Pacing; held < 100*mbit {
		t.Errorf("pacing %.0f bytes/s in all although everything passed", held)
	}
	b.in.Management = Unreachable
	b.run(10*time.Second, nil)
	if b.out.Phase == PauseAll {
		t.Error("everything is paused although nothing says that rsync is why management is silent")
	}
	b.in.Management = Reachable
	b.run(10*time.Second, nil)
	b.load(3 * b.in.Rate)
	b.run(time.Second, nil)
	b.in.Management = Unreachable
	b.run(10*time.Second, nil)
	if b.out.Phase != PauseAll {
		t.Errorf("phase %v while management is silent since rsync's rate rose, want pause-all", b.out.Phase)
	}
}

// TestGap: after a suspend the rates mean nothing, and the limits stay.
func TestGap(t *testing.T) {
	b := newBench(Settings{Direction: Tx}, 4)
	b.load(90 * mbit)
	b.run(5*time.Second, nil)
	before := b.out.Flows[0].Pacing
	b.in.Now += time.Hour
	b.in.Gap, b.in.Rate, b.in.Delay.Queue = true, 1e12, time.Second
	out := b.c.Step(b.in)
	if after := out.Flows[0].Pacing; after < 0.9*before || after > 1.1*before {
		t.Errorf("pacing %.0f before a gap, %.0f after", before, after)
	}
}

// TestTrickle: the delay of a link is told to both directions. The one that
// only carries a little is not cut for the other's queue.
func TestTrickle(t *testing.T) {
	for _, dir := range []Direction{Rx, Tx} {
		b := newBench(Settings{Direction: dir, Pause: true}, 2)
		b.load(5 * mbit)
		b.in.Other = 100 * mbit
		b.run(3*time.Second, nil)
		b.in.Delay.Queue = 100 * time.Millisecond
		least := 1e18
		b.run(2*time.Second, func() { least = min(least, b.c.law.rate) })
		if least < 20*mbit || b.paused() > 0 {
			t.Errorf("%v: a trickle of 5 Mbit/s was cut to %.1f Mbit/s, %d paused", dir, least/mbit, b.paused())
		}
	}
}

// TestSmallFirst: less remaining gets more, and nobody nothing.
func TestSmallFirst(t *testing.T) {
	b := newBench(Settings{Direction: Tx, Share: ShareSmallFirst}, 5)
	for i := range b.in.Flows {
		b.in.Flows[i].Remaining = 1 << (20 + 3*i)
	}
	b.load(90 * mbit)
	b.run(time.Second, nil)
	for i := 1; i < len(b.out.Flows); i++ {
		if b.out.Flows[i].Pacing > b.out.Flows[i-1].Pacing {
			t.Errorf("share %d is larger than share %d", i, i-1)
		}
	}
	first, last := b.out.Flows[0].Pacing, b.out.Flows[4].Pacing
	if first < 4*last || last < first/20 {
		t.Errorf("the smallest has %.0f, the largest %.0f bytes/s", first, last)
	}
}

// TestPins: an operator's wish holds in every state, and the others share the rest.
func TestPins(t *testing.T) {
	b := newBench(Settings{Direction: Tx, Pause: true}, 4)
	b.in.Flows[0].Pinned = Pin{Rate: 3 * mbit}
	b.in.Flows[1].Pinned = Pin{Pause: true}
	b.load(80 * mbit)
	b.run(20*time.Second, func() {
		if b.out.Flows[0].Pacing != 3*mbit || !b.out.Flows[1].Pause {
			t.Fatalf("at %v: %+v", b.in.Now, b.out.Flows[:2])
		}
		if b.in.Now > 10*time.Second {
			b.in.Delay.Queue = 50 * time.Millisecond
		}
	})
}

// unreachable is a link that is full of transfers that cannot be limited.
func unreachable(n int) *bench {
	b := newBench(Settings{Direction: Rx, Pause: true}, n)
	for i := range b.in.Flows {
		b.in.Flows[i].Limitable = false
	}
	b.load(100 * mbit)
	b.in.Delay.Queue = 80 * time.Millisecond
	return b
}

// TestUnlimitable: a transfer that cannot be limited is not, and where none can
// be, fewer run.
func TestUnlimitable(t *testing.T) {
	b := unreachable(6)
	b.run(20*time.Second, nil)
	if b.out.Phase != Fewer || b.paused() == 0 || b.out.Flows[0].Window != 0 {
		t.Errorf("phase %v, %d paused, window %d", b.out.Phase, b.paused(), b.out.Flows[0].Window)
	}
}
