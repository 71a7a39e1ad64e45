package alert

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lifeline/watchdog"
	"lifeline/watchdog/store/storetest"
)

// A spool that is damaged in any way, before the start or under the running
// daemon, ends nothing and hangs nothing: new alerts are spooled.
func TestRandomDamage(t *testing.T) {
	whole, err := os.ReadFile(filepath.Join(filled(t), File))
	if err != nil {
		t.Fatal(err)
	}
	for seed := range uint64(storetest.Rounds(t, 60)) {
		r := rand.New(rand.NewPCG(seed, 12))
		bad, what := storetest.Damage(r, whole)
		what = fmt.Sprintf("seed %d, %s", seed, what)
		running := r.IntN(3) == 0
		done := make(chan struct{})
		go func() {
			defer close(done)
			if running {
				damageRunning(t, whole, bad)
			} else {
				useDamaged(t, bad)
			}
		}()
		select {
		case <-done:
		case <-time.After(2 * time.Minute):
			t.Fatalf("%s: hangs", what)
		}
		if t.Failed() {
			t.Fatal(what)
		}
	}
}

// damageRunning damages the file of an open spool, and works with it.
func damageRunning(t *testing.T, whole, bad []byte) {
	t.Helper()
	path := filepath.Join(t.TempDir(), File)
	if err := os.WriteFile(path, whole, 0o600); err != nil {
		t.Error(err)
		return
	}
	s := newSpool(path, 100_000_000, 100, []string{"a"}, silent())
	s.openFile = unsynced
	if err := s.flush(); err != nil {
		t.Errorf("a sound file: %v", err)
	}
	storetest.Overwrite(t, path, bad)
	work(t, s)
}

// A spool that is deleted, or replaced, under the running daemon is there again,
// with all that waits; every alert arrives once, and status tells.
func TestSpoolDeletedWhileRunning(t *testing.T) {
	for how, spoil := range map[string]func(path string) error{
		"deleted":             os.Remove,
		"with its directory":  func(path string) error { return os.RemoveAll(filepath.Dir(path)) },
		"replaced by nothing": func(path string) error { return errors.Join(os.Remove(path), os.WriteFile(path, nil, 0o600)) },
		"replaced by noise": func(path string) error {
			return errors.Join(os.Remove(path), os.WriteFile(path, []byte(strings.Repeat("noise ", 5000)), 0o600))
		},
	} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "state")
			b := newInbox(t)
			b.set(always(503))
			a := start(t, dir, quick("r", TypeJSON, b.URL))
			a.raise(saturated)
			eventually(t, "spooled", func() bool { s := a.Status().Spool; return s.Unwrit == 0 && a.receiver("r").Pending == 1 })
			if err := spoil(filepath.Join(dir, File)); err != nil {
				t.Fatal(err)
			}
			eventually(t, "it is there again", func() bool { return !a.Status().Spool.Restored.IsZero() })
			a.pair(cond(watchdog.LinkDown, "eth7", watchdog.Critical))
			a.clear(saturated)
			eventually(t, "what is new is in it too", func() bool {
				s := a.Status().Spool
				return s.Unwrit == 0 && s.Err == "" && a.receiver("r").Pending == 4
			})
			a.stop()
			b.set(nil)
			again := start(t, dir, quick("r", TypeJSON, b.URL))
			eventually(t, "all arrive", func() bool { return again.receiver("r").Pending == 0 && len(b.got()) >= 4 })
			if got := inOrder(t, b.got()); len(got) != 2 || len(b.got()) != 4 {
				t.Errorf("%d events of %d incidents, want 4 of 2", len(b.got()), len(got))
			}
		})
	}
}
