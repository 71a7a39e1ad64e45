package undo

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lifeline/remediate/process"
	"lifeline/remediate/sockopt"
	"lifeline/remediate/trial"
	"lifeline/remediate/trial/trialtest"
	"lifeline/watchdog/ledger"
)

// inSmallTmpfs runs f with a tmpfs of 64 kB that only its thread sees.
func inSmallTmpfs(t *testing.T, f func(dir string)) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: mounts a small tmpfs")
	}
	dir := t.TempDir()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with its mounts
		err := unix.Unshare(unix.CLONE_NEWNS | unix.CLONE_FS)
		if err == nil {
			err = unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
		}
		if err == nil {
			err = unix.Mount("tmpfs", dir, "tmpfs", 0, "size=64k,mode=755")
		}
		if err == nil {
			f(dir)
		}
		done <- err
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// fillUp takes all room of a directory's file system.
func fillUp(dir string) error {
	f, err := os.Create(filepath.Join(dir, "hog"))
	if err != nil {
		return err
	}
	defer f.Close()
	for err == nil {
		_, err = f.Write(make([]byte, 512))
	}
	if errors.Is(err, syscall.ENOSPC) {
		return nil
	}
	return err
}

// leaveStopped is a daemon that died: its ledger lists a stopped process and a
// clamp on each trial.
func leaveStopped(t *testing.T, dir string, trials []*trial.Connection) error {
	id, err := process.Self()
	if err != nil {
		return err
	}
	id.Daemon.PID, id.Daemon.Start = 1, 1 // nobody
	l, _, err := ledger.Open(dir, id)
	if err != nil {
		return err
	}
	defer l.Close()
	for _, tr := range trials {
		err := l.Append(ledger.Entry{Kind: ledger.Window, Socket: tr.Socket}, ledger.Entry{Kind: ledger.Pause, Proc: tr.Proc})
		if err == nil {
			err = tr.Visit(func(fd int) error { return sockopt.SetWindowClamp(fd, 4096) })
		}
		if err == nil {
			err = trialtest.Stop(tr)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// whereNothingIsWritten are the ways in which a run directory takes no write.
var whereNothingIsWritten = map[string]func(dir string) error{
	"full": fillUp,
	"full, and its lock lost": func(dir string) error {
		_ = os.Remove(filepath.Join(dir, lockFile))
		return fillUp(dir)
	},
	"read-only": func(dir string) error {
		lock, err := Acquire(context.Background(), dir)
		if err != nil {
			return err
		}
		return errors.Join(lock.Release(), unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""))
	},
	"read-only, and its lock lost": func(dir string) error {
		return unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, "")
	},
}

// What can be undone without a write is undone where nothing can be written, by
// hand and at the next start, and what was not written is said.
func TestUndoneWhereNothingCanBeWritten(t *testing.T) {
	for how, spoil := range whereNothingIsWritten {
		for who, undo := range map[string]func(dir string) (Report, error){
			"release": func(dir string) (Report, error) { return Release(t.Context(), dir, Undoer{}) },
			"start":   startIn,
		} {
			t.Run(who+", "+how, func(t *testing.T) {
				trials := []*trial.Connection{trialtest.New(t), trialtest.New(t), trialtest.New(t)}
				inSmallTmpfs(t, func(dir string) {
					if err := errors.Join(leaveStopped(t, dir, trials), spoil(dir)); err != nil {
						t.Error(err)
						return
					}
					r, err := undo(dir)
					if len(r.Results) != 2*len(trials) || r.Err() != nil {
						t.Errorf("%d results, %v", len(r.Results), r.Err())
					}
					if strings.HasPrefix(how, "read-only") && !errors.Is(err, syscall.EROFS) {
						t.Errorf("the failed write is not told: %v", err)
					}
				})
				wantFree(t, trials)
			})
		}
	}
}

// startIn is how a daemon begins.
func startIn(dir string) (Report, error) {
	lock, l, r, err := TakeOver(context.Background(), dir, 5*time.Second, Undoer{})
	if l != nil {
		l.Close()
	}
	if lock != nil {
		lock.Release()
	}
	return r, err
}

func wantFree(t *testing.T, trials []*trial.Connection) {
	t.Helper()
	for i, tr := range trials {
		if st, err := process.StatOf(tr.Proc); err != nil || st.Stopped() {
			t.Errorf("transfer %d is stopped: %v", i, err)
		}
		if c, err := tr.Inspect(); err != nil || c.WindowClamp != sockopt.NoWindowClamp {
			t.Errorf("transfer %d: window %d, %v", i, c.WindowClamp, err)
		}
	}
}

// Without the lock a living daemon is left alone, for it undoes by itself.
func TestStartWithoutALockLeavesALivingDaemonAlone(t *testing.T) {
	tr, other := trialtest.New(t), trialtest.New(t)
	inSmallTmpfs(t, func(dir string) {
		id, err := process.Self()
		if err != nil {
			t.Error(err)
			return
		}
		id.Daemon = other.Proc
		l, _, err := ledger.Open(dir, id)
		if err == nil {
			err = l.Append(ledger.Entry{Kind: ledger.Pause, Proc: tr.Proc})
			l.Close()
		}
		if err = errors.Join(err, trialtest.Stop(tr), whereNothingIsWritten["read-only, and its lock lost"](dir)); err != nil {
			t.Error(err)
			return
		}
		if r, err := startIn(dir); err == nil || len(r.Results) > 0 {
			t.Errorf("%d results, %v", len(r.Results), err)
		}
	})
	if st, err := process.StatOf(tr.Proc); err != nil || !st.Stopped() {
		t.Errorf("what a living daemon had stopped runs: %v", err)
	}
	if _, err := process.StatOf(other.Proc); err != nil {
		t.Errorf("the living daemon was ended: %v", err)
	}
}

// What a newer version wrote and this one does not know is told as not undone,
// and stays for that version; what it does know is undone all the same.
func TestEntriesOfANewerVersionStay(t *testing.T) {
	for name, line := range map[string]string{
		"a kind of its own":       `{"do":{"kind":"teleport","where":{"x":1}},"key":"teleport:1"}`,
		"a field of another sort": `{"do":{"kind":"window","was":"much"}}`,
	} {
		t.Run(name, func(t *testing.T) {
			trials := []*trial.Connection{trialtest.New(t)}
			dir := t.TempDir()
			if err := leaveStopped(t, dir, trials); err != nil {
				t.Fatal(err)
			}
			addLine(t, dir, line)
			for range 2 {
				r, err := Release(t.Context(), dir, Undoer{})
				if err == nil || !strings.Contains(err.Error(), "newer version") {
					t.Errorf("release: %v", err)
				}
				failed := 0
				for _, u := range r.Results {
					if u.Err != nil {
						failed++
					}
				}
				if failed != 1 || len(r.Damage) > 0 {
					t.Errorf("%d not undone of %d, damage %q", failed, len(r.Results), r.Damage)
				}
			}
			wantFree(t, trials)
			b, err := os.ReadFile(filepath.Join(dir, ledger.File))
			if body := line[strings.Index(line, `"do":`):strings.Index(line, `}`)]; err != nil || !strings.Contains(string(b), body) {
				t.Errorf("the entry is not as it was, %v:\n%s", err, b)
			}
			addLine(t, dir, `{"done":["teleport:1"]}`)
			if s, err := ledger.Read(dir); name == "a kind of its own" && (err != nil || s.Len() != 0) {
				t.Errorf("the newer version undid it, and %d entries are left: %v", s.Len(), err)
			}
		})
	}
}

// addLine appends a record to a ledger.
func addLine(t *testing.T, dir, body string) {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(dir, ledger.File), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = fmt.Fprintf(f, "%08x %s\n", crc32.Checksum([]byte(body), crc32.MakeTable(crc32.Castagnoli)), body)
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}
