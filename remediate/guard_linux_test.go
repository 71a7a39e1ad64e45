package remediate

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lifeline/remediate/process"
	"lifeline/remediate/roletest"
	"lifeline/remediate/undo"
)

// inTime checks the promise, each time. What the machine kept processes waiting for a
// processor meanwhile is no fault of ours, up to twice what is promised.
func inTime(t *testing.T, n int, end func(s *scene)) *scene {
	t.Helper()
	s := newScene(t, n)
	before := waitedForCPU(t)
	end(s)
	took := s.free()
	waited := waitedForCPU(t) - before
	if took > undoneWithin+min(waited, 2*undoneWithin) {
		t.Errorf("took %v, promised are %v; processes waited %v for a processor", took, undoneWithin, waited)
	}
	return s
}

// waitedForCPU is how long so far some process waited for a processor
// (/proc/pressure/cpu); 0 where the kernel does not tell.
func waitedForCPU(t *testing.T) time.Duration {
	t.Helper()
	b, err := os.ReadFile("/proc/pressure/cpu")
	if err != nil {
		return 0
	}
	_, total, _ := strings.Cut(string(b), "total=")
	var us int64
	if _, err := fmt.Sscan(total, &us); err != nil {
		t.Fatalf("%q: %v", b, err)
	}
	return time.Duration(us) * time.Microsecond
}

func TestDaemonKilled(t *testing.T) {
	s := inTime(t, 16, func(s *scene) { s.daemon.signal(syscall.SIGKILL) })
	s.emptyLedger()
	s.flows()
}

func TestDaemonHangs(t *testing.T) {
	s := inTime(t, 6, func(s *scene) { s.daemon.signal(syscall.SIGSTOP) })
	// It was ended, and limits nothing when somebody wakes it up.
	_ = s.daemon.cmd.Process.Signal(syscall.SIGCONT) // it is dead by now, or will be
	if err := s.daemon.wait(); err == nil {
		t.Error("the daemon was not killed")
	}
	if left := s.remains(); len(left) > 0 {
		t.Errorf("limited again:\n%s", strings.Join(left, "\n"))
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
	if _, err := process.ReadStat(guard); err == nil {
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
	roletest.Eventually(t, "the guard is gone", func() bool { return isDead(guard) })
	if len(s.remains()) == 0 {
		t.Fatal("nothing remains: nothing is tested")
	}
	r, err := undo.Release(context.Background(), s.dir, undo.Undoer{})
	if err != nil || len(r.Results) < 16+8 {
		t.Errorf("%d results, %v", len(r.Results), err)
	}
	if left := s.remains(); len(left) > 0 {
		t.Errorf("remains:\n%s", strings.Join(left, "\n"))
	}
	s.emptyLedger()
	if r, err := undo.Release(context.Background(), s.dir, undo.Undoer{}); err != nil || len(r.Results) > 0 {
		t.Errorf("second release: %+v, %v", r, err)
	}
}

func TestReleaseEndsALivingDaemon(t *testing.T) {
	t.Parallel()
	s := newScene(t, 4)
	r, err := undo.Release(context.Background(), s.dir, undo.Undoer{})
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
		roletest.Eventually(t, "another guard", func() bool { return s.daemon.guard() != guard })
		s.daemon.signal(syscall.SIGKILL)
	})
	s.emptyLedger()
}

func TestGuardTerminatedIsReplacedWithoutHarm(t *testing.T) {
	t.Parallel()
	s := newScene(t, 4)
	old := s.daemon.guard()
	if err := unix.Kill(old, unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	roletest.Eventually(t, "another guard", func() bool { return s.daemon.guard() != old })
	roletest.Eventually(t, "the old one is gone", func() bool { return isDead(old) })
	s.daemon.cycles(5) // of what the old one did, the daemon has died by now
	if len(s.remains()) == 0 {
		t.Error("the limits were lifted")
	}
}

// isDead tells whether a process has ended, also where nobody reaps it.
func isDead(pid int) bool {
	st, err := process.ReadStat(pid)
	return err != nil || st.Dead()
}

// A guard that dies leaves the daemon and all limits as they were, however often, on a
// busy machine, and where it takes long to move the next one out of the daemon's control
// group.
func TestGuardKilledFiftyTimes(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute")
	}
	const transfers = 8
	s := newSlowScene(t, transfers)
	burnCPU(t)
	s.daemon.watchLimits(transfers)
	for range 50 {
		old := s.daemon.guard()
		if err := unix.Kill(old, unix.SIGKILL); err != nil {
			t.Fatal(err)
		}
		roletest.EventuallyIn(t, time.Minute, "another guard", func() bool { return s.daemon.guard() != old })
	}
	s.daemon.cycles(5)
	if n := s.daemon.longestLapse(); n > 2 {
		t.Errorf("limits lapsed for %d cycles", n)
	}
}

// burnCPU keeps all processors busy until the test ends.
func burnCPU(t *testing.T) {
	t.Helper()
	for range 2 * runtime.NumCPU() {
		cmd := exec.Command("sh", "-c", "while :; do :; done")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			cmd.Process.Kill()
			cmd.Wait()
		})
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
	roletest.Eventually(t, "another guard", func() bool { return s.daemon.guard() != guard })
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
	if _, err := undo.Acquire(ctx, s.dir); err == nil {
		t.Fatal("a second one got in")
	} else if !strings.Contains(err.Error(), "another lifeline") {
		t.Error(err)
	}
	s.daemon.signal(syscall.SIGKILL)
	s.free()
	ctx, cancel = context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	lock, err := undo.Acquire(ctx, s.dir)
	if err != nil {
		t.Fatal(err)
	}
	lock.Release()
}
