package remediate

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"lifeline/remediate/process"
	"lifeline/watchdog"
)

func TestReceiverIsClampedDrainedThenStopped(t *testing.T) {
	simulate(t, Settings{}, func(t *testing.T, b *bench) {
		b.add(1, watchdog.Rx)
		s := b.sock(1)
		s.Window = 1 << 20
		b.limit(1, watchdog.Limit{Pause: true})
		b.tick()
		if s.WindowClamp != 2896 || b.proc(1, 1).stopped {
			t.Fatalf("first tick: window %d, stopped %v", s.WindowClamp, b.proc(1, 1).stopped)
		}
		s.Window = 100000
		b.tick()
		if b.proc(1, 1).stopped {
			t.Fatal("stopped while the old window was open")
		}
		s.Window = 2896
		o := b.tick()
		if !b.proc(1, 1).stopped || !b.proc(1, 2).stopped || !o.Stopped["t1"] || !o.Limits["t1"].Pause {
			t.Fatalf("not stopped: %+v", o)
		}
		clear(b.want.Limits)
		b.tick()
		if b.proc(1, 1).stopped || s.WindowClamp != 2896 {
			t.Errorf("resumed: stopped %v, window %d (want the clamp to stand until it runs)", b.proc(1, 1).stopped, s.WindowClamp)
		}
		b.tick()
		b.clean("resumed")
	})
}

func TestWindowThatNeverDrainsDoesNotPutOffTheStop(t *testing.T) {
	simulate(t, Settings{}, func(t *testing.T, b *bench) {
		b.add(1, watchdog.Rx)
		b.limit(1, watchdog.Limit{Pause: true})
		for range 22 {
			b.sock(1).Window = 1 << 20
			b.tick()
		}
		if !b.proc(1, 1).stopped {
			t.Error("still running after 2.2 s")
		}
	})
}

// Each hold is short enough for the peer, each pulse lets something pass, and
// the pulses of many do not come together.
func TestPulses(t *testing.T) {
	for _, n := range []int{1, 4, 64} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			simulate(t, Settings{}, func(t *testing.T, b *bench) {
				for i := 1; i <= n; i++ {
					b.add(i, watchdog.Rx)
					b.limit(i, watchdog.Limit{Pause: true})
				}
				heldSince := make([]time.Time, n+1)
				pulses := make([]int, n+1)
				most := 0
				for range 600 { // a minute
					b.tick()
					together := 0
					for i := 1; i <= n; i++ {
						s := b.sock(i)
						if b.proc(i, 1).stopped {
							if heldSince[i].IsZero() {
								heldSince[i] = time.Now()
							}
							continue
						}
						s.Window = 2896
						s.Received += 1000
						if heldSince[i].IsZero() {
							continue
						}
						if h := time.Since(heldSince[i]); h > process.SafeHold {
							t.Fatalf("transfer %d held for %v", i, h)
						}
						heldSince[i] = time.Time{}
						pulses[i]++
						together++
					}
					most = max(most, together)
				}
				if low := slices.Min(pulses[1:]); low < 20 {
					t.Errorf("a transfer had only %d pulses in a minute", low)
				}
				if limit := max(2, n/6); n > 1 && most > limit {
					t.Errorf("%d of %d pulses began together, want at most %d", most, n, limit)
				}
			})
		})
	}
}

func TestPulseLastsUntilSomethingPassed(t *testing.T) {
	simulate(t, Settings{}, func(t *testing.T, b *bench) {
		b.add(1, watchdog.Rx)
		b.sock(1).Window = 2896
		b.limit(1, watchdog.Limit{Pause: true})
		b.tick()
		for b.proc(1, 1).stopped || b.proc(1, 1).stops == 0 {
			b.sock(1).Received += 10 // what comes before the pulse does not count
			b.tick()
		}
		for range 100 {
			b.tick()
		}
		if b.proc(1, 1).stopped {
			t.Fatal("stopped again though nothing passed")
		}
		b.sock(1).Acked += 4 // a keepalive of ours
		b.tick()
		if !b.proc(1, 1).stopped {
			t.Error("a keepalive passed, and it runs on")
		}
	})
}

