package remediate

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"golang.org/x/sys/unix"

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
	l := openLedger(t, dir)
	return &live{Enforcer: New(l, &fakeLease{}, nil, s), dir: dir, l: l}
}

func openLedger(t testing.TB, dir string) *ledger.Ledger {
	t.Helper()
	id, err := Self()
	if err != nil {
		t.Fatal(err)
	}
	l, _, err := ledger.Open(dir, id)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// eventually polls for a condition.
func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	eventuallyIn(t, 20*time.Second, what, cond)
}

func eventuallyIn(t *testing.T, d time.Duration, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(d); !cond(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

func newTrial(t *testing.T) *trial {
	t.Helper()
	tr, err := startTrial(context.Background(), play("trial"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tr.close)
	if err := tr.visit(func(int) error { return nil }); err != nil {
		t.Skipf("this process may not take sockets of others: %v", err)
	}
	return tr
}

// transfer describes the trial's receiver as a probe would.
func (t *trial) transfer() watchdog.Transfer {
	return watchdog.Transfer{
		ID: watchdog.TransferID(fmt.Sprintf("t%d", t.socket.Inode)), Direction: watchdog.Rx, Via: watchdog.ViaDaemon,
		Procs: []watchdog.ProcID{t.proc}, Socket: t.socket, Control: watchdog.ControlFull,
	}
}

func want(id watchdog.TransferID, l watchdog.Limit) watchdog.Desired {
	return watchdog.Desired{Limits: map[watchdog.TransferID]watchdog.Limit{id: l}}
}

// A clamp at birth must not throttle for life: after the lift the window
// passes a megabyte again.
func TestClampAtBirthRunLift(t *testing.T) {
	tr := newTrial(t)
	x := tr.transfer()
	e := newLive(t, Settings{HoldBuffer: true})
	ctx := context.Background()
	noFails(t, e.Apply(ctx, want(x.ID, watchdog.Limit{Window: 8192}), []watchdog.Transfer{x}))
	feed := func() int64 {
		t.Helper()
		if _, err := tr.push(256<<10, 5*time.Second); err != nil {
			t.Fatalf("clamped: data does not flow: %v", err)
		}
		time.Sleep(2 * time.Millisecond)
		noFails(t, e.Apply(ctx, want(x.ID, watchdog.Limit{Window: 8192}), []watchdog.Transfer{x}))
		w, err := tr.offered()
		if err != nil {
			t.Fatal(err)
		}
		return w
	}
	eventually(t, "the old window is used up", func() bool { return feed() <= 16384 })
	c, err := tr.inspect()
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		// What a receiver offers that the kernel cannot be kept from tuning
		// depends on when it is let run.
		if w := feed(); w > c.buffer && c.lockTold {
			t.Fatalf("clamped to 8192: offers %d bytes of a buffer of %d", w, c.buffer)
		}
	}
	eventually(t, "lifted", func() bool {
		return len(e.Apply(ctx, watchdog.Desired{}, []watchdog.Transfer{x}).Limits) == 0
	})
	if w, err := tr.flow(10*time.Second, func(w int64) bool { return w >= 1<<20 }); err != nil || w < 1<<20 {
		t.Errorf("lifted: offers %d bytes, %v; want a megabyte", w, err)
	}
	if n := len(e.l.Live()); n > 0 {
		t.Errorf("%d ledger entries left", n)
	}
}

// A receiver that could not run for a moment reads at once what has come
// meanwhile. The kernel must not open its window by that.
func TestClampHoldsAReceiverThatReadsInBursts(t *testing.T) {
	tr := newTrial(t)
	x := tr.transfer()
	e := newLive(t, Settings{HoldBuffer: true})
	ctx := context.Background()
	apply := func() {
		t.Helper()
		noFails(t, e.Apply(ctx, want(x.ID, watchdog.Limit{Window: 8192}), []watchdog.Transfer{x}))
	}
	apply()
	c, err := tr.inspect()
	if err != nil || !c.lockTold {
		t.Skipf("the kernel has no SO_BUF_LOCK (before Linux 5.14), or %v", err)
	}
	for range 5 {
		if err := tr.whenFull(nil, 1<<20); err != nil {
			t.Fatalf("clamped: data does not flow: %v", err)
		}
		apply()
		// Its packets may turn out denser than the kernel had thought: then it
		// offers what the buffer holds, until the next look.
		if w, err := tr.offered(); err != nil || w > c.buffer {
			t.Fatalf("clamped to 8192: offers %d bytes of a buffer of %d, %v", w, c.buffer, err)
		}
	}
	if err := e.ReleaseAll(ctx, Undoer{}); err != nil {
		t.Fatal(err)
	}
	if c, err = tr.inspect(); err != nil || c.bufferFixed || len(e.l.Live()) > 0 {
		t.Errorf("freed: held %v, %v; in the ledger: %v", c.bufferFixed, err, e.l.Live())
	}
	if w, err := tr.flow(10*time.Second, func(w int64) bool { return w >= 1<<20 }); err != nil || w < 1<<20 {
		t.Errorf("freed: offers %d bytes, %v; want a megabyte", w, err)
	}
}

// The kernel undoes a clamp with the first full packets; that is mended at once, also
// where they come late in a transfer's life.
func TestClampOutlastsTheFirstData(t *testing.T) {
	tr := newTrial(t)
	x := tr.transfer()
	x.Age = time.Minute
	e := newLive(t, Settings{HoldBuffer: true})
	apply := func() connection {
		t.Helper()
		noFails(t, e.Apply(context.Background(), want(x.ID, watchdog.Limit{Window: 8192}), []watchdog.Transfer{x}))
		c, err := tr.inspect()
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	if c := apply(); c.windowClamped != 8192 || c.received != 0 {
		t.Fatalf("before any data: %+v", c)
	}
	if _, err := tr.push(16<<10, trialTime); err != nil {
		t.Fatal(err)
	}
	c, err := tr.drained()
	if err != nil {
		t.Fatal(err)
	}
	if c.windowClamped == 8192 {
		t.Skip("this kernel keeps a clamp that it was given before the first data")
	}
	t.Logf("the first %d bytes made %d of a clamp of 8192", c.received, c.windowClamped)
	x.TCP = watchdog.TCP{Known: true, BytesReceived: c.received}
	if c := apply(); c.windowClamped != 8192 {
		t.Errorf("at the next turn the clamp is %d", c.windowClamped)
	}
}

func TestPauseAndResumeARealProcess(t *testing.T) {
	tr := newTrial(t)
	x := tr.transfer()
	e := newLive(t, Settings{})
	ctx := context.Background()
	stopped := func() bool {
		st, err := statOf(tr.proc)
		return err == nil && st.stopped()
	}
	eventually(t, "stopped", func() bool {
		e.Apply(ctx, want(x.ID, watchdog.Limit{Pause: true}), []watchdog.Transfer{x})
		return stopped()
	})
	eventually(t, "a pulse", func() bool {
		time.Sleep(20 * time.Millisecond)
		e.Apply(ctx, want(x.ID, watchdog.Limit{Pause: true}), []watchdog.Transfer{x})
		return !stopped()
	})
	if err := e.ReleaseAll(ctx, Undoer{}); err != nil {
		t.Fatal(err)
	}
	if stopped() || len(e.l.Live()) > 0 {
		t.Errorf("after ReleaseAll: stopped %v, ledger %v", stopped(), e.l.Live())
	}
	if w, err := tr.flow(10*time.Second, func(w int64) bool { return w >= 1<<20 }); err != nil || w < 1<<20 {
		t.Errorf("offers %d bytes, %v; want a megabyte", w, err)
	}
}

// The pid is right and the start time is not: it is another process now.
func TestReusedPidIsNeverTouched(t *testing.T) {
	tr := newTrial(t)
	x := tr.transfer()
	x.Procs[0].Start--
	x.Socket.Refs = []watchdog.FDRef{{Proc: x.Procs[0], FD: trialSocket}}
	e := newLive(t, Settings{})
	for i := range 5 {
		t.Log(i)
		e.Apply(context.Background(), want(x.ID, watchdog.Limit{Window: 4096, Pause: true}), []watchdog.Transfer{x})
		time.Sleep(5 * time.Millisecond)
	}
	entry := ledger.Entry{Kind: ledger.Pause, Proc: x.Procs[0]}
	if r := (Undoer{}).Undo(context.Background(), []ledger.Entry{entry}); r[0].Err != nil {
		t.Errorf("undo for a process that is gone: %v", r[0].Err)
	}
	c, err := tr.inspect()
	if err != nil || c.windowClamped <= 4096 {
		t.Errorf("window %d, %v", c.windowClamped, err)
	}
	if st, err := statOf(tr.proc); err != nil || st.stopped() {
		t.Errorf("state %c, %v", st.state, err)
	}
	if err := (&Handles{}).signal(x.Procs[0], unix.SIGKILL); !errors.Is(err, ErrGone) {
		t.Errorf("signal: %v", err)
	}
	if err := kill(x.Procs[0], unix.SIGKILL); !errors.Is(err, ErrGone) {
		t.Errorf("kill: %v", err)
	}
}

// A descriptor number that means another socket by now is left alone.
func TestReusedDescriptorIsNeverTouched(t *testing.T) {
	tr := newTrial(t)
	s := tr.socket
	s.Inode++
	err := VisitSocket(s, func(int) error { t.Error("visited"); return nil })
	if !errors.Is(err, ErrGone) {
		t.Errorf("%v, want gone", err)
	}
}

func TestListenersAndOurselvesAreNotStopped(t *testing.T) {
	k := newKernel(&Handles{})
	for _, pid := range ancestors() {
		st, err := readStat(pid)
		if err != nil || pid == 1 {
			continue
		}
		if err := k.stop(watchdog.ProcID{PID: pid, Start: st.start}); err == nil {
			t.Fatalf("process %d was stopped", pid)
		}
	}
	if err := k.stop(watchdog.ProcID{PID: 1}); err == nil {
		t.Fatal("process 1 was stopped")
	}
}

func TestUndoFindsASocketThatAChildInherited(t *testing.T) {
	tr := newTrial(t)
	if err := tr.visit(func(fd int) error { return setWindow(fd, 4096) }); err != nil {
		t.Fatal(err)
	}
	s := tr.socket
	s.Refs = []watchdog.FDRef{{Proc: watchdog.ProcID{PID: 1 << 21, Start: 1}, FD: 3}}
	r := Undoer{}.Undo(context.Background(), []ledger.Entry{{Kind: ledger.Window, Socket: s}})
	if r[0].Err != nil {
		t.Fatal(r[0].Err)
	}
	if c, err := tr.inspect(); err != nil || c.windowClamped != liftedWindow {
		t.Errorf("window %d, %v", c.windowClamped, err)
	}
}

func TestUndoGoesOnAfterAFailure(t *testing.T) {
	tr := newTrial(t)
	ctx := context.Background()
	if err := tr.visit(func(fd int) error {
		return errors.Join(setWindow(fd, 4096), setPacing(fd, 1e6), unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PRIORITY, 5))
	}); err != nil {
		t.Fatal(err)
	}
	if err := tr.handles.signal(tr.proc, unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	refused := errors.New("refused")
	u := Undoer{RemoveTC: func(ledger.Entry) error { return refused }}
	r := u.Undo(ctx, []ledger.Entry{
		{Kind: ledger.Qdisc, TC: ledger.TC{Name: "none"}},
		{Kind: ledger.Window, Socket: tr.socket},
		{Kind: ledger.Priority, Socket: tr.socket, Set: 5, Was: 2},
		{Kind: ledger.Pause, Proc: tr.proc},
		{Kind: ledger.Pacing, Socket: tr.socket},
	})
	for i, x := range r {
		if (i == 0) != errors.Is(x.Err, refused) {
			t.Errorf("%v: %v", x.Entry, x.Err)
		}
	}
	c, err := tr.inspect()
	if err != nil || c.windowClamped != liftedWindow || c.pacing != liftedPacing {
		t.Errorf("%+v, %v", c, err)
	}
	if st, err := statOf(tr.proc); err != nil || st.stopped() {
		t.Errorf("state %c, %v", st.state, err)
	}
	tr.visit(func(fd int) error {
		if v, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PRIORITY); err != nil || v != 2 {
			t.Errorf("priority %d, %v", v, err)
		}
		return nil
	})
}

func TestSmallBufferIsGivenBack(t *testing.T) {
	tr := newTrial(t)
	was, err := tr.inspect()
	if err != nil || was.bufferFixed {
		t.Fatalf("%+v, %v", was, err)
	}
	if err := tr.visit(func(fd int) error { return setBuffer(fd, 32<<10) }); err != nil {
		t.Fatal(err)
	}
	if c, err := tr.inspect(); err != nil || c.buffer > 64<<10 {
		t.Fatalf("buffer %d, %v", c.buffer, err)
	}
	r := Undoer{}.Undo(context.Background(), []ledger.Entry{{Kind: ledger.Buffer, Socket: tr.socket, Was: int(was.buffer)}})
	if r[0].Err != nil {
		t.Fatal(r[0].Err)
	}
	c, err := tr.inspect()
	if err != nil || c.buffer < was.buffer || c.bufferFixed {
		t.Errorf("buffer %d, was %d; fixed %v, %v", c.buffer, was.buffer, c.bufferFixed, err)
	}
	if w, err := tr.flow(10*time.Second, func(w int64) bool { return w >= 1<<20 }); err != nil || w < 1<<20 {
		t.Errorf("offers %d bytes, %v; want a megabyte", w, err)
	}
}
