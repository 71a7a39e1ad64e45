package remediate

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lifeline/remediate/remedy"
	"lifeline/remediate/sockopt"
	"lifeline/watchdog"
	"lifeline/watchdog/ledger"
)

func simulate(t *testing.T, s Settings, f func(t *testing.T, b *bench)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { f(t, newBench(t, s)) })
}

func TestLimitsAreSetKeptAndLifted(t *testing.T) {
	simulate(t, Settings{}, func(t *testing.T, b *bench) {
		b.sockOf(b.add(1, watchdog.Rx)).LockKnown = false // before Linux 5.14
		b.add(2, watchdog.Tx)
		b.limit(1, watchdog.Limit{Window: 65536})
		b.limit(2, watchdog.Limit{Pacing: 1e6})
		o := b.tick()
		noFails(b.t, o)
		if got, want := b.k.String(), "socket 1 window 65536\nsocket 2 pacing 1000000"; got != want {
			t.Errorf("kernel:\n%s\nwant:\n%s", got, want)
		}
		if o.Limits["t1"].Window != 65536 || o.Limits["t2"].Pacing != 1e6 {
			t.Errorf("outcome %+v", o.Limits)
		}
		if n := len(b.l.Live()); n != 2 {
			t.Errorf("%d ledger entries, want 2", n)
		}
		b.tick()
		if b.sock(1).writes != 1 || b.sock(2).writes != 1 {
			t.Error("applying twice set the options twice")
		}
		b.sock(1).WindowClamp = 6 << 20 // the kernel's autotuning
		b.tick()
		if got := b.sock(1).WindowClamp; got != 65536 {
			t.Errorf("raised by the kernel: window %d, want it set again", got)
		}
		clear(b.want.Limits)
		noFails(b.t, b.tick())
		b.clean("lifted")
	})
}

func TestWindowHasAFloorPerSocket(t *testing.T) {
	simulate(t, Settings{}, func(t *testing.T, b *bench) {
		b.add(1, watchdog.Rx)
		b.add(2, watchdog.Rx)
		b.sock(2).WindowScale = 14
		b.limit(1, watchdog.Limit{Window: 1})
		b.limit(2, watchdog.Limit{Window: 1})
		o := b.tick()
		if o.Limits["t1"].Window != 2896 || o.Limits["t2"].Window != 16384 {
			t.Errorf("in force %+v", o.Limits)
		}
	})
}

func TestWindowIsNeverSetWhereItHarms(t *testing.T) {
	cases := map[string]func(*fakeSock, *watchdog.Transfer){
		"listener":              func(s *fakeSock, _ *watchdog.Transfer) { s.Listening = true },
		"stopped":               func(_ *fakeSock, t *watchdog.Transfer) { t.Stopped = true },
		"full":                  func(s *fakeSock, _ *watchdog.Transfer) { s.Window = 0 },
		"full, old kernel":      func(s *fakeSock, _ *watchdog.Transfer) { s.Window, s.Unread = -1, 4<<20 },
		"not established":       func(s *fakeSock, _ *watchdog.Transfer) { s.Established = false },
		"control none":          func(_ *fakeSock, t *watchdog.Transfer) { t.Control = watchdog.ControlNone },
		"control pause-only":    func(_ *fakeSock, t *watchdog.Transfer) { t.Control = watchdog.ControlPauseOnly },
		"control not filled in": func(_ *fakeSock, t *watchdog.Transfer) { t.Control = "" },
	}
	for name, spoil := range cases {
		t.Run(name, func(t *testing.T) {
			simulate(t, Settings{}, func(t *testing.T, b *bench) {
				spoil(b.sockOf(b.add(1, watchdog.Rx)), &b.ts[0])
				b.limit(1, watchdog.Limit{Window: 8192})
				for range 3 {
					b.tick()
				}
				if b.sock(1).writes > 0 {
					t.Error("the window was set")
				}
			})
		})
	}
}

func (b *bench) sockOf(t *watchdog.Transfer) *fakeSock { return b.k.socks[t.Socket.Inode] }

