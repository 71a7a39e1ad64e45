package alert

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.etcd.io/bbolt"
	"golang.org/x/sys/unix"

	"lifeline/watchdog"
	"lifeline/watchdog/alert/alerttest"
	"lifeline/watchdog/alert/notify"
	"lifeline/watchdog/store"
)

// inOwnMounts runs a test once more in a process with mounts of its own, so
// that it may mount what it likes; it tells whether this is that process.
func inOwnMounts(t *testing.T) bool {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: makes a mount namespace")
	}
	const env = "LIFELINE_OWN_MOUNTS"
	if os.Getenv(env) == t.Name() {
		return true
	}
	t.Parallel()
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), env+"="+t.Name())
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Errorf("%v\n%s", err, out)
	}
	return false
}

// mountSmall mounts a file system of 2 MB and gives its place.
func mountSmall(t *testing.T, flags uintptr) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("lifeline-test", dir, "tmpfs", flags, "size=2m"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// fill takes all room there is.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, size := range []int{64 << 10, 4 << 10, 1} {
		for chunk := make([]byte, size); err == nil; _, err = f.Write(chunk) {
		}
		err = nil
	}
}

// On a full disk alerts go into pages that were kept for it, then wait in
// memory; they arrive all the same, in order, and are on disk when there is
// room.
func TestFullDisk(t *testing.T) {
	if !inOwnMounts(t) {
		return
	}
	dir := mountSmall(t, 0)
	b := alerttest.NewInbox(t)
	b.Set(alerttest.Always(503))
	a := start(t, filepath.Join(dir, "state"), quick("r", notify.TypeJSON, b.URL))
	a.pair(alerttest.Saturated)
	alerttest.Eventually(t, "spooled", func() bool { return a.Status().Spool.Unwrit == 0 })
	filler := filepath.Join(dir, "filler")
	fill(t, filler)
	c := alerttest.Condition(watchdog.LinkDown, "eth1", watchdog.Critical)
	c.Evidence = strings.Repeat("x", 900)
	a.pair(c)
	alerttest.Eventually(t, "what was kept for a full disk takes alerts", func() bool { return a.Status().Spool.Unwrit == 0 && a.receiver("r").Pending == 4 })
	sent := 4
	for ; a.Status().Spool.Err == ""; sent += 2 {
		if sent > 4000 {
			t.Fatal("the disk is never full")
		}
		c.Subject = watchdog.LinkSubject(fmt.Sprintf("eth%d", sent))
		a.pair(c)
		if sent%50 == 0 {
			alerttest.Eventually(t, "the mailbox is empty", a.box.quiet)
		}
	}
	b.Set(nil)
	alerttest.Eventually(t, "all arrive", func() bool { return len(b.Got()) == sent })
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	a.pair(alerttest.Condition(watchdog.LinkDown, "last", watchdog.Critical))
	alerttest.Eventually(t, "on disk again", func() bool {
		s := a.Status().Spool
		return s.Err == "" && s.Unwrit == 0 && a.receiver("r").Pending == 0
	})
	got := inOrder(t, b.Got())
	if len(b.Got()) != sent+2 || len(got) != sent/2+1 {
		t.Errorf("%d events of %d links arrived, want %d of %d, none twice", len(b.Got()), len(got), sent+2, sent/2+1)
	}
}

// Nothing can be kept on a disk that is read-only; alerts go out of memory.
func TestReadOnlyDisk(t *testing.T) {
	if !inOwnMounts(t) {
		return
	}
	dir := mountSmall(t, unix.MS_RDONLY)
	b := alerttest.NewInbox(t)
	a := start(t, filepath.Join(dir, "state"), quick("r", notify.TypeJSON, b.URL))
	if s := a.Status().Spool; !strings.Contains(s.Err, "read-only file system") {
		t.Errorf("status says %q", s.Err)
	}
	a.raise(alerttest.Saturated)
	alerttest.Eventually(t, "sent from memory", func() bool { return len(b.Got()) == 1 })
	if err := unix.Mount("", dir, "", unix.MS_REMOUNT, "size=2m"); err != nil {
		t.Fatal(err)
	}
	a.clear(alerttest.Saturated)
	alerttest.Eventually(t, "on disk", func() bool { s := a.Status().Spool; return s.Err == "" && s.History == 1 })
	alerttest.Eventually(t, "the end", func() bool { return len(b.Got()) == 2 })
}

// hangDisk makes the disk below a's spool hang until the test is over, or release:
// who writes waits for a transaction that does not end.
func hangDisk(t *testing.T) (sys system, hang, release func()) {
	var db *store.DB
	sys.openStore = func(path string) (*store.DB, error) {
		opened, err := unsyncedDisk.openStore(path)
		db = opened
		return opened, err
	}
	var tx *bbolt.Tx
	hang = func() {
		var err error
		if tx, err = db.Begin(true); err != nil {
			t.Fatal(err)
		}
	}
	release = sync.OnceFunc(func() {
		if err := tx.Rollback(); err != nil {
			t.Error(err)
		}
	})
	return sys, hang, release
}

// What the control loop calls waits for nobody: neither for the lifecycle, whose
// lock is held here, nor for a disk that hangs while the spool writes.
func TestControlLoopNeverWaits(t *testing.T) {
	sys, hang, release := hangDisk(t)
	cfg := DefaultConfig()
	cfg.Host, cfg.Receivers = "h", []notify.Receiver{quick("hangs", notify.TypeJSON, alerttest.NewHanging(t))}
	opened, err := open(t.TempDir(), cfg, alerttest.Silent(), sys)
	if err != nil {
		t.Fatal(err)
	}
	hang()
	a := run(t, opened)
	t.Cleanup(release) // before the run ends
	a.raise(alerttest.Saturated)
	alerttest.Eventually(t, "the spool waits for the disk", func() bool { return a.Status().Spool.Unwrit > 0 })
	a.mu.Lock()
	done := make(chan struct{})
	go func() {
		for range 2 * maxLetters {
			a.Take(time.Now(), []watchdog.Condition{alerttest.Saturated}, []watchdog.Change{{Condition: alerttest.Saturated, Raised: true}})
			a.Remark(time.Now(), alerttest.Saturated.Subject, "8 transfers limited")
		}
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(30 * time.Second):
		t.Error("it waits")
	}
	a.mu.Unlock()
	if a.Status().Overrun == 0 {
		t.Error("turns that found no room are not counted")
	}
}
