package remediate

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lifeline/watchdog/ledger"
)

// inTime checks the promise. On a machine that is busy with other things a
// single late run says nothing, so it takes three.
func inTime(t *testing.T, n int, end func(s *scene)) *scene {
	t.Helper()
	for range 2 {
		s := newScene(t, n)
		end(s)
		if s.free() <= undoneWithin {
			return s
		}
	}
	s := newScene(t, n)
	end(s)
	if d := s.free(); d > undoneWithin {
		t.Errorf("took %v for the third time, promised are %v", d, undoneWithin)
	}
	return s
}

func TestDaemonKilled(t *testing.T) {
	s := inTime(t, 16, func(s *scene) { s.daemon.signal(syscall.SIGKILL) })
	s.emptyLedger()
	s.flows()
}

func TestDaemonHangs(t *testing.T) {
	s := inTime(t, 6, func(s *scene) { s.daemon.signal(syscall.SIGSTOP) })
	// It was ended, and limits nothing when somebody wakes it up.
	if err := s.daemon.cmd.Process.Signal(syscall.SIGCONT); err == nil {
		time.Sleep(300 * time.Millisecond)
	}
	if left := s.remains(); len(left) > 0 {
		t.Errorf("limited again:\n%s", strings.Join(left, "\n"))
	}
	if err := s.daemon.cmd.Wait(); err == nil {
		t.Error("the daemon was not killed")
	}
	s.emptyLedger()
}

func TestDaemonTerminated(t *testing.T) {
	t.Parallel()
	s := newScene(t, 6)
	guard := s.daemon.guard()
	s.daemon.signal(syscall.SIGTERM)
	if err := s.daemon.cmd.Wait(); err != nil {
		t.Errorf("daemon: %v", err)
	}
	if left := s.remains(); len(left) > 0 {
		t.Errorf("the daemon ended, and there remains:\n%s", strings.Join(left, "\n"))
	}
	if _, err := readStat(guard); err == nil {
		t.Error("the guard is still there")
	}
	s.emptyLedger()
}