func TestStalledReceiverIsLiftedAndReported(t *testing.T) {
	simulate(t, Settings{}, func(t *testing.T, b *bench) {
		b.add(1, watchdog.Rx)
		b.limit(1, watchdog.Limit{Window: 8192})
		b.tick()
		s := b.sock(1)
		s.Window = 0 // it has read everything and announces nothing
		lifted := false
		for range 50 {
			o := b.tick()
			lifted = lifted || slices.ContainsFunc(o.Failed, func(f watchdog.Failure) bool {
				return strings.Contains(f.Err, "lifted")
			})
			s.Window = min(s.Window, 0)
		}
		if !lifted {
			t.Fatal("nothing was reported")
		}
		s.Window = 1 << 20
		b.tick()
		if s.WindowClamp != sockopt.NoWindowClamp {
			t.Errorf("window %d, want it lifted", s.WindowClamp)
		}
		s.Received += 5000
		b.tick()
		b.tick()
		if s.WindowClamp != 8192 {
			t.Errorf("moves again: window %d, want 8192", s.WindowClamp)
		}
	})
}

func TestIdleReceiverKeepsItsClamp(t *testing.T) {
	simulate(t, Settings{}, func(t *testing.T, b *bench) {
		b.add(1, watchdog.Rx)
		b.limit(1, watchdog.Limit{Window: 8192})
		for range 100 {
			noFails(t, b.tick())
		}
		if got := b.sock(1).WindowClamp; got != 8192 {
			t.Errorf("window %d", got)
		}
	})
}

func TestWithoutLedgerNothingIsDone(t *testing.T) {
	simulate(t, Settings{}, func(t *testing.T, b *bench) {
		b.add(1, watchdog.Rx)
		b.add(2, watchdog.Rx)
		b.l.Close()
		b.limit(1, watchdog.Limit{Window: 8192, Pacing: 1e5})
		b.limit(2, watchdog.Limit{Pause: true})
		for range 40 {
			o := b.tick()
			if len(o.Failed) == 0 || o.Failed[0].Remedy != remedy.Ledger {
				t.Fatalf("failures %+v", o.Failed)
			}
		}
		if s := b.k.String(); s != "" {
			t.Errorf("done without a record:\n%s", s)
		}
	})
}

func TestWithoutGuardEverythingIsFreed(t *testing.T) {
	simulate(t, Settings{}, func(t *testing.T, b *bench) {
		b.add(1, watchdog.Rx)
		b.add(2, watchdog.Tx)
		b.limit(1, watchdog.Limit{Window: 8192})
		b.limit(2, watchdog.Limit{Pause: true})
		b.tick()
		b.tick()
		if !b.proc(2, 1).stopped {
			t.Fatal("not paused")
		}
		b.lease.err = errors.New("no guard")
		for range 3 {
			b.tick()
		}
		b.clean("guard away")
		b.lease.err = nil
		b.tick()
		if b.k.String() == "" {
			t.Error("guard back: nothing is limited")
		}
	})
}

func TestTransferThatEndsWhileLimited(t *testing.T) {
	simulate(t, Settings{}, func(t *testing.T, b *bench) {
		for n := 1; n <= 3; n++ {
			b.add(n, watchdog.Rx)
			b.limit(n, watchdog.Limit{Window: 8192, Pause: n == 3})
		}
		for range 30 {
			b.tick()
		}
		b.sock(1).gone = true // ended between sample and action
		noFails(t, b.tick())  // still listed
		b.sock(3).gone, b.proc(3, 1).gone, b.proc(3, 2).gone = true, true, true
		b.ts = b.ts[1:2]
		for range 30 {
			noFails(t, b.tick())
		}
		if n := len(b.e.subjects); n != 1 {
			t.Errorf("%d transfers remembered, want 1", n)
		}
		if got, want := b.k.String(), "socket 2 not tuned\nsocket 2 window 8192"; got != want {
			t.Errorf("kernel %q, want %q", got, want)
		}
		if n := len(b.l.Live()); n != 2 {
			t.Errorf("%d ledger entries, want 2", n)
		}
	})
}

// A probe that went blind lists nothing: whatever it had listed is freed.
func TestTransfersOfABlindProbeAreFreed(t *testing.T) {
	simulate(t, Settings{}, func(t *testing.T, b *bench) {
		b.add(1, watchdog.Rx)
		b.limit(1, watchdog.Limit{Window: 8192, Pause: true})
		for range 30 {
			b.tick()
		}
		b.ts = nil
		b.tick()
		b.tick()
		b.clean("blind")
	})
}

