package engine

import (
	"testing"
	"time"

	"lifeline/watchdog"
)

func TestBurst(t *testing.T) {
	for rtt, want := range map[time.Duration]int{
		100 * time.Microsecond: 64 << 10, 511 * time.Microsecond: 64 << 10,
		512 * time.Microsecond: 32 << 10, 2 * time.Millisecond: 8 << 10,
		10 * time.Millisecond: 0, time.Hour: 0,
	} {
		if got := burst(rtt); got != want {
			t.Errorf("at %v: %d bytes, want %d", rtt, got, want)
		}
	}
}

func TestTooLong(t *testing.T) {
	const near = 100 * time.Microsecond
	for name, c := range map[string]struct {
		rtt  time.Duration
		rate float64 // bytes/s
		set  func(*watchdog.Transfer, *watchdog.Limit)
		want bool
	}{
		"one of 16 senders at 100 Mbit/s": {near, 100 * mbit / 16, nil, true},
		"one of 8 at a gigabit":           {near, 1000 * mbit / 8, nil, false},
		"one of 64 at a gigabit":          {near, 1000 * mbit / 64, nil, true},
		"half a millisecond away":         {600 * time.Microsecond, 100 * mbit / 16, nil, true},
		"bursts are segments anyway":      {3 * time.Millisecond, mbit / 16, nil, false},
		"as before Linux 5.18":            {20 * time.Millisecond, mbit / 16, nil, false},
		"no RTT measured yet":             {0, mbit, nil, false},
		"not paced":                       {near, 0, func(_ *watchdog.Transfer, l *watchdog.Limit) { l.Shape = true }, false},
		"a receiver":                      {near, mbit, func(x *watchdog.Transfer, _ *watchdog.Limit) { x.Direction = watchdog.Rx }, false},
		"another network namespace":       {near, mbit, func(x *watchdog.Transfer, _ *watchdog.Limit) { x.Foreign = true }, false},
	} {
		x, l := watchdog.Transfer{Direction: watchdog.Tx, TCP: watchdog.TCP{Known: true, MinRTT: c.rtt}}, watchdog.Limit{Pacing: c.rate}
		if c.set != nil {
			c.set(&x, &l)
		}
		if got := burstTooLong(&x, l, 5*time.Millisecond); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// Senders that a shaper takes over need no small bursts after a while; those that
// end need none at once.
func TestSmallBurstsComeAndGo(t *testing.T) {
	var b tsoBursts
	s := watchdog.Snapshot{Transfers: []watchdog.Transfer{{ID: "a", Direction: watchdog.Tx, TCP: watchdog.TCP{Known: true, MinRTT: 100 * time.Microsecond}}}}
	step := func(at time.Duration, l watchdog.Limit) bool {
		s.Mono = at
		d := watchdog.Desired{Limits: map[watchdog.TransferID]watchdog.Limit{}}
		if l != (watchdog.Limit{}) {
			d.Limits["a"] = l
		}
		return b.step(&s, d, 5*time.Millisecond)
	}
	paced, shaped := watchdog.Limit{Pacing: mbit}, watchdog.Limit{Shape: true}
	for i, turn := range []struct {
		at   time.Duration
		l    watchdog.Limit
		want bool
	}{
		{0, shaped, false},
		{1 * time.Second, paced, true},
		{2 * time.Second, shaped, true},
		{5 * time.Second, paced, true},
		{9 * time.Second, shaped, true},
		{10 * time.Second, shaped, false},
		{11 * time.Second, paced, true},
		{12 * time.Second, watchdog.Limit{}, false},
	} {
		if got := step(turn.at, turn.l); got != turn.want {
			t.Errorf("turn %d: %v, want %v", i, got, turn.want)
		}
	}
}

// The engine asks for small bursts of senders that are paced, with egress by
// socket options, and for none of receivers.
func TestEngineAsksForSmallBursts(t *testing.T) {
	for _, dir := range []watchdog.Direction{watchdog.Rx, watchdog.Tx} {
		h := newHost(nil, 4)
		for i := range h.transfers {
			h.transfers[i].Direction = dir
		}
		h.run(3*time.Second, nil)
		if got := h.last.Desired.SmallBursts; got != (dir == watchdog.Tx) {
			t.Errorf("%v: %v", dir, got)
		}
		h.transfers = nil
		h.run(3*time.Second, nil)
		if h.last.Desired.SmallBursts {
			t.Errorf("%v: stands without transfers", dir)
		}
	}
}
