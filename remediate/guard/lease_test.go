package guard

import (
	"bytes"
	"testing"
	"time"

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
		if v := w.expired(now); v != keepWatching {
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
	if v := w.expired(end.Add(-time.Millisecond)); v != keepWatching {
		t.Error("before the end of the lease")
	}
	if v := w.expired(end); v != undoAll {
		t.Error("not at the end of the lease")
	}
}

func TestLeaseRunsOnlyWhileThereIsSomethingToUndo(t *testing.T) {
	t0 := time.Now()
	w := newWatch(t, 0, t0)
	later := t0.Add(time.Minute)
	w.nextLook = later
	if v := w.expired(later); v != keepWatching {
		t.Error("an idle daemon was ended")
	}
	w.handleLine(ledgerLines(t, 1)[1], later)
	w.nextLook = later.Add(time.Second)
	if v := w.expired(later.Add(time.Second)); v != keepWatching {
		t.Error("the lease began before there was something to undo")
	}
}

// The machine stood still: the guard is as late as the daemon.
func TestGuardThatWasLateItselfWaits(t *testing.T) {
	t0 := time.Now()
	w := newWatch(t, 1, t0)
	due := t0.Add(w.untilNext(t0))
	late := due.Add(time.Minute)
	if v := w.expired(late); v != keepWatching {
		t.Fatal("ended a daemon that had no chance")
	}
	again := late.Add(w.untilNext(late))
	if d := again.Sub(late); d > DefaultLease/2 {
		t.Errorf("waits for another %v", d)
	}
	if v := w.expired(again); v != undoAll {
		t.Error("waits for ever")
	}
}

func TestGuardThatIsToldToGo(t *testing.T) {
	t0 := time.Now()
	for n, want := range []verdict{exitQuietly, undoAll} {
		w := newWatch(t, n, t0)
		w.leavingSince = t0
		at := t0.Add(w.untilNext(t0))
		w.handleLine([]byte(msgAlive), at) // the daemon is well, but found no other guard
		if v := w.expired(at); v != want {
			t.Errorf("%d entries: %d, want %d", n, v, want)
		}
	}
	w := newWatch(t, 1, t0)
	if _, v := w.handleLine([]byte(msgBye), t0); v != exitQuietly {
		t.Error("bye was not heard")
	}
}