func TestForkedChildIsCaughtAndStrangerIsLeft(t *testing.T) {
	simulate(t, Settings{}, func(t *testing.T, b *bench) {
		tr := b.add(1, watchdog.Tx)
		child := watchdog.ProcID{PID: 77, Start: 5}
		b.k.procs[child] = &fakeProc{}
		b.proc(1, 2).kids = []watchdog.ProcID{child}
		b.limit(1, watchdog.Limit{Pause: true})
		b.tick()
		if !b.k.procs[child].stopped {
			t.Fatal("the child runs")
		}
		late := watchdog.ProcID{PID: 78, Start: 6} // the next sample names it
		b.k.procs[late] = &fakeProc{}
		tr.Procs = append(tr.Procs, late)
		b.tick()
		if !b.k.procs[late].stopped {
			t.Fatal("the late child runs")
		}
		clear(b.want.Limits)
		for range 3 {
			b.tick()
		}
		b.clean("resumed")
	})
}

func TestProcessThatSomebodyElseStoppedStaysHis(t *testing.T) {
	simulate(t, Settings{}, func(t *testing.T, b *bench) {
		b.add(1, watchdog.Tx)
		b.proc(1, 2).stopped = true
		b.limit(1, watchdog.Limit{Pause: true})
		for range 50 {
			b.sock(1).Acked++
			b.tick()
		}
		clear(b.want.Limits)
		for range 30 {
			b.tick()
		}
		if b.proc(1, 1).stopped || !b.proc(1, 2).stopped {
			t.Errorf("stopped: %v %v, want only the second", b.proc(1, 1).stopped, b.proc(1, 2).stopped)
		}
	})
}

func TestTransferThatCannotBeStoppedWhollyRuns(t *testing.T) {
	simulate(t, Settings{}, func(t *testing.T, b *bench) {
		b.add(1, watchdog.Tx)
		b.proc(1, 2).refuse = "it accepts connections"
		b.limit(1, watchdog.Limit{Pause: true})
		for range 50 {
			o := b.tick()
			if b.proc(1, 1).stopped {
				t.Fatal("half of it stands still")
			}
			if o.Stopped["t1"] {
				t.Fatal("reported as stopped")
			}
		}
	})
}

func TestParentThatStoppedAfterOurStopIsContinued(t *testing.T) {
	simulate(t, Settings{}, func(t *testing.T, b *bench) {
		tr := b.add(1, watchdog.Tx)
		sudo, shell := watchdog.ProcID{PID: 500, Start: 1}, watchdog.ProcID{PID: 400, Start: 1}
		b.k.procs[sudo], b.k.procs[shell] = &fakeProc{}, &fakeProc{stopped: true}
		tr.Parents = []watchdog.ProcID{sudo, shell}
		b.limit(1, watchdog.Limit{Pause: true})
		b.tick()
		b.k.procs[sudo].stopped = true
		clear(b.want.Limits)
		b.tick()
		if b.k.procs[sudo].stopped {
			t.Error("sudo still stopped")
		}
		b.k.procs[sudo].stopped = true // it noticed late
		b.tick()
		if b.k.procs[sudo].stopped {
			t.Error("sudo stopped a moment after the resume, and still is")
		}
		if !b.k.procs[shell].stopped {
			t.Error("the shell was stopped before: not ours to continue")
		}
	})
}

func TestPauseBudget(t *testing.T) {
	simulate(t, Settings{Budget: Budget{PausesPerHour: 3}}, func(t *testing.T, b *bench) {
		b.add(1, watchdog.Tx)
		for i := range 60 {
			b.limit(1, watchdog.Limit{Pause: i%4 < 2})
			b.tick()
		}
		if n := b.proc(1, 1).stops; n != 3 {
			t.Errorf("%d pauses, want 3", n)
		}
		spent := []watchdog.Spent{{Remedy: "pause", Target: "t1", Used: 3, PerHour: 3}}
		if o := b.tick(); !slices.Equal(o.Spent, spent) {
			t.Errorf("spent %+v, want %+v", o.Spent, spent)
		}
		b.limit(1, watchdog.Limit{})
		b.tick()
		time.Sleep(time.Hour)
		b.limit(1, watchdog.Limit{Pause: true})
		b.tick()
		if n := b.proc(1, 1).stops; n != 4 {
			t.Errorf("%d pauses after an hour, want 4", n)
		}
	})
}

