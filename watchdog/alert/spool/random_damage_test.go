package spool

import (
	"fmt"
	rand "math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

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
	s := New(testConfig(path, "a"))
	if err := s.flush(); err != nil {
		t.Errorf("a sound file: %v", err)
	}
	storetest.Overwrite(t, path, bad)
	work(t, s)
}
