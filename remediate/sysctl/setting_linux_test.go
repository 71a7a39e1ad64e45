package sysctl

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"lifeline/remediate/remedy"
	"lifeline/watchdog"
)

func TestBurstCapability(t *testing.T) {
	dir := t.TempDir()
	old := File(filepath.Join(dir, "absent"))
	if err := old.checkWritable(); err != nil {
		t.Errorf("an old kernel: %v", err)
	}
	if err := File(filepath.Join(dir, "gone", "x")).checkWritable(); err == nil || !strings.Contains(err.Error(), "mounted") {
		t.Errorf("no /proc/sys: %v", err)
	}
	c := Capability(errors.New("in a container"))
	if c.Available || c.Why != "in a container" || c.Left == "" {
		t.Errorf("%+v", c)
	}
	if os.Geteuid() != 0 {
		t.Skip("the rest needs root")
	}
	if c := Capability(nil); c != (watchdog.Capability{Name: remedy.SmallBursts, Available: true}) {
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
			TSOBursts.checkWritable())
	}()
	return <-done
}