func TestShaperGetsItsMembers(t *testing.T) {
	simulate(t, Settings{}, func(t *testing.T, b *bench) {
		b.add(1, watchdog.Rx)
		b.add(2, watchdog.Tx)
		b.add(3, watchdog.Tx).Foreign = true
		key := watchdog.ShaperKey{Link: 2, Direction: watchdog.Tx}
		for n := 1; n <= 3; n++ {
			b.limit(n, watchdog.Limit{Shape: n > 1})
		}
		b.want.Shapers[key] = 1e6
		o := b.tick()
		noFails(t, o)
		if len(b.shaper.members[key]) != 1 || b.shaper.members[key][0].ID != "t2" {
			t.Errorf("members %+v", b.shaper.members)
		}
		if !o.Limits["t2"].Shape || o.Limits["t3"].Shape || o.Shapers[key] != 1e6 {
			t.Errorf("outcome %+v", o)
		}
	})
	simulate(t, Settings{NoShaper: errors.New("in a container")}, func(t *testing.T, b *bench) {
		b.want.Shapers[watchdog.ShaperKey{Link: 2}] = 1
		o := b.tick()
		if b.shaper.rates != nil || len(o.Failed) != 1 || !strings.Contains(o.Failed[0].Err, "in a container") {
			t.Errorf("rates %v, failures %v", b.shaper.rates, o.Failed)
		}
	})
}

// Whatever is asked for, in whatever order, and whoever ends meanwhile: once
// nothing is wanted nothing is left, in the kernel or in the ledger, and no
// process outside the transfers was touched.
func TestRandomDesiresLeaveNothing(t *testing.T) {
	for seed := range uint64(20) {
		simulate(t, Settings{Budget: Budget{MaxHold: 5 * time.Second}}, func(t *testing.T, b *bench) {
			r := rand.New(rand.NewPCG(seed, 7))
			stranger := watchdog.ProcID{PID: 999, Start: 1}
			b.k.procs[stranger] = &fakeProc{}
			controls := []watchdog.Controllable{watchdog.ControlFull, watchdog.ControlLimitOnly, watchdog.ControlPauseOnly, watchdog.ControlNone}
			for n := 1; n <= 12; n++ {
				tr := b.add(n, watchdog.Direction(n%2))
				tr.Control = controls[r.IntN(len(controls))]
			}
			for range 400 {
				n := 1 + r.IntN(12)
				s := b.sock(n)
				s.Received += uint64(r.IntN(2)) * 1000
				s.Window = int64(r.IntN(3)) * 3000
				switch r.IntN(30) {
				case 0:
					s.gone = true
				case 1:
					b.lease.err = errors.New("away")
				default:
					b.lease.err = nil
				}
				b.limit(n, watchdog.Limit{Window: int64(r.IntN(2)) * 9000, Pacing: float64(r.IntN(2)) * 1e5, Pause: r.IntN(2) == 0})
				b.tick()
			}
			for n := 1; n <= 12; n++ {
				b.sock(n).Window = 1 << 20
			}
			for _, tr := range b.ts {
				if tr.Control == watchdog.ControlLimitOnly || tr.Control == watchdog.ControlNone {
					if b.k.procs[tr.Procs[0]].stops > 0 {
						t.Errorf("seed %d: %s is %s and was stopped", seed, tr.ID, tr.Control)
					}
				}
			}
			clear(b.want.Limits)
			b.lease.err = nil
			for range 40 {
				b.tick()
			}
			b.clean("freed")
			if b.k.procs[stranger].stops > 0 {
				t.Error("a stranger was stopped")
			}
		})
	}
}

func TestEveryActIsInTheLedgerFirst(t *testing.T) {
	simulate(t, Settings{}, func(t *testing.T, b *bench) {
		b.add(1, watchdog.Rx)
		b.limit(1, watchdog.Limit{Window: 8192, Pause: true})
		for range 40 {
			b.tick()
			if b.sock(1).WindowClamp != sockopt.NoWindowClamp && !b.l.Has(entryOf(ledger.Window, b.ts[0]).Key()) {
				t.Fatal("clamped without a record")
			}
			if b.sock(1).BufferLocked && !b.l.Has(entryOf(ledger.Autotune, b.ts[0]).Key()) && !b.l.Has(entryOf(ledger.Buffer, b.ts[0]).Key()) {
				t.Fatal("kept from tuning without a record")
			}
			for i, p := range b.ts[0].Procs {
				key := ledger.Entry{Kind: ledger.Pause, Proc: p}.Key()
				if b.proc(1, i+1).stopped && !b.l.Has(key) {
					t.Fatal("stopped without a record")
				}
			}
		}
	})
}
