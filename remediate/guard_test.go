package remediate

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

func newWatch(t *testing.T, n int, now time.Time) *watch {
	t.Helper()
	w := &watch{lease: DefaultLease}
	for _, line := range ledgerLines(t, n) {
		w.hear(line, now)
	}
	if answer, _ := w.hear([]byte(saySync), now); answer != sayReady {
		t.Fatalf("sync answered by %q", answer)
	}
	return w
}

func TestLease(t *testing.T) {
	t0 := time.Now()
	w := newWatch(t, 1, t0)
	now := t0
	for range 100 { // looks when the lease would end, and sees a sign of life
		now = now.Add(w.next(now))
		w.see(now.Add(-100 * time.Millisecond))
		if v := w.look(now); v != keepOn {
			t.Fatalf("renewed, and judged %d", v)
		}
	}
	if answer, _ := w.hear([]byte(sayAlive), now); answer != sayAlive {
		t.Fatalf("answer %q", answer)
	}
	w.see(t0) // an older one changes nothing
	end := now.Add(w.next(now))
	if d := end.Sub(now); d != DefaultLease {
		t.Errorf("looks again after %v, want %v", d, DefaultLease)
	}
	if v := w.look(end.Add(-time.Millisecond)); v != keepOn {
		t.Error("before the end of the lease")
	}
	if v := w.look(end); v != undo {
		t.Error("not at the end of the lease")
	}
}

func TestLeaseRunsOnlyWhileThereIsSomethingToUndo(t *testing.T) {
	t0 := time.Now()
	w := newWatch(t, 0, t0)
	later := t0.Add(time.Minute)
	w.wake = later
	if v := w.look(later); v != keepOn {
		t.Error("an idle daemon was ended")
	}
	w.hear(ledgerLines(t, 1)[1], later)
	w.wake = later.Add(time.Second)
	if v := w.look(later.Add(time.Second)); v != keepOn {
		t.Error("the lease began before there was something to undo")
	}
}

// The machine stood still: the guard is as late as the daemon.
func TestGuardThatWasLateItselfWaits(t *testing.T) {
	t0 := time.Now()
	w := newWatch(t, 1, t0)
	due := t0.Add(w.next(t0))
	late := due.Add(time.Minute)
	if v := w.look(late); v != keepOn {
		t.Fatal("ended a daemon that had no chance")
	}
	again := late.Add(w.next(late))
	if d := again.Sub(late); d > DefaultLease/2 {
		t.Errorf("waits for another %v", d)
	}
	if v := w.look(again); v != undo {
		t.Error("waits for ever")
	}
}

func TestGuardThatIsToldToGo(t *testing.T) {
	t0 := time.Now()
	for n, want := range []verdict{leave, undo} {
		w := newWatch(t, n, t0)
		w.parting = t0
		at := t0.Add(w.next(t0))
		w.hear([]byte(sayAlive), at) // the daemon is well, but found no other guard
		if v := w.look(at); v != want {
			t.Errorf("%d entries: %d, want %d", n, v, want)
		}
	}
	w := newWatch(t, 1, t0)
	if _, v := w.hear([]byte(sayBye), t0); v != leave {
		t.Error("bye was not heard")
	}
}
