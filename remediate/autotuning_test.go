package remediate

import (
	"testing"

	"lifeline/watchdog"
	"lifeline/watchdog/ledger"
)

// A receive buffer is kept from being tuned from the first clamp to its lift,
// where the kernel can do that and the buffer has room for the window.
func TestWhichBuffersAreHeld(t *testing.T) {
	cases := []struct {
		name  string
		spoil func(*fakeSock)
		limit watchdog.Limit
		want  bool
	}{
		{"clamped", func(*fakeSock) {}, watchdog.Limit{Window: 8192}, true},
		{"paced", func(*fakeSock) {}, watchdog.Limit{Pacing: 1e6}, false},
		{"Linux before 5.14", func(s *fakeSock) { s.LockKnown = false }, watchdog.Limit{Window: 8192}, false},
		{"size of the application", func(s *fakeSock) { s.BufferLocked, s.chosen = true, true }, watchdog.Limit{Window: 8192}, false},
		{"too small for the window", func(s *fakeSock) { s.ReceiveBuffer = 128 << 10 }, watchdog.Limit{Window: 64 << 10}, false},
		{"too small for the floor", func(s *fakeSock) { s.ReceiveBuffer, s.WindowScale = 48<<10, 14 }, watchdog.Limit{Window: 1}, false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			simulate(t, Settings{}, func(t *testing.T, b *bench) {
				s := b.sockOf(b.add(1, watchdog.Rx))
				c.spoil(s)
				buffer, fixed := s.ReceiveBuffer, s.BufferLocked
				b.limit(1, c.limit)
				noFails(t, b.tick())
				if held := s.BufferLocked && !s.chosen; held != c.want {
					t.Errorf("held with the first clamp: %v, want %v", held, c.want)
				}
				writes := s.writes
				noFails(t, b.tick())
				if s.writes != writes {
					t.Error("set again, though it stands")
				}
				clear(b.want.Limits)
				noFails(t, b.tick())
				if s.BufferLocked != fixed || s.ReceiveBuffer != buffer {
					t.Errorf("lifted: fixed %v, %d bytes; was %v, %d", s.BufferLocked, s.ReceiveBuffer, fixed, buffer)
				}
				if live := b.l.Live(); len(live) > 0 {
					t.Errorf("lifted: in the ledger: %v", live)
				}
			})
		})
	}
}

// A window that grows beyond what its buffer can offer is let go, and held again
// once it is clearly smaller, so that one near the bound does not come and go.
func TestHoldFollowsTheWindow(t *testing.T) {
	simulate(t, Settings{}, func(t *testing.T, b *bench) {
		s := b.sockOf(b.add(1, watchdog.Rx))
		s.ReceiveBuffer = 120 << 10
		for _, step := range []struct {
			window int64
			held   bool
		}{{20 << 10, true}, {36 << 10, true}, {48 << 10, false}, {36 << 10, false}, {28 << 10, true}} {
			b.limit(1, watchdog.Limit{Window: step.window})
			for range 3 {
				noFails(t, b.tick())
			}
			if s.BufferLocked != step.held || s.WindowClamp != step.window {
				t.Errorf("window %d: held %v, clamp %d; want %v", step.window, s.BufferLocked, s.WindowClamp, step.held)
			}
		}
	})
}

// What the kernel or somebody else took from us is noticed and set again.
func TestHoldThatWasLostIsSetAgain(t *testing.T) {
	simulate(t, Settings{}, func(t *testing.T, b *bench) {
		s := b.sockOf(b.add(1, watchdog.Rx))
		b.limit(1, watchdog.Limit{Window: 8192})
		b.tick()
		s.BufferLocked, s.WindowClamp = false, 6<<20
		for range 12 {
			noFails(t, b.tick())
		}
		if !s.BufferLocked || s.WindowClamp != 8192 {
			t.Errorf("held %v, clamp %d", s.BufferLocked, s.WindowClamp)
		}
		if !b.l.Has(entryOf(ledger.Autotune, b.ts[0]).Key()) {
			t.Error("not in the ledger")
		}
	})
}