func TestDaemonAndGuardKilled(t *testing.T) {
	t.Parallel()
	s := newScene(t, 16)
	guard := s.daemon.guard()
	if err := unix.Kill(guard, unix.SIGSTOP); err != nil { // so that it cannot undo in between
		t.Fatal(err)
	}
	s.daemon.signal(syscall.SIGKILL)
	s.daemon.cmd.Wait()
	if err := unix.Kill(guard, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	time.Sleep(100 * time.Millisecond)
	if len(s.remains()) == 0 {
		t.Fatal("nothing remains: nothing is tested")
	}
	r, err := Release(context.Background(), s.dir, Undoer{})
	if err != nil || len(r.Results) < 16+8 {
		t.Errorf("%d results, %v", len(r.Results), err)
	}
	if left := s.remains(); len(left) > 0 {
		t.Errorf("remains:\n%s", strings.Join(left, "\n"))
	}
	s.emptyLedger()
	if r, err := Release(context.Background(), s.dir, Undoer{}); err != nil || len(r.Results) > 0 {
		t.Errorf("second release: %+v, %v", r, err)
	}
}

func TestReleaseEndsALivingDaemon(t *testing.T) {
	t.Parallel()
	s := newScene(t, 4)
	r, err := Release(context.Background(), s.dir, Undoer{})
	if err != nil || r.Killed.PID != s.daemon.cmd.Process.Pid {
		t.Errorf("killed %v, %v", r.Killed, err)
	}
	if left := s.remains(); len(left) > 0 {
		t.Errorf("remains:\n%s", strings.Join(left, "\n"))
	}
	if len(r.Results) < 6 {
		t.Errorf("only %d entries reported", len(r.Results))
	}
	s.emptyLedger()
}

func TestGuardKilledIsReplaced(t *testing.T) {
	s := inTime(t, 4, func(s *scene) {
		guard := s.daemon.guard()
		if err := unix.Kill(guard, unix.SIGKILL); err != nil {
			t.Fatal(err)
		}
		eventually(t, "another guard", func() bool { return s.daemon.guard() != guard })
		s.daemon.signal(syscall.SIGKILL)
	})
	s.emptyLedger()
}

func TestGuardTerminatedIsReplacedWithoutHarm(t *testing.T) {
	t.Parallel()
	s := newScene(t, 4)
	guard := s.daemon.guard()
	if err := unix.Kill(guard, unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	eventually(t, "another guard", func() bool { return s.daemon.guard() != guard })
	eventually(t, "the old one is gone", func() bool { _, err := readStat(guard); return err != nil })
	time.Sleep(partingTime + 200*time.Millisecond)
	if err := s.daemon.cmd.Process.Signal(syscall.Signal(0)); err != nil {
		t.Fatalf("the daemon died of it: %v", err)
	}
	if len(s.remains()) == 0 {
		t.Error("the limits were lifted")
	}
}

// A guard that is told to end while its daemon hangs undoes; it does not just die.
func TestGuardTerminatedWhileDaemonHangs(t *testing.T) {
	inTime(t, 4, func(s *scene) {
		guard := s.daemon.guard()
		s.daemon.signal(syscall.SIGSTOP)
		if err := unix.Kill(guard, unix.SIGTERM); err != nil {
			t.Fatal(err)
		}
	})
}

func TestGuardThatHangsIsReplaced(t *testing.T) {
	t.Parallel()
	s := newScene(t, 2)
	guard := s.daemon.guard()
	if err := unix.Kill(guard, unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	eventually(t, "another guard", func() bool { return s.daemon.guard() != guard })
	s.daemon.signal(syscall.SIGKILL)
	s.free()
}

func TestNextDaemonUndoesWhatTheLastOneLeft(t *testing.T) {
	t.Parallel()
	s := newScene(t, 4)
	guard := s.daemon.guard()
	if err := unix.Kill(guard, unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	s.daemon.signal(syscall.SIGKILL)
	s.daemon.cmd.Wait()
	if err := unix.Kill(guard, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	s.write([]order{})
	next := startDaemon(t, s.dir)
	next.await("first turn", func(string) bool { return true })
	if left := s.remains(); len(left) > 0 {
		t.Errorf("remains:\n%s", strings.Join(left, "\n"))
	}
}

func TestOneDaemonAtATime(t *testing.T) {
	t.Parallel()
	s := newScene(t, 2)
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	if _, err := Acquire(ctx, s.dir); err == nil {
		t.Fatal("a second one got in")
	} else if !strings.Contains(err.Error(), "another lifeline") {
		t.Error(err)
	}
	s.daemon.signal(syscall.SIGKILL)
	s.free()
	ctx, cancel = context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	lock, err := Acquire(ctx, s.dir)
	if err != nil {
		t.Fatal(err)
	}
	lock.Release()
}

func TestLedgerInTheWayMeansNoAction(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mkfifo(filepath.Join(dir, ledger.File), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Reconcile(context.Background(), dir, Undoer{}); err == nil || !strings.Contains(err.Error(), "FIFO") {
		t.Errorf("reconcile: %v", err)
	}
	if _, err := Release(context.Background(), dir, Undoer{}); err == nil || !strings.Contains(err.Error(), "FIFO") {
		t.Errorf("release: %v", err)
	}
}

// abandon writes a ledger of id that lists a clamp on each trial, and clamps it.
func abandon(t *testing.T, dir string, id ledger.Identity, trials ...*trial) {
	t.Helper()
	l, _, err := ledger.Open(dir, id)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, tr := range trials {
		if err := l.Append(ledger.Entry{Kind: ledger.Window, Socket: tr.socket}); err != nil {
			t.Fatal(err)
		}
		if err := tr.visit(func(fd int) error { return setWindow(fd, 4096) }); err != nil {
			t.Fatal(err)
		}
	}
}

func TestReleaseUndoesTheRestOfADamagedLedger(t *testing.T) {
	trials := []*trial{newTrial(t), newTrial(t), newTrial(t)}
	dir := t.TempDir()
	id, err := Self()
	if err != nil {
		t.Fatal(err)
	}
	abandon(t, dir, id, trials...)
	path := filepath.Join(dir, ledger.File)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(string(b), "\n")
	lines[2] = "00000000" + lines[2][8:]
	if err := os.WriteFile(path, []byte(strings.Join(lines, "")+"1234 torn"), 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := Release(context.Background(), dir, Undoer{})
	if err != nil || len(r.Results) != 2 || len(r.Damage) != 1 || r.Killed.PID != 0 {
		t.Errorf("%+v, %v", r, err)
	}
	for i, tr := range trials {
		c, err := tr.inspect()
		if err != nil || (c.windowClamped == liftedWindow) != (i != 1) {
			t.Errorf("transfer %d: window %d, %v", i, c.windowClamped, err)
		}
	}
}

// The pid of another boot's daemon means nothing, whoever has it now.
func TestReleaseAfterAReboot(t *testing.T) {
	tr := newTrial(t)
	dir := t.TempDir()
	abandon(t, dir, ledger.Identity{Boot: "another boot", Daemon: tr.proc}, tr)
	r, err := Release(context.Background(), dir, Undoer{})
	if err != nil || r.Killed.PID != 0 || len(r.Results) > 0 {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := statOf(tr.proc); err != nil {
		t.Errorf("the process was ended: %v", err)
	}
}

func TestReleaseFromAnotherNetworkNamespaceSaysSo(t *testing.T) {
	dir := t.TempDir()
	id, err := Self()
	if err != nil {
		t.Fatal(err)
	}
	id.Netns++
	l, _, err := ledger.Open(dir, id)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := l.Append(ledger.Entry{Kind: ledger.Qdisc, TC: ledger.TC{Link: 99, Name: "x", Kind: "htb"}}); err != nil {
		t.Fatal(err)
	}
	_, err = Release(context.Background(), dir, Undoer{})
	if err == nil || !strings.Contains(err.Error(), "run it there") {
		t.Errorf("%v", err)
	}
}
