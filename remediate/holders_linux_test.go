package remediate

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"lifeline/remediate/roletest"
	"lifeline/remediate/sockopt"
	"lifeline/remediate/trial"
	"lifeline/remediate/trial/trialtest"
	"lifeline/remediate/undo"
	"lifeline/watchdog"
	"lifeline/watchdog/ledger"
)

// putAway leaves the trial's receiver in a message that nobody has received: it lives,
// and no process holds it. Calling the result ends it.
func putAway(t *testing.T, tr *trial.Connection) (drop func()) {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	own := trialtest.KeepSocket(t, tr)
	if err := unix.Sendmsg(pair[0], []byte{0}, unix.UnixRights(own), nil, 0); err != nil {
		t.Fatal(err)
	}
	unix.Close(own)
	trialtest.EndChild(tr)
	dropped := false
	drop = func() {
		if !dropped {
			dropped = true
			unix.Close(pair[0])
			unix.Close(pair[1])
		}
	}
	t.Cleanup(drop)
	return drop
}

// asBefore says that nothing stands on the trial's receiver.
func asBefore(tr *trial.Connection) error {
	c, err := tr.Inspect()
	if err == nil && (c.WindowClamp != sockopt.NoWindowClamp || c.Pacing != sockopt.NoPacing || c.BufferLocked) {
		err = fmt.Errorf("window %d, pacing %d, buffer fixed %v", c.WindowClamp, c.Pacing, c.BufferLocked)
	}
	return err
}

// limited gives a transfer that a live Enforcer limits.
func limited(t *testing.T) (*trial.Connection, *live) {
	t.Helper()
	tr := trialtest.New(t)
	e := newLive(t, Settings{HoldBuffer: true})
	x := trialtest.TransferOf(tr)
	noFails(t, e.Apply(t.Context(), want(x.ID, watchdog.Limit{Window: 8192, Pacing: 1e6}), []watchdog.Transfer{x}))
	if asBefore(tr) == nil || e.l.Empty() {
		t.Fatal("nothing was limited: nothing is tested")
	}
	return tr, e
}

// An rsync that ended while another process holds its socket: what stands on the
// socket is lifted through that one.
func TestLimitIsLiftedThroughWhoeverHoldsTheSocket(t *testing.T) {
	for name, listed := range map[string]bool{"no longer listed": false, "still listed": true} {
		t.Run(name, func(t *testing.T) {
			tr, e := limited(t)
			var seen []watchdog.Transfer
			if listed {
				seen = append(seen, trialtest.TransferOf(tr))
			}
			trialtest.HandOver(t, tr)
			roletest.Eventually(t, "the ledger is empty", func() bool {
				e.Apply(t.Context(), watchdog.Desired{}, seen)
				return e.l.Empty()
			})
			if err := asBefore(tr); err != nil {
				t.Errorf("the ledger says done: %v", err)
			}
		})
	}
}

// A socket that lives and that nobody can be seen to hold stays in the ledger, is
// reported, and is dropped when it is gone.
func TestLimitThatCannotBeLiftedIsTold(t *testing.T) {
	tr, e := limited(t)
	drop := putAway(t, tr)
	told := ""
	roletest.Eventually(t, "it is reported", func() bool {
		o := e.Apply(t.Context(), watchdog.Desired{}, nil)
		if e.l.Empty() {
			t.Fatal("the ledger says done, and the socket lives")
		}
		for _, f := range o.Failed {
			told = f.Err
		}
		return told != ""
	})
	if !strings.Contains(told, "still exists") {
		t.Errorf("told: %s", told)
	}
	r, err := undo.Release(context.Background(), e.dir, undo.Undoer{})
	if err == nil || len(r.Results) == 0 || r.Results[0].Err == nil || !strings.Contains(err.Error(), "still exists") {
		t.Errorf("release: %+v, %v", r, err)
	}
	if s, err := ledger.Read(e.dir); err != nil || s.Len() == 0 {
		t.Errorf("release left %d entries, %v", s.Len(), err)
	}
	drop()
	roletest.Eventually(t, "the ledger is empty", func() bool {
		e.Apply(t.Context(), watchdog.Desired{}, nil)
		return e.l.Empty()
	})
	if r, err := undo.Release(context.Background(), e.dir, undo.Undoer{}); err != nil {
		t.Errorf("release after its end: %+v, %v", r, err)
	}
}

// The same for what undoes without a daemon, the guard and `lifeline release`.
func TestUndoThroughWhoeverHoldsTheSocket(t *testing.T) {
	tr, e := limited(t)
	trialtest.HandOver(t, tr)
	if r, err := undo.Release(context.Background(), e.dir, undo.Undoer{}); err != nil || len(r.Results) == 0 {
		t.Errorf("release: %+v, %v", r, err)
	}
	if err := asBefore(tr); err != nil {
		t.Error(err)
	}
}
