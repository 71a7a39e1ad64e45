package control

import (
	"testing"
	"time"
)

// TestBirthsOverSeconds: sixteen senders log in one after the other over two
// seconds, and each sends freely until it is known. Their bursts must not be
// taken for what the link bears.
func TestBirthsOverSeconds(t *testing.T) {
	variants(t, most{p99: 15 * ms, use: 0.9}, func(w *world) {
		w.with(16, cubic)
		for i, x := range w.transfers {
			x.born = 0.5 + 0.13*float64(i)
		}
		w.calmFrom = 4
	})
}

// inFlight is a step of a link over which n senders have that many bytes in
// flight, and of which nothing is known but the delay.
func inFlight(n int, bytes, moved int64, queue time.Duration) Input {
	in := Input{Delay: Delay{Known: true, Queue: queue, Base: 200 * time.Microsecond}, RateKnown: true}
	for i := range n {
		in.Flows = append(in.Flows, Flow{
			ID: string(rune('a' + i)), Limitable: true, Floor: 2 * 1448, MinRTT: 200 * time.Microsecond,
			Inflight: bytes, Bytes: uint64(moved),
		})
	}
	return in
}

// fly steps a controller with four senders until now; each of them moves rate
// bytes/s and has that many bytes in flight.
func fly(c *Controller, from, to time.Duration, rate float64, bytes int64, queue time.Duration) {
	for now := from; now < to; now += 25 * time.Millisecond {
		in := inFlight(4, bytes, int64(rate*now.Seconds()), queue)
		in.Now = now
		c.Step(in)
	}
}

func TestFlightMeasuresABusyBottleneck(t *testing.T) {
	c := New(Settings{Direction: Tx})
	fly(c, 0, time.Second, 1e5, 3000, 0) // nothing in the network: nothing is known
	if c.model.capacity.measured != 0 || c.model.flight.bottleneck != 0 {
		t.Errorf("measured without a queue: %+v", c.model.flight)
	}
	// 25 ms at 3 MB/s are 75 kB, and each has 100 kB in flight.
	fly(c, time.Second, 1500*time.Millisecond, 3e6, 100e3, 30*time.Millisecond)
	if c.model.capacity.measured == 0 {
		t.Fatal("not measured though the bottleneck was busy all the time")
	}
	if got, want := c.model.capacity.seen, 4*3e6*wire; got < 0.97*want || got > 1.03*want {
		t.Errorf("the link bears %.0f bytes/s, want %.0f", got, want)
	}
}

// What no probe has met is some client's own bottleneck, and no measure of the
// link.
func TestFlightNeedsAProbe(t *testing.T) {
	c := New(Settings{Direction: Tx})
	fly(c, 0, time.Second, 1e5, 3000, 0)
	fly(c, time.Second, 2*time.Second, 3e6, 100e3, 0)
	if c.model.capacity.measured != 0 {
		t.Errorf("measured %.0f bytes/s though management met no queue", c.model.capacity.seen)
	}
}

// On a long path bytes in flight are just under way.
func TestFlightIsSilentOnLongPaths(t *testing.T) {
	c := New(Settings{Direction: Tx})
	for now := time.Duration(0); now < time.Second; now += 25 * time.Millisecond {
		in := inFlight(4, 100e3, int64(3e6*now.Seconds()), 30*time.Millisecond)
		in.Now, in.Delay.Base = now, 50*time.Millisecond
		for i := range in.Flows {
			in.Flows[i].MinRTT = 50 * time.Millisecond
		}
		c.Step(in)
	}
	if c.model.flight.queue != 0 || c.model.capacity.measured != 0 {
		t.Errorf("%+v", c.model.flight)
	}
}

// Transfers that are measured in turns say nothing together: three of four at one
// step and the fourth at the next would be bursts beyond what the link bears.
func TestFlightNeedsAllTransfersAtOnce(t *testing.T) {
	const rate = 3e6 // bytes/s, of each
	c := New(Settings{Direction: Tx})
	fly(c, 0, time.Second, 1e5, 3000, 0)
	seen := [4]time.Duration{}
	for i := range 100 {
		now := time.Second + time.Duration(i)*40*time.Millisecond
		in := inFlight(len(seen), 300e3, 0, 30*time.Millisecond)
		in.Now = now
		for j := range in.Flows {
			if together := i >= 50; together || (j < 3) == (i%2 == 0) {
				seen[j] = now
			}
			in.Flows[j].Bytes = uint64(rate * seen[j].Seconds())
			in.Flows[j].Stale = seen[j] < now
		}
		c.Step(in)
		if most, want := max(c.model.flight.bottleneck, c.model.capacity.seen), 4*rate*wire; most > 1.02*want {
			t.Fatalf("at %v: %.0f bytes/s, the link bears %.0f", now, most, want)
		}
	}
	if c.model.capacity.measured == 0 {
		t.Error("not measured at all")
	}
}

// TestBurstsEndARamp: four senders on a path of 0.1 ms are paced at more and more,
// but each sends 64 KB at once. The ramp takes the first bursts that meet for a
// full link. With the shaper, which cuts them, what the link really bears is found
// within seconds, whenever the senders began.
func TestBurstsEndARamp(t *testing.T) {
	for i := range 8 {
		w := lab(Tx)
		w.rtt, w.shaper, w.length, w.calmFrom = 0.1*ms, true, 12, 6
		w.probe.every, w.probe.recent = 0.05, true // it is asked closely while limits move
		w.with(4, cubic)
		for j, x := range w.transfers {
			x.burst = 64 << 10
			x.born += 0.007 * float64(i*j)
		}
		w.within(t, most{p99: 15 * ms, peak: 40 * ms, use: 0.95})
	}
}
