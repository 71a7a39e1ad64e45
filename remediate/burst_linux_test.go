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

	"lifeline/watchdog"
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
	if _, err := burstSetting.read(); errors.Is(err, fs.ErrNotExist) {
		t.Skip("this kernel has no net.ipv4.tcp_tso_rtt_log")
	}
	setBursts(t, value)
}

func setBursts(t *testing.T, value int) {
	t.Helper()
	if err := burstSetting.write(value); err != nil {
		t.Fatal(err)
	}
}

func wantBursts(t *testing.T, when string, want int) {
	t.Helper()
	if v, err := burstSetting.read(); err != nil || v != want {
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
	wantBursts(t, "while the daemon runs", smallBursts)
	return s
}

func TestGuardGivesBurstsBack(t *testing.T) {
	t.Parallel()
	unshared(t, 7)
	s := shortened(t)
	s.daemon.signal(syscall.SIGKILL)
	eventually(t, "the guard gives the setting back", func() bool {
		v, err := burstSetting.read()
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
	r, err := Release(context.Background(), s.dir, Undoer{})
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
	unshared(t, smallBursts)
	here, err := Self()
	if err != nil {
		t.Fatal(err)
	}
	e := ledger.Entry{Kind: ledger.Bursts, Netns: here.Netns + 1, Was: 9, Set: smallBursts}
	if err := restoreBursts(e); err == nil || !strings.Contains(err.Error(), "run it there") {
		t.Errorf("%v", err)
	}
	wantBursts(t, "elsewhere", smallBursts)
	e.Netns = here.Netns
	if err := restoreBursts(e); err != nil {
		t.Error(err)
	}
	wantBursts(t, "here", 9)
}

func TestBurstCapability(t *testing.T) {
	dir := t.TempDir()
	old := sysctl(filepath.Join(dir, "absent"))
	if err := old.try(); err != nil {
		t.Errorf("an old kernel: %v", err)
	}
	if err := sysctl(filepath.Join(dir, "gone", "x")).try(); err == nil || !strings.Contains(err.Error(), "mounted") {
		t.Errorf("no /proc/sys: %v", err)
	}
	c := BurstCapability("in a container")
	if c.Available || c.Why != "in a container" || c.Left == "" {
		t.Errorf("%+v", c)
	}
	if os.Geteuid() != 0 {
		t.Skip("the rest needs root")
	}
	if c := BurstCapability(""); c != (watchdog.Capability{Name: remedyBursts, Available: true}) {
		t.Errorf("%+v", c)
	}
	if err := inReadOnlySys(); err == nil || !strings.Contains(err.Error(), "ProtectKernelTunables") {
		t.Errorf("read-only: %v", err)
	}
}

// inReadOnlySys tries the setting where /proc/sys is read-only, as in a container.
func inReadOnlySys() error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends here
		done <- errors.Join(
			unix.Unshare(unix.CLONE_FS|unix.CLONE_NEWNS),
			unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""),
			unix.Mount("/proc/sys", "/proc/sys", "", unix.MS_BIND, ""),
			unix.Mount("", "/proc/sys", "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""),
			burstSetting.try())
	}()
	return <-done
}
