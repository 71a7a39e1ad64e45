package control

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// wild makes an Input of which only the flows' promises are kept: any number,
// any time, any nonsense.
func wild(rng *rand.Rand, now time.Duration) Input {
	number := func() float64 {
		switch rng.IntN(12) {
		case 0:
			return math.NaN()
		case 1:
			return math.Inf(1 - 2*rng.IntN(2))
		case 2:
			return -rng.Float64() * 1e9
		case 3:
			return 0
		case 4:
			return math.MaxFloat64
		}
		return math.Pow(10, rng.Float64()*11)
	}
	span := func() time.Duration {
		switch rng.IntN(8) {
		case 0:
			return time.Duration(rng.Int64())
		case 1:
			return -time.Duration(rng.Int64N(1e12))
		case 2:
			return 0
		}
		return time.Duration(math.Pow(10, rng.Float64()*10))
	}
	coin := func() bool { return rng.IntN(2) == 0 }
	in := Input{
		Now: now, Gap: rng.IntN(20) == 0, Rate: number(), RateKnown: coin(), Other: number(), Capacity: number(),
		Configured: coin(), Learnt: number(), Drops: number(), Management: Reach(rng.IntN(4)), Shaper: coin(), ShaperOn: coin(),
		Delay: Delay{Queue: span(), Base: span(), Known: coin(), Passive: coin(), Recent: span(), RecentKnown: coin(), Lag: span()},
	}
	for range rng.IntN(12) {
		in.Flows = append(in.Flows, Flow{
			ID: fmt.Sprint(rng.IntN(16)), Rate: number(), Remaining: rng.Int64() - rng.Int64(), Age: span(),
			Floor: int64(rng.IntN(1 << 17)), RTT: span(), MinRTT: span(), Limitable: coin(), Pausable: coin(),
			Shaped: coin(), Stopped: coin(), Pinned: Pin{Pause: rng.IntN(8) == 0, Rate: number() * float64(rng.IntN(2))},
		})
	}
	return in
}

// check holds whatever the input was.
func check(t *testing.T, set Settings, in Input, out Output) {
	t.Helper()
	if len(out.Flows) != len(in.Flows) {
		t.Fatalf("%d limits for %d flows", len(out.Flows), len(in.Flows))
	}
	for _, x := range []float64{out.Shaper, out.Capacity} {
		if !finite(x) || x < 0 {
			t.Fatalf("output %v: %+v", x, out)
		}
	}
	if out.Tick < 10*time.Millisecond || out.Tick > time.Second {
		t.Fatalf("tick %v", out.Tick)
	}
	for i, l := range out.Flows {
		f := in.Flows[i]
		switch {
		case l.ID != f.ID:
			t.Fatalf("limit %d is for %q, want %q", i, l.ID, f.ID)
		case !finite(l.Pacing) || l.Pacing < 0 || l.Window < 0:
			t.Fatalf("impossible limit %+v", l)
		case l.Window > 0 && l.Window < f.Floor:
			t.Fatalf("window %d below the floor %d", l.Window, f.Floor)
		case l.Pause && !f.Pausable:
			t.Fatalf("paused, and may not be: %+v", f)
		case !f.Limitable && (l.Window > 0 || l.Pacing > 0 || l.Shape):
			t.Fatalf("limited, and cannot be: %+v", l)
		case f.Pinned.Pause && f.Pausable && !l.Pause:
			t.Fatalf("an operator's pause was not kept")
		case set.Direction == Rx && l.Pacing > 0, set.Direction == Tx && l.Window > 0:
			t.Fatalf("limit of the wrong direction %+v", l)
		}
	}
}

// TestAnyInput feeds nonsense for a while: nothing may break, and afterwards a
// sane link must be steered as if nothing had been.
func TestAnyInput(t *testing.T) {
	for seed := range uint64(100) {
		rng := rand.New(rand.NewPCG(seed, 7))
		set := Settings{
			Direction: Direction(rng.IntN(2)), Pause: rng.IntN(2) == 0, MaxRunning: rng.IntN(6), Off: rng.IntN(10) == 0,
			NoShaper: rng.IntN(2) == 0, ShaperOnly: rng.IntN(2) == 0, Share: ShareEqual,
		}
		if rng.IntN(2) == 0 {
			set.Share = ShareSmallFirst
		}
		c := New(set)
		now := time.Duration(0)
		for range 200 {
			now += time.Duration(rng.Int64N(int64(2 * time.Second)))
			if rng.IntN(30) == 0 {
				now -= time.Duration(rng.Int64N(int64(time.Hour)))
			}
			in := wild(rng, now)
			check(t, set, in, c.Step(in))
		}
	}
}

func FuzzStep(f *testing.F) {
	f.Add(uint64(1), int64(1e8))
	f.Fuzz(func(t *testing.T, seed uint64, step int64) {
		rng := rand.New(rand.NewPCG(seed, 9))
		set := Settings{Direction: Direction(seed % 2), Pause: seed%3 == 0, MaxRunning: int(seed % 5)}
		c := New(set)
		for i := range int64(40) {
			in := wild(rng, time.Duration(i*step))
			check(t, set, in, c.Step(in))
		}
	})
}

func BenchmarkStep256(b *testing.B) {
	c := New(Settings{Direction: Tx, Pause: true})
	in := Input{RateKnown: true, Rate: 12e6, Delay: Delay{Known: true, Base: time.Millisecond}}
	for i := range 256 {
		in.Flows = append(in.Flows, Flow{ID: fmt.Sprint(i), Rate: 40e3, Remaining: -1, Floor: 2896, Limitable: true, Pausable: true})
	}
	b.ReportAllocs()
	for b.Loop() {
		in.Now += 100 * time.Millisecond
		c.Step(in)
	}
}
