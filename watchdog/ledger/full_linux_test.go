package ledger

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// onTinyTmpfs runs f with a 64 kB tmpfs in a mount namespace of its own.
func onTinyTmpfs(t *testing.T, f func(dir string)) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root to mount a small tmpfs")
	}
	dir := t.TempDir()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread dies with its namespace
		err := unix.Unshare(unix.CLONE_NEWNS | unix.CLONE_FS)
		if err == nil {
			err = unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
		}
		if err == nil {
			err = unix.Mount("tmpfs", dir, "tmpfs", 0, "size=64k")
		}
		if err == nil {
			f(dir)
		}
		done <- err
	}()
	if err := <-done; err != nil {
		t.Skipf("no mount namespace: %v", err)
	}
}

func TestFullDiskRefusesAndRecovers(t *testing.T) {
	onTinyTmpfs(t, func(dir string) {
		l, _, err := Open(dir, here)
		if err != nil {
			t.Error(err)
			return
		}
		defer l.Close()
		if err := l.Append(window(1), window(2)); err != nil {
			t.Error(err)
			return
		}
		hog := filepath.Join(dir, "hog")
		if err := fill(hog); err != nil {
			t.Error(err)
			return
		}
		var full error
		var made int
		for i := uint64(100); full == nil && i < 2000; i++ {
			if full = l.Append(window(i)); full == nil {
				made++
			}
		}
		if !errors.Is(full, syscall.ENOSPC) {
			t.Errorf("append on a full disk: %v, want no space left", full)
		}
		s, err := Read(dir)
		if err != nil || len(s.Damage) > 0 || s.Len() != 2+made {
			t.Errorf("%d live, damage %q, %v; want %d", s.Len(), s.Damage, err, 2+made)
		}
		l.Done(window(1).Key()) // may fail; must not be forgotten
		if err := os.Remove(hog); err != nil {
			t.Error(err)
		}
		if err := l.Append(window(3)); err != nil {
			t.Errorf("append with space again: %v", err)
		}
		s, err = Read(dir)
		if err != nil || len(s.Damage) > 0 || s.Len() != 2+made {
			t.Errorf("afterwards %d live, damage %q, %v; want %d", s.Len(), s.Damage, err, 2+made)
		}
	})
}

func fill(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	for {
		if _, err := f.Write(make([]byte, 4096)); err != nil {
			if errors.Is(err, syscall.ENOSPC) {
				return nil
			}
			return err
		}
	}
}

func TestFullDiskAtOpen(t *testing.T) {
	onTinyTmpfs(t, func(dir string) {
		if err := fill(filepath.Join(dir, "hog")); err != nil {
			t.Error(err)
			return
		}
		if _, _, err := Open(dir, here); !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("open on a full disk: %v", err)
		}
	})
}
