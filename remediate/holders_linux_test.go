package remediate

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lifeline/watchdog"
	"lifeline/watchdog/ledger"
)

// keepSocket gives a duplicate of the trial's receiver, as a process has that was
// forked or was sent it.
func keepSocket(t *testing.T, tr *trial) int {
	t.Helper()
	own := -1
	if err := tr.visit(func(fd int) (err error) {
		own, err = unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return own
}

// handOver gives the trial's receiver to a process of another user, and ends the one
// that had it.
func handOver(t *testing.T, tr *trial) {
	t.Helper()
	f := os.NewFile(uintptr(keepSocket(t, tr)), "socket")
	defer f.Close()
	heir := exec.Command("sleep", "600")
	heir.ExtraFiles = []*os.File{nil, nil, f} // another number than it had
	if os.Geteuid() == 0 {
		heir.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	}
	if err := heir.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		heir.Process.Kill()
		heir.Wait()
	})
	endChild(tr)
	st, err := readStat(heir.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	tr.socket.Refs = []watchdog.FDRef{{Proc: watchdog.ProcID{PID: heir.Process.Pid, Start: st.start}, FD: 5}}
}

// putAway leaves the trial's receiver in a message that nobody has received: it lives,
// and no process holds it. Calling the result ends it.
func putAway(t *testing.T, tr *trial) (drop func()) {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	own := keepSocket(t, tr)
	if err := unix.Sendmsg(pair[0], []byte{0}, unix.UnixRights(own), nil, 0); err != nil {
		t.Fatal(err)
	}
	unix.Close(own)
	endChild(tr)
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

func endChild(tr *trial) {
	tr.child.Process.Kill()
	tr.child.Wait()
}

// asBefore says that nothing stands on the trial's receiver.
func asBefore(tr *trial) error {
	c, err := tr.inspect()
	if err == nil && (c.windowClamped != liftedWindow || c.pacing != liftedPacing || c.bufferFixed) {
		err = fmt.Errorf("window %d, pacing %d, buffer fixed %v", c.windowClamped, c.pacing, c.bufferFixed)
	}
	return err
}

// limited gives a transfer that a live Enforcer limits.
func limited(t *testing.T) (*trial, *live) {
	t.Helper()
	tr := newTrial(t)
	e := newLive(t, Settings{HoldBuffer: true})
	x := tr.transfer()
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
				seen = append(seen, tr.transfer())
			}
			handOver(t, tr)
			eventually(t, "the ledger is empty", func() bool {
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
	eventually(t, "it is reported", func() bool {
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
	r, err := Release(context.Background(), e.dir, Undoer{})
	if err == nil || len(r.Results) == 0 || r.Results[0].Err == nil || !strings.Contains(err.Error(), "still exists") {
		t.Errorf("release: %+v, %v", r, err)
	}
	if s, err := ledger.Read(e.dir); err != nil || s.Len() == 0 {
		t.Errorf("release left %d entries, %v", s.Len(), err)
	}
	drop()
	eventually(t, "the ledger is empty", func() bool {
		e.Apply(t.Context(), watchdog.Desired{}, nil)
		return e.l.Empty()
	})
	if r, err := Release(context.Background(), e.dir, Undoer{}); err != nil {
		t.Errorf("release after its end: %+v, %v", r, err)
	}
}

// The same for what undoes without a daemon, the guard and `lifeline release`.
func TestUndoThroughWhoeverHoldsTheSocket(t *testing.T) {
	tr, e := limited(t)
	handOver(t, tr)
	if r, err := Release(context.Background(), e.dir, Undoer{}); err != nil || len(r.Results) == 0 {
		t.Errorf("release: %+v, %v", r, err)
	}
	if err := asBefore(tr); err != nil {
		t.Error(err)
	}
}

// And for the priority that chooses the shaper's class.
func TestPriorityIsGivenBackThroughWhoeverHoldsTheSocket(t *testing.T) {
	tr := newTrial(t)
	l := openLedger(t, t.TempDir())
	p := &priorities{ledger: l, held: map[watchdog.TransferID]watchdog.Socket{}}
	x := tr.transfer()
	var of priority
	if err := p.set(&x, &of, time.Now()); err != nil {
		t.Fatal(err)
	}
	handOver(t, tr)
	eventually(t, "the ledger is empty", func() bool {
		_ = p.restore(of.entry) // an error is one that is tried again
		return l.Empty()
	})
	if err := tr.visit(func(fd int) error {
		if v, err := getPriority(fd); err != nil || v == classRsync {
			return fmt.Errorf("priority %#x, %w", v, err)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}

// A socket is known by the kernel's own number: neither another one of the same inode
// nor one of the same address is taken for it.
func TestAnotherSocketIsNotTouched(t *testing.T) {
	tr := newTrial(t)
	var cookie uint64
	if err := tr.visit(func(fd int) (err error) {
		cookie, err = unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_COOKIE)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	for c, there := range map[uint64]bool{cookie: true, cookie + 1: false} {
		s := tr.socket
		s.Cookie = c
		err := VisitSocket(s, func(int) error { return nil })
		if (err == nil) != there || !there && !errors.Is(err, ErrGone) {
			t.Errorf("cookie %d of %d: %v", c, cookie, err)
		}
		if stands, err := socketStands(s); stands != there || err != nil {
			t.Errorf("cookie %d of %d: stands %v, %v", c, cookie, stands, err)
		}
	}
}

// What a process holds decides how long it takes to see whether it may be stopped: with
// very many descriptors it is not, and the reason is told.
func TestProcessOfManyDescriptorsIsNotStopped(t *testing.T) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	c := exec.Command("sleep", "600")
	for range maxVetted {
		c.ExtraFiles = append(c.ExtraFiles, null)
	}
	if err := c.Start(); err != nil {
		t.Skipf("no process with %d descriptors: %v", maxVetted, err)
	}
	t.Cleanup(func() {
		c.Process.Kill()
		c.Wait()
	})
	st, err := readStat(c.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	p := watchdog.ProcID{PID: c.Process.Pid, Start: st.start}
	if err := newKernel(&Handles{}).stop(p); err == nil || !strings.Contains(err.Error(), "descriptors") {
		t.Errorf("stop: %v", err)
	}
	if st, err := statOf(p); err != nil || st.stopped() {
		t.Errorf("state %c, %v", st.state, err)
	}
}
