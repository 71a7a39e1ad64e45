package remediate

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"lifeline/remediate/process"
	"lifeline/remediate/roletest"
	"lifeline/remediate/sysctl"
	"lifeline/remediate/undo"
	"lifeline/watchdog/ledger"
)

// unshared puts the test and what it starts into a network namespace of its own,
// with a value of the setting that is nobody's default.
func unshared(t *testing.T, value int) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: makes a network namespace")
	}
	runtime.LockOSThread() // and never unlocked: the thread ends with the test
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Skipf("no network namespace: %v", err)
	}
	if _, err := sysctl.TSOBursts.Read(); errors.Is(err, fs.ErrNotExist) {
		t.Skip("this kernel has no net.ipv4.tcp_tso_rtt_log")
	}
	setBursts(t, value)
}

func setBursts(t *testing.T, value int) {
	t.Helper()
	if err := sysctl.TSOBursts.Write(value); err != nil {
		t.Fatal(err)
	}
}

func wantBursts(t *testing.T, when string, want int) {
	t.Helper()
	if v, err := sysctl.TSOBursts.Read(); err != nil || v != want {
		t.Errorf("%s: the setting is %d, %v; want %d", when, v, err, want)
	}
}

// shortened starts a daemon that makes bursts small.
func shortened(t *testing.T) *scene {
	t.Helper()
	s := &scene{t: t, dir: t.TempDir()}
	s.write([]order{})
	if err := os.WriteFile(filepath.Join(s.dir, wantSmall), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s.daemon = startDaemon(t, s.dir)
	s.daemon.await("small bursts", func(line string) bool { return strings.Contains(line, "small true") })
	wantBursts(t, "while the daemon runs", sysctl.Small)
	return s
}

func TestGuardGivesBurstsBack(t *testing.T) {
	t.Parallel()
	unshared(t, 7)
	s := shortened(t)
	s.daemon.signal(syscall.SIGKILL)
	roletest.Eventually(t, "the guard gives the setting back", func() bool {
		v, err := sysctl.TSOBursts.Read()
		return err == nil && v == 7
	})
	s.emptyLedger()
}

func TestGuardKeepsAnOperatorsBursts(t *testing.T) {
	t.Parallel()
	unshared(t, 7)
	s := shortened(t)
	s.daemon.signal(syscall.SIGSTOP) // so that it sees nothing of the change
	setBursts(t, 4)
	s.emptyLedger()
	wantBursts(t, "after the guard has undone everything", 4)
}

func TestReleaseGivesBurstsBack(t *testing.T) {
	t.Parallel()
	unshared(t, 7)
	s := shortened(t)
	guard := s.daemon.guard()
	if err := unix.Kill(guard, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	s.daemon.signal(syscall.SIGKILL)
	r, err := undo.Release(context.Background(), s.dir, undo.Undoer{})
	if err != nil {
		t.Error(err)
	}
	wantBursts(t, "released", 7)
	if len(r.Results) > 1 {
		t.Errorf("%+v", r.Results)
	}
	s.emptyLedger()
}

// Each network namespace has its own setting.
func TestBurstsAreUndoneInTheirOwnNamespace(t *testing.T) {
	t.Parallel()
	unshared(t, sysctl.Small)
	here, err := process.Self()
	if err != nil {
		t.Fatal(err)
	}
	e := ledger.Entry{Kind: ledger.Bursts, Netns: here.Netns + 1, Was: 9, Set: sysctl.Small}
	if err := sysctl.Restore(e); err == nil || !strings.Contains(err.Error(), "run it there") {
		t.Errorf("%v", err)
	}
	wantBursts(t, "elsewhere", sysctl.Small)
	e.Netns = here.Netns
	if err := sysctl.Restore(e); err != nil {
		t.Error(err)
	}
	wantBursts(t, "here", 9)
}
