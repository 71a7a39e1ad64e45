package remediate

import (
	"context"
	"errors"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lifeline/remediate/process"
	"lifeline/remediate/roletest"
	"lifeline/remediate/sockopt"
	"lifeline/remediate/trial"
	"lifeline/remediate/trial/trialtest"
	"lifeline/remediate/undo"
	"lifeline/watchdog"
	"lifeline/watchdog/ledger"
)

// live is an Enforcer on the running kernel.
type live struct {
	*Enforcer
	dir string
	l   *ledger.Ledger
}

func newLive(t *testing.T, s Settings) *live {
	t.Helper()
	dir := t.TempDir()
	l := trialtest.OpenLedger(t, dir)
	return &live{Enforcer: New(l, &fakeLease{}, nil, s), dir: dir, l: l}
}

func want(id watchdog.TransferID, l watchdog.Limit) watchdog.Desired {
	return watchdog.Desired{Limits: map[watchdog.TransferID]watchdog.Limit{id: l}}
}

// A clamp at birth must not throttle for life: after the lift the window
// passes a megabyte again.
func TestClampAtBirthRunLift(t *testing.T) {
	tr := trialtest.New(t)
	x := trialtest.TransferOf(tr)
	e := newLive(t, Settings{HoldBuffer: true})
	ctx := context.Background()
	noFails(t, e.Apply(ctx, want(x.ID, watchdog.Limit{Window: 8192}), []watchdog.Transfer{x}))
	feed := func() int64 {
		t.Helper()
		if _, err := tr.Push(256<<10, 5*time.Second); err != nil {
			t.Fatalf("clamped: data does not flow: %v", err)
		}
		time.Sleep(2 * time.Millisecond)
		noFails(t, e.Apply(ctx, want(x.ID, watchdog.Limit{Window: 8192}), []watchdog.Transfer{x}))
		w, err := tr.OfferedWindow()
		if err != nil {
			t.Fatal(err)
		}
		return w
	}
	roletest.Eventually(t, "the old window is used up", func() bool { return feed() <= 16384 })
	c, err := tr.Inspect()
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		// What a receiver offers that the kernel cannot be kept from tuning
		// depends on when it is let run.
		if w := feed(); w > c.ReceiveBuffer && c.LockKnown {
			t.Fatalf("clamped to 8192: offers %d bytes of a buffer of %d", w, c.ReceiveBuffer)
		}
	}
	roletest.Eventually(t, "lifted", func() bool {
		return len(e.Apply(ctx, watchdog.Desired{}, []watchdog.Transfer{x}).Limits) == 0
	})
	if w, err := tr.Flow(10*time.Second, func(w int64) bool { return w >= 1<<20 }); err != nil || w < 1<<20 {
		t.Errorf("lifted: offers %d bytes, %v; want a megabyte", w, err)
	}
	if n := len(e.l.Live()); n > 0 {
		t.Errorf("%d ledger entries left", n)
	}
}

// A receiver that could not run for a moment reads at once what has come
// meanwhile. The kernel must not open its window by that.
func TestClampHoldsAReceiverThatReadsInBursts(t *testing.T) {
	tr := trialtest.New(t)
	x := trialtest.TransferOf(tr)
	e := newLive(t, Settings{HoldBuffer: true})
	ctx := context.Background()
	apply := func() {
		t.Helper()
		noFails(t, e.Apply(ctx, want(x.ID, watchdog.Limit{Window: 8192}), []watchdog.Transfer{x}))
	}
	apply()
	c, err := tr.Inspect()
	if err != nil || !c.LockKnown {
		t.Skipf("the kernel has no SO_BUF_LOCK (before Linux 5.14), or %v", err)
	}
	for range 5 {
		if err := tr.WhenFull(nil, 1<<20); err != nil {
			t.Fatalf("clamped: data does not flow: %v", err)
		}
		apply()
		// Its packets may turn out denser than the kernel had thought: then it
		// offers what the buffer holds, until the next look.
		if w, err := tr.OfferedWindow(); err != nil || w > c.ReceiveBuffer {
			t.Fatalf("clamped to 8192: offers %d bytes of a buffer of %d, %v", w, c.ReceiveBuffer, err)
		}
	}
	if err := e.ReleaseAll(ctx, undo.Undoer{}); err != nil {
		t.Fatal(err)
	}
	if c, err = tr.Inspect(); err != nil || c.BufferLocked || len(e.l.Live()) > 0 {
		t.Errorf("freed: held %v, %v; in the ledger: %v", c.BufferLocked, err, e.l.Live())
	}
	if w, err := tr.Flow(10*time.Second, func(w int64) bool { return w >= 1<<20 }); err != nil || w < 1<<20 {
		t.Errorf("freed: offers %d bytes, %v; want a megabyte", w, err)
	}
}