func TestLongestPause(t *testing.T) {
	simulate(t, Settings{Budget: Budget{MaxHold: time.Minute}}, func(t *testing.T, b *bench) {
		b.add(1, watchdog.Tx)
		b.limit(1, watchdog.Limit{Pause: true})
		var paused, free, longest int
		for range 3000 { // five minutes
			b.sock(1).Acked++
			if b.tick().Limits["t1"].Pause {
				paused++
				longest = max(longest, paused)
			} else {
				free++
				paused = 0
			}
		}
		if longest > 601 || longest < 590 {
			t.Errorf("longest pause %d ticks of 100 ms, want a minute", longest)
		}
		if free < 300 {
			t.Errorf("free for %d ticks in five minutes, want 10 s after each pause", free)
		}
	})
}

func TestPauseNotAllowed(t *testing.T) {
	simulate(t, Settings{NoPause: errors.New("in a container")}, func(t *testing.T, b *bench) {
		b.add(1, watchdog.Tx)
		b.limit(1, watchdog.Limit{Pause: true, Pacing: 1e5})
		o := b.tick()
		if b.proc(1, 1).stops > 0 || len(o.Failed) != 1 || o.Failed[0].Err != "in a container" {
			t.Errorf("stops %d, failures %v", b.proc(1, 1).stops, o.Failed)
		}
		if b.sock(1).Pacing != 1e5 {
			t.Error("and it is not limited either")
		}
	})
}

// The buffer is made small only for a receiver that reads its own socket, only
// once the old window is used up, and never where the application chose it.
func TestBufferOfAPausedReceiver(t *testing.T) {
	cases := []struct {
		name  string
		spoil func(*fakeSock, *watchdog.Transfer)
		small bool
	}{
		{"daemon", func(*fakeSock, *watchdog.Transfer) {}, true},
		{"old window open", func(s *fakeSock, _ *watchdog.Transfer) { s.stuck = true }, false},
		{"over ssh", func(_ *fakeSock, t *watchdog.Transfer) { t.Via = watchdog.ViaSSHServer }, false},
		{"sender", func(_ *fakeSock, t *watchdog.Transfer) { t.Direction = watchdog.Tx }, false},
		{"chosen by the application", func(s *fakeSock, _ *watchdog.Transfer) { s.BufferLocked, s.chosen = true, true }, false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			simulate(t, Settings{}, func(t *testing.T, b *bench) {
				c.spoil(b.sockOf(b.add(1, watchdog.Rx)), &b.ts[0])
				b.limit(1, watchdog.Limit{Pause: true})
				small := false
				for range 30 {
					b.sock(1).Received += 100
					noFails(t, b.tick())
					small = small || b.sock(1).ReceiveBuffer < fakeBuffer
				}
				if small != c.small {
					t.Errorf("made small: %v, want %v", small, c.small)
				}
				if b.proc(1, 1).stops == 0 {
					t.Error("was never stopped")
				}
				clear(b.want.Limits)
				b.tick()
				b.tick()
				b.clean("resumed")
			})
		})
	}
}

// Before Linux 6.2 the offered window is not told: the drain takes its time
// once, and each pulse is short all the same.
func TestPauseWhereTheWindowIsNotTold(t *testing.T) {
	simulate(t, Settings{}, func(t *testing.T, b *bench) {
		b.add(1, watchdog.Rx)
		b.limit(1, watchdog.Limit{Pause: true})
		first, run, longest := 0, 0, 0
		for i := range 300 {
			b.sock(1).Window = -1
			b.sock(1).Received += 100
			b.tick()
			switch {
			case b.proc(1, 1).stopped:
				if first == 0 {
					first = i
				}
				run = 0
			case first > 0:
				run++
				longest = max(longest, run)
			}
		}
		if first < 15 || first > 22 {
			t.Errorf("first stop after %d ticks of 100 ms, want 1.7 s to 2.2 s", first)
		}
		if longest > 4 {
			t.Errorf("a pulse of %d ticks", longest)
		}
	})
}
