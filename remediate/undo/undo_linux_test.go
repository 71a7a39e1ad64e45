package undo

import (
	"context"
	"errors"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lifeline/remediate/process"
	"lifeline/remediate/sockopt"
	"lifeline/remediate/trial/trialtest"
	"lifeline/watchdog"
	"lifeline/watchdog/ledger"
)

func TestUndoFindsASocketThatAChildInherited(t *testing.T) {
	tr := trialtest.New(t)
	if err := tr.Visit(func(fd int) error { return sockopt.SetWindowClamp(fd, 4096) }); err != nil {
		t.Fatal(err)
	}
	s := tr.Socket
	s.Refs = []watchdog.FDRef{{Proc: watchdog.ProcID{PID: 1 << 21, Start: 1}, FD: 3}}
	r := Undoer{}.Undo(context.Background(), []ledger.Entry{{Kind: ledger.Window, Socket: s}})
	if r[0].Err != nil {
		t.Fatal(r[0].Err)
	}
	if c, err := tr.Inspect(); err != nil || c.WindowClamp != sockopt.NoWindowClamp {
		t.Errorf("window %d, %v", c.WindowClamp, err)
	}
}

func TestUndoGoesOnAfterAFailure(t *testing.T) {
	tr := trialtest.New(t)
	ctx := context.Background()
	if err := tr.Visit(func(fd int) error {
		return errors.Join(sockopt.SetWindowClamp(fd, 4096), sockopt.SetPacing(fd, 1e6), unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PRIORITY, 5))
	}); err != nil {
		t.Fatal(err)
	}
	if err := tr.Handles.Signal(tr.Proc, unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	refused := errors.New("refused")
	u := Undoer{RemoveTC: func(ledger.Entry) error { return refused }}
	r := u.Undo(ctx, []ledger.Entry{
		{Kind: ledger.Qdisc, TC: ledger.TC{Name: "none"}},
		{Kind: ledger.Window, Socket: tr.Socket},
		{Kind: ledger.Priority, Socket: tr.Socket, Set: 5, Was: 2},
		{Kind: ledger.Pause, Proc: tr.Proc},
		{Kind: ledger.Pacing, Socket: tr.Socket},
	})
	for i, x := range r {
		if (i == 0) != errors.Is(x.Err, refused) {
			t.Errorf("%v: %v", x.Entry, x.Err)
		}
	}
	c, err := tr.Inspect()
	if err != nil || c.WindowClamp != sockopt.NoWindowClamp || c.Pacing != sockopt.NoPacing {
		t.Errorf("%+v, %v", c, err)
	}
	if st, err := process.StatOf(tr.Proc); err != nil || st.Stopped() {
		t.Errorf("state %c, %v", st.State, err)
	}
	tr.Visit(func(fd int) error {
		if v, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PRIORITY); err != nil || v != 2 {
			t.Errorf("priority %d, %v", v, err)
		}
		return nil
	})
}

func TestSmallBufferIsGivenBack(t *testing.T) {
	tr := trialtest.New(t)
	was, err := tr.Inspect()
	if err != nil || was.BufferLocked {
		t.Fatalf("%+v, %v", was, err)
	}
	if err := tr.Visit(func(fd int) error { return sockopt.SetReceiveBuffer(fd, 32<<10) }); err != nil {
		t.Fatal(err)
	}
	if c, err := tr.Inspect(); err != nil || c.ReceiveBuffer > 64<<10 {
		t.Fatalf("buffer %d, %v", c.ReceiveBuffer, err)
	}
	r := Undoer{}.Undo(context.Background(), []ledger.Entry{{Kind: ledger.Buffer, Socket: tr.Socket, Was: int(was.ReceiveBuffer)}})
	if r[0].Err != nil {
		t.Fatal(r[0].Err)
	}
	c, err := tr.Inspect()
	if err != nil || c.ReceiveBuffer < was.ReceiveBuffer || c.BufferLocked {
		t.Errorf("buffer %d, was %d; fixed %v, %v", c.ReceiveBuffer, was.ReceiveBuffer, c.BufferLocked, err)
	}
	if w, err := tr.Flow(10*time.Second, func(w int64) bool { return w >= 1<<20 }); err != nil || w < 1<<20 {
		t.Errorf("offers %d bytes, %v; want a megabyte", w, err)
	}
}