// The kernel undoes a clamp with the first full packets; that is mended at once, also
// where they come late in a transfer's life.
func TestClampOutlastsTheFirstData(t *testing.T) {
	tr := trialtest.New(t)
	x := trialtest.TransferOf(tr)
	x.Age = time.Minute
	e := newLive(t, Settings{HoldBuffer: true})
	apply := func() sockopt.State {
		t.Helper()
		noFails(t, e.Apply(context.Background(), want(x.ID, watchdog.Limit{Window: 8192}), []watchdog.Transfer{x}))
		c, err := tr.Inspect()
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	if c := apply(); c.WindowClamp != 8192 || c.Received != 0 {
		t.Fatalf("before any data: %+v", c)
	}
	if _, err := tr.Push(16<<10, trial.Timeout); err != nil {
		t.Fatal(err)
	}
	c, err := tr.Drained()
	if err != nil {
		t.Fatal(err)
	}
	if c.WindowClamp == 8192 {
		t.Skip("this kernel keeps a clamp that it was given before the first data")
	}
	t.Logf("the first %d bytes made %d of a clamp of 8192", c.Received, c.WindowClamp)
	x.TCP = watchdog.TCP{Known: true, BytesReceived: c.Received}
	if c := apply(); c.WindowClamp != 8192 {
		t.Errorf("at the next turn the clamp is %d", c.WindowClamp)
	}
}

func TestPauseAndResumeARealProcess(t *testing.T) {
	tr := trialtest.New(t)
	x := trialtest.TransferOf(tr)
	e := newLive(t, Settings{})
	ctx := context.Background()
	stopped := func() bool {
		st, err := process.StatOf(tr.Proc)
		return err == nil && st.Stopped()
	}
	roletest.Eventually(t, "stopped", func() bool {
		e.Apply(ctx, want(x.ID, watchdog.Limit{Pause: true}), []watchdog.Transfer{x})
		return stopped()
	})
	roletest.Eventually(t, "a pulse", func() bool {
		time.Sleep(20 * time.Millisecond)
		e.Apply(ctx, want(x.ID, watchdog.Limit{Pause: true}), []watchdog.Transfer{x})
		return !stopped()
	})
	if err := e.ReleaseAll(ctx, undo.Undoer{}); err != nil {
		t.Fatal(err)
	}
	if stopped() || len(e.l.Live()) > 0 {
		t.Errorf("after ReleaseAll: stopped %v, ledger %v", stopped(), e.l.Live())
	}
	if w, err := tr.Flow(10*time.Second, func(w int64) bool { return w >= 1<<20 }); err != nil || w < 1<<20 {
		t.Errorf("offers %d bytes, %v; want a megabyte", w, err)
	}
}

// The pid is right and the start time is not: it is another process now.
func TestReusedPidIsNeverTouched(t *testing.T) {
	tr := trialtest.New(t)
	x := trialtest.TransferOf(tr)
	x.Procs[0].Start--
	x.Socket.Refs = []watchdog.FDRef{{Proc: x.Procs[0], FD: trial.ChildSocket}}
	e := newLive(t, Settings{})
	for i := range 5 {
		t.Log(i)
		e.Apply(context.Background(), want(x.ID, watchdog.Limit{Window: 4096, Pause: true}), []watchdog.Transfer{x})
		time.Sleep(5 * time.Millisecond)
	}
	entry := ledger.Entry{Kind: ledger.Pause, Proc: x.Procs[0]}
	if r := (undo.Undoer{}).Undo(context.Background(), []ledger.Entry{entry}); r[0].Err != nil {
		t.Errorf("undo for a process that is gone: %v", r[0].Err)
	}
	c, err := tr.Inspect()
	if err != nil || c.WindowClamp <= 4096 {
		t.Errorf("window %d, %v", c.WindowClamp, err)
	}
	if st, err := process.StatOf(tr.Proc); err != nil || st.Stopped() {
		t.Errorf("state %c, %v", st.State, err)
	}
	if err := (&process.Handles{}).Signal(x.Procs[0], unix.SIGKILL); !errors.Is(err, process.ErrGone) {
		t.Errorf("signal: %v", err)
	}
	if err := process.SignalByPID(x.Procs[0], unix.SIGKILL); !errors.Is(err, process.ErrGone) {
		t.Errorf("kill: %v", err)
	}
}
