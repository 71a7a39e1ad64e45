package remediate

import (
	"errors"
	"maps"
	"testing"
	"time"

	"lifeline/remediate/process"
	"lifeline/remediate/remedy"
	"lifeline/watchdog"
)

// While a guard is being started all that stands is kept, and follows what is wanted of it;
// nothing new begins. Without one all of it goes.
func TestLimitsStandWhileAGuardIsStarted(t *testing.T) {
	simulate(t, Settings{}, func(t *testing.T, b *bench) {
		b.add(1, watchdog.Rx)
		b.add(2, watchdog.Tx)
		b.add(3, watchdog.Rx)
		b.add(4, watchdog.Rx)
		k := watchdog.ShaperKey{Link: 2, Direction: watchdog.Tx}
		other := watchdog.ShaperKey{Link: 3, Direction: watchdog.Tx}
		b.limit(1, watchdog.Limit{Window: 20000})
		b.limit(2, watchdog.Limit{Pacing: 1e6, Shape: true})
		b.limit(3, watchdog.Limit{Pause: true})
		b.want.Shapers[k] = 1e6
		for range 30 {
			b.tick()
		}
		before := b.l.Live()

		b.lease.err = remedy.ErrGuardStarting
		b.limit(1, watchdog.Limit{Window: 30000, Pacing: 1e6, Pause: true})
		b.limit(4, watchdog.Limit{Window: 20000, Pause: true})
		b.want.Shapers = map[watchdog.ShaperKey]float64{k: 1e6, other: 1e6}
		o := b.tick()
		noFails(t, o)
		if got := o.Limits["t1"]; got != (watchdog.Limit{Window: 30000}) {
			t.Errorf("a window that stood: %+v", got)
		}
		if got := o.Limits["t2"]; got != (watchdog.Limit{Pacing: 1e6, Shape: true}) {
			t.Errorf("pacing and shaper that stood: %+v", got)
		}
		if !o.Limits["t3"].Pause {
			t.Error("a pause that stood was ended")
		}
		if _, limited := o.Limits["t4"]; limited || !maps.Equal(o.Shapers, map[watchdog.ShaperKey]float64{k: 1e6}) {
			t.Errorf("something new began: %+v, shapers %v", o.Limits, o.Shapers)
		}
		if after := b.l.Live(); len(after) != len(before) {
			t.Errorf("in the ledger: %v, before %v", after, before)
		}

		b.lease.err = nil
		if o := b.tick(); !o.Limits["t4"].Pause || o.Limits["t4"].Window == 0 {
			t.Errorf("with a guard again: %+v", o.Limits)
		}
		b.lease.err = errors.New("no guard")
		for range 5 {
			b.tick()
		}
		b.clean("without a guard")
	})
}

// All that depends on time follows the clock of the cycle, and no other.
func TestEnforcerHasOneClock(t *testing.T) {
	simulate(t, Settings{}, func(t *testing.T, b *bench) {
		now := time.Unix(1, 0)
		b.e.now = func() time.Time { return now }
		cycle := func(d time.Duration) watchdog.Outcome {
			now = now.Add(d) // and the system's clock stands
			return b.e.Apply(t.Context(), b.want, b.ts)
		}
		b.add(1, watchdog.Rx)
		b.limit(1, watchdog.Limit{Pause: true})
		for range 30 {
			cycle(100 * time.Millisecond)
		}
		if b.e.subjects["t1"].pause.Phase == process.Running {
			t.Fatal("not paused: nothing is tested")
		}
		delete(b.want.Limits, "t1")
		b.ts = nil
		cycle(100 * time.Millisecond)
		cycle(aftercare - time.Millisecond)
		if len(b.e.subjects) != 1 {
			t.Error("forgotten before its time")
		}
		cycle(time.Millisecond)
		if len(b.e.subjects) != 0 {
			t.Error("kept beyond its time")
		}
		b.clean("after the pause")
	})
}
