package guard

import (
	"bytes"
	"testing"
	"time"

	"lifeline/remediate/process"
	"lifeline/watchdog/ledger"
)

// lines gives what a ledger with n changes says to a guard.
func ledgerLines(t *testing.T, n int) [][]byte {
	t.Helper()
	l, _, err := ledger.Open(t.TempDir(), ledger.Identity{Boot: "b"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for i := range n {
		if err := l.Append(ledger.Entry{Kind: ledger.Window, Was: i}); err != nil {
			t.Fatal(err)
		}
	}
	var b bytes.Buffer
	if err := l.Tee(&b); err != nil {
		t.Fatal(err)
	}
	return bytes.Split(bytes.TrimSpace(b.Bytes()), []byte{'\n'})
}

func newWatch(t *testing.T, n int, now time.Time) *leaseWatch {
	t.Helper()
	w := &leaseWatch{lease: DefaultLease}
	for _, line := range ledgerLines(t, n) {
		w.handleLine(line, now)
	}
	if answer, _ := w.handleLine([]byte(msgSync), now); answer != msgReady {
		t.Fatalf("sync answered by %q", answer)
	}
	return w
}

func TestLease(t *testing.T) {
	t0 := time.Now()
	w := newWatch(t, 1, t0)
	now := t0
	for range 100 { // looks when the lease would end, and sees a sign of life
		now = now.Add(w.untilNext(now))
		w.daemonBeat(now.Add(-100 * time.Millisecond))
		if v := w.judge(now, process.Activity{}); v != keepWatching {
			t.Fatalf("renewed, and judged %d", v)
		}
	}
	if answer, _ := w.handleLine([]byte(msgAlive), now); answer != msgAlive {
		t.Fatalf("answer %q", answer)
	}
	w.daemonBeat(t0) // an older one changes nothing
	end := now.Add(w.untilNext(now))
	if d := end.Sub(now); d != DefaultLease {
		t.Errorf("looks again after %v, want %v", d, DefaultLease)
	}
	if v := w.judge(end.Add(-time.Millisecond), process.Activity{}); v != keepWatching {
		t.Error("before the end of the lease")
	}
	if v := w.judge(end, process.Activity{}); v != undoAll {
		t.Error("not at the end of the lease")
	}
}

func TestLeaseRunsOnlyWhileThereIsSomethingToUndo(t *testing.T) {
	t0 := time.Now()
	w := newWatch(t, 0, t0)
	later := t0.Add(time.Minute)
	w.nextLook = later
	if v := w.judge(later, process.Activity{}); v != keepWatching {
		t.Error("an idle daemon was ended")
	}
	w.handleLine(ledgerLines(t, 1)[1], later)
	w.nextLook = later.Add(time.Second)
	if v := w.judge(later.Add(time.Second), process.Activity{}); v != keepWatching {
		t.Error("the lease began before there was something to undo")
	}
}

// The machine stood still: the guard is as late as the daemon.
func TestGuardThatWasLateItselfWaits(t *testing.T) {
	t0 := time.Now()
	w := newWatch(t, 1, t0)
	due := t0.Add(w.untilNext(t0))
	late := due.Add(time.Minute)
	if v := w.judge(late, process.Activity{}); v != keepWatching {
		t.Fatal("ended a daemon that had no chance")
	}
	again := late.Add(w.untilNext(late))
	if d := again.Sub(late); d > DefaultLease/2 {
		t.Errorf("waits for another %v", d)
	}
	if v := w.judge(again, process.Activity{}); v != undoAll {
		t.Error("waits for ever")
	}
}

func TestGuardThatIsToldToGo(t *testing.T) {
	t0 := time.Now()
	for n, want := range []verdict{exitQuietly, undoAll} {
		w := newWatch(t, n, t0)
		w.leavingSince = t0
		at, v := t0, keepWatching
		for at.Sub(t0) < leaveAfter {
			if v != keepWatching {
				t.Fatalf("%d entries: %d after %v", n, v, at.Sub(t0))
			}
			at = at.Add(w.untilNext(at))
			w.handleLine([]byte(msgAlive), at) // the daemon is well, but found no other guard
			v = w.judge(at, process.Activity{})
		}
		if v != want {
			t.Errorf("%d entries: %d, want %d", n, v, want)
		}
	}
	w := newWatch(t, 1, t0)
	if _, v := w.handleLine([]byte(msgBye), t0); v != exitQuietly {
		t.Error("bye was not heard")
	}
}

// A daemon that gets no processor is not ended at the end of its lease; one that hangs,
// in whatever way, is, and so is one that starves for too long.
func TestStarvedDaemonIsGivenTime(t *testing.T) {
	const ms = time.Millisecond
	for name, tc := range map[string]struct {
		daemon func(at time.Duration) process.Activity // that long after the end of the lease
		from   time.Duration                           // when it is ended, after the end of the lease
	}{
		"stopped, or waits for ever": {func(time.Duration) process.Activity { return process.Activity{CPU: ms} }, 0},
		"starved": {func(at time.Duration) process.Activity {
			return process.Activity{Runnable: true, CPU: at / 10}
		}, starvedLeases * DefaultLease},
		"spins": {func(at time.Duration) process.Activity {
			return process.Activity{Runnable: true, CPU: at}
		}, DefaultLease / starvedLooks},
		"starved, then waits for ever": {func(at time.Duration) process.Activity {
			return process.Activity{Runnable: at < DefaultLease}
		}, DefaultLease},
	} {
		t0 := time.Now()
		w := newWatch(t, 1, t0)
		now := t0.Add(w.untilNext(t0))
		end := now
		for w.judge(now, tc.daemon(now.Sub(end))) == keepWatching {
			now = now.Add(w.untilNext(now))
		}
		if got := now.Sub(end); got < tc.from || got > tc.from+DefaultLease/starvedLooks {
			t.Errorf("%s: ended %v after its lease, want %v", name, got, tc.from)
		}
	}
}

// One that comes back is as any other.
func TestStarvedDaemonThatComesBack(t *testing.T) {
	t0 := time.Now()
	w := newWatch(t, 1, t0)
	now := t0.Add(w.untilNext(t0))
	if v := w.judge(now, process.Activity{Runnable: true}); v != keepWatching {
		t.Fatalf("judged %d", v)
	}
	now = now.Add(w.untilNext(now))
	w.daemonBeat(now)
	if v := w.judge(now, process.Activity{Runnable: true}); v != keepWatching {
		t.Fatalf("judged %d after a sign of life", v)
	}
	if d := w.untilNext(now); d != DefaultLease {
		t.Errorf("looks again after %v, want %v", d, DefaultLease)
	}
	now = now.Add(DefaultLease)
	if v := w.judge(now, process.Activity{}); v != undoAll {
		t.Error("not at the end of the next lease")
	}
}
