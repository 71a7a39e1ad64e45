package facts

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lifeline/watchdog/store/storetest"
)

// written gives the file of a journal that has been used for a while.
func written(t *testing.T) []byte {
	t.Helper()
	dir := t.TempDir()
	j, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	j.db.Load().NoSync = true
	for n := range 40 {
		facts := map[string]any{fmt.Sprint("capacity ", n%15): n, "hosts": strings.Repeat("h", 100*n)}
		for i := range 60 { // pages enough to be damaged in many ways
			facts[fmt.Sprint("base ", n, i)] = strings.Repeat("x", 10*(i%20))
		}
		for k, v := range facts {
			if err := j.Put(k, v); err != nil {
				t.Fatal(err)
			}
		}
		j.flush()
	}
	if err := j.db.Load().Close(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(dir, File))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// use works with a journal of dir as a daemon does, and tells whether what is
// written is remembered in the end.
func use(t *testing.T, j *Store, what string) {
	t.Helper()
	if db := j.db.Load(); db != nil {
		db.NoSync = true
	}
	for n := range 3 { // the first may find damage, and the next begins anew
		var v any
		_, _ = j.Get("hosts", &v) // damage may be in the value
		for i := range 60 {
			_, _ = j.Get(fmt.Sprint("base ", n, i), &v)
		}
		if err := j.Put("new", n); err != nil {
			t.Error(err)
		}
		j.flush()
		if db := j.db.Load(); db != nil {
			db.NoSync = true
		}
	}
	var got int
	if ok, err := j.Get("new", &got); !ok || err != nil || got != 2 {
		t.Errorf("%s: what was put after it is not remembered: %v, %v; %+v", what, ok, err, j.Health())
	}
	if db := j.db.Load(); db != nil {
		_ = db.Close()
	}
}

// inTime fails where f hangs.
func inTime(t *testing.T, what string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); f() }()
	select {
	case <-done:
	case <-time.After(2 * time.Minute):
		t.Fatalf("%s: hangs", what)
	}
}

// A file that is damaged in any way, before the start or under the running
// daemon, ends nothing and hangs nothing: what comes afterwards is remembered.
func TestRandomDamage(t *testing.T) {
	whole := written(t)
	rounds := storetest.Rounds(t, 120)
	for seed := range uint64(rounds) {
		r := rand.New(rand.NewPCG(seed, 11))
		bad, what := storetest.Damage(r, whole)
		running := r.IntN(3) == 0
		what = fmt.Sprintf("seed %d, running %v, %s", seed, running, what)
		dir := t.TempDir()
		path := filepath.Join(dir, File)
		inTime(t, what, func() {
			if running {
				if err := os.WriteFile(path, whole, 0o600); err != nil {
					t.Error(err)
				}
			} else if err := os.WriteFile(path, bad, 0o600); err != nil {
				t.Error(err)
			}
			j, err := Open(dir)
			if err != nil {
				t.Errorf("%s: %v", what, err)
				return
			}
			if running {
				storetest.Overwrite(t, path, bad)
			}
			use(t, j, what)
		})
		if files, err := filepath.Glob(filepath.Join(dir, "*")); err != nil || len(files) > 2 {
			t.Errorf("%s: %v, %v", what, files, err)
		}
		if t.Failed() && seed > 20 {
			t.Fatal("and more")
		}
		os.RemoveAll(dir)
	}
}

// A journal that is deleted or replaced under the running daemon is there again
// with what it held, though nothing is written, and that is said.
func TestDeletedWhileRunning(t *testing.T) {
	for how, spoil := range map[string]func(path string) error{
		"deleted":            os.Remove,
		"with its directory": func(path string) error { return os.RemoveAll(filepath.Dir(path)) },
		"replaced": func(path string) error {
			return errors.Join(os.Remove(path), os.WriteFile(path, []byte(strings.Repeat("noise ", 5000)), 0o600))
		},
	} {
		t.Run(how, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "state")
			j, err := Open(dir)
			if err != nil {
				t.Fatal(err)
			}
			var said []string
			j.Say(func(text string) { said = append(said, text) })
			if err := j.Put("before", 1); err != nil {
				t.Fatal(err)
			}
			j.flush()
			if err := spoil(j.path); err != nil {
				t.Fatal(err)
			}
			j.flush()
			if err := j.Put("after", 2); err != nil {
				t.Fatal(err)
			}
			j.flush()
			if len(said) != 1 || !strings.Contains(j.Health().Recovery, "deleted or replaced") || j.Health().Err != "" {
				t.Errorf("said %q, %+v", said, j.Health())
			}
			if err := j.db.Load().Close(); err != nil {
				t.Fatal(err)
			}
			if j, err = Open(dir); err != nil {
				t.Fatal(err)
			}
			defer j.db.Load().Close()
			for name, want := range map[string]int{"before": 1, "after": 2} {
				var got int
				if _, err := j.Get(name, &got); err != nil || got != want {
					t.Errorf("%s: %d, %v", name, got, err)
				}
			}
		})
	}
}
