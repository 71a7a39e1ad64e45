package control

import (
	"testing"
	"time"
)

// vanish steps a controller whose transfers have had most of the link for half a
// minute, until well after the only administrator has fallen silent.
// While his silence is no more than a late answer its age is taken for a queue.
func vanish(dir Direction, before, after func(*Input)) *bench {
	b := newBench(Settings{Direction: dir, Pause: true}, 4)
	b.load(90 * mbit)
	b.run(30*time.Second, nil)
	before(&b.in)
	b.run(2*time.Second, nil)
	b.in.Delay.Overdue = true
	b.run(2*time.Second, func() { b.in.Delay.Queue += 100 * time.Millisecond })
	b.in.Management, b.in.Delay = Unreachable, Delay{}
	after(&b.in)
	b.run(4*time.Second, nil)
	return b
}

func nothing(*Input) {}

// TestVanished: one administrator falls silent, and nothing says that rsync is
// the reason. Nothing is paused, not even for a moment, and limits stay.
func TestVanished(t *testing.T) {
	tests := map[string]struct{ before, after func(*Input) }{
		"nothing else is known":   {nothing, nothing},
		"the gateway answers":     {nothing, func(in *Input) { in.Passes = true }},
		"a queue, and it answers": {func(in *Input) { in.Delay.Queue = 100 * time.Millisecond }, func(in *Input) { in.Passes = true }},
		"the transfers' own TCP sees no queue": {
			func(in *Input) { in.Delay.Queue = 100 * time.Millisecond },
			func(in *Input) { in.Delay = Delay{Known: true, Passive: true, Queue: 3 * time.Millisecond} },
		},
		"as long a queue as is held": {func(in *Input) { in.Delay.Queue = 6 * time.Millisecond }, nothing},
		"a few packets sent again":   {nothing, func(in *Input) { in.Delay.Retrans = 20 }},
		"stray packets dropped":      {nothing, func(in *Input) { in.Drops = 2 }},
	}
	for name, c := range tests {
		for _, dir := range []Direction{Rx, Tx} {
			t.Run(name+"/"+dir.String(), func(t *testing.T) {
				b := vanish(dir, c.before, c.after)
				b.run(2*time.Minute, func() {
					if b.paused() > 0 || b.out.ShutOut {
						t.Fatalf("at %v: phase %v, %d paused", b.in.Now, b.out.Phase, b.paused())
					}
				})
				if b.out.Flows[0] == (FlowLimit{ID: "f0"}) {
					t.Error("limits were let go")
				}
			})
		}
	}
}

// TestShutOutByRsync: there is evidence, and everything is paused.
func TestShutOutByRsync(t *testing.T) {
	full := func(in *Input) { in.Delay.Queue = 100 * time.Millisecond }
	tests := map[string]struct{ before, after func(*Input) }{
		"a queue before":                     {full, nothing},
		"a queue in the transfers' own TCP":  {nothing, func(in *Input) { in.Delay = Delay{Known: true, Passive: true, Queue: 80 * time.Millisecond} }},
		"packets dropped":                    {nothing, func(in *Input) { in.Drops = 200 }},
		"packets dropped just before":        {func(in *Input) { in.Drops = 200 }, func(in *Input) { in.Drops = 0 }},
		"many packets sent again":            {nothing, func(in *Input) { in.Delay.Retrans = 400 }},
		"rsync's rate had just become large": {func(in *Input) { in.Rate *= 3; in.Flows[0].Rate = in.Rate / 2 }, nothing},
	}
	for name, c := range tests {
		for _, dir := range []Direction{Rx, Tx} {
			t.Run(name+"/"+dir.String(), func(t *testing.T) {
				b := vanish(dir, c.before, c.after)
				if b.out.Phase != PauseAll || b.paused() != 4 || !b.out.ShutOut {
					t.Fatalf("phase %v, %d paused", b.out.Phase, b.paused())
				}
			})
		}
	}
}

// TestPassableAgain: everything is paused, and the link lets packets through
// while the administrator stays silent. Then that is not rsync's doing, and it
// runs again, for good.
func TestPassableAgain(t *testing.T) {
	b := vanish(Rx, func(in *Input) { in.Delay.Queue = 100 * time.Millisecond }, nothing)
	if b.paused() != 4 {
		t.Fatalf("%d paused", b.paused())
	}
	b.in.Passes = true
	held := time.Duration(0)
	b.run(2*time.Minute, func() {
		if b.paused() == 4 {
			held += 100 * time.Millisecond
		}
	})
	if held > 10*time.Second || b.paused() > 0 {
		t.Errorf("all paused for %v more, %d at the end", held, b.paused())
	}
}

// TestPausedInVain: pausing everything did not bring management back. That it
// fell silent as rsync began is no reason to try again.
func TestPausedInVain(t *testing.T) {
	b := newBench(Settings{Direction: Rx, Pause: true}, 4)
	b.load(100 * mbit)
	b.run(3*time.Second, nil)
	b.in.Management, b.in.Delay = Unreachable, Delay{}
	begins, last := 0, false
	b.run(time.Hour, func() {
		all := b.paused() == 4
		if all && !last {
			begins++
		}
		last = all
		b.load(100 * mbit * float64(4-b.paused()) / 4)
	})
	if begins != 1 {
		t.Errorf("everything was paused %d times", begins)
	}
}

// TestShutOutIsToldWithoutPausing: where pausing is not allowed it is told all
// the same that rsync keeps management out.
func TestShutOutIsToldWithoutPausing(t *testing.T) {
	b := newBench(Settings{Direction: Rx}, 4)
	b.load(100 * mbit)
	b.in.Delay.Queue = 100 * time.Millisecond
	b.in.Management = Unreachable
	b.run(5*time.Second, nil)
	if !b.out.ShutOut || b.paused() > 0 {
		t.Errorf("told: %v, %d paused", b.out.ShutOut, b.paused())
	}
}

// TestAloneAndSilent: a full link and one silent peer, who may be silent by intention:
// all that his silence takes of an hour is a pause in which any queue has drained.
func TestAloneAndSilent(t *testing.T) {
	b := vanish(Rx, func(in *Input) { in.Delay.Queue = 100 * time.Millisecond }, func(in *Input) { in.Alone = true })
	if b.paused() != 4 {
		t.Fatalf("%d paused", b.paused())
	}
	held := 0
	b.run(55*time.Minute, func() {
		b.in.Drops = 200 // distress that is seen, all the time
		held += b.paused()
		b.load(100 * mbit * float64(4-b.paused()) / 4)
	})
	if lost := time.Duration(held) * 100 * time.Millisecond / 4; lost > 10*time.Second {
		t.Errorf("all paused for %v more", lost)
	}
}
