package facts

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A journal that cannot be opened at the start is tried again, ever later. What
// was put meanwhile is written then, joined with what an earlier run knew.
func TestOpenedLate(t *testing.T) {
	dir := t.TempDir()
	run(t, dir, func(j *Store) {
		if err := j.Put("capacity", map[string]int{"eth0": 1, "eth1": 1}); err != nil {
			t.Error(err)
		}
	})
	path, away := filepath.Join(dir, File), filepath.Join(dir, "away")
	if err := errors.Join(os.Rename(path, away), os.Mkdir(path, 0o700)); err != nil {
		t.Fatal(err)
	}
	_, why := Open(dir)
	if why == nil {
		t.Fatal("a directory was taken for a journal")
	}
	opened := 0
	j := OpenLater(dir, why, Late{Opened: func() { opened++ }, Join: func(name string, before, now json.RawMessage) json.RawMessage {
		return json.RawMessage(`["` + name + `",` + string(before) + "," + string(now) + "]")
	}})
	if err := j.Put("capacity", map[string]int{"eth0": 2}); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	var waits []time.Duration
	for range 8 {
		waits = append(waits, j.late.wait)
		if err := j.tryAgain(now); err == nil || now.Before(j.late.next.Add(-j.late.wait)) {
			t.Fatalf("too soon: %v", err)
		}
		now = j.late.next
	}
	if waits[0] != firstRetry || waits[1] != firstRetry || waits[2] != 2*firstRetry || waits[7] != lastRetry {
		t.Errorf("waited %v", waits)
	}
	if h := j.Health(); !strings.Contains(h.Err, "not open, tried again every 1m0s: journal "+path+": not a regular file") || !h.Back.IsZero() {
		t.Errorf("while it is not open: %+v", h)
	}
	if _, err := j.Get("capacity", new(any)); !errors.Is(err, ErrNotOpen) {
		t.Errorf("get: %v", err)
	}
	if err := errors.Join(os.Remove(path), os.Rename(away, path)); err != nil {
		t.Fatal(err)
	}
	j.late.next = time.Time{}
	j.flush()
	if h := j.Health(); h.Err != "" || h.Back.IsZero() || opened != 1 {
		t.Errorf("once it is open: %+v, told %d times", h, opened)
	}
	var got json.RawMessage
	if _, err := j.Get("capacity", &got); err != nil || string(got) != `["capacity",{"eth0":1,"eth1":1},{"eth0":2}]` {
		t.Errorf("capacity: %s, %v", got, err)
	}
	if err := j.db.Load().Close(); err != nil {
		t.Fatal(err)
	}
}

// Its task opens it by itself, with nothing to write, and ends when told to
// though it never could.
func TestLateTask(t *testing.T) {
	for _, mended := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, File)
			if err := os.Mkdir(path, 0o700); err != nil {
				t.Fatal(err)
			}
			_, why := Open(dir)
			opened := false
			j := OpenLater(dir, why, Late{Opened: func() { opened = true }})
			done := make(chan error, 1)
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			go func() { done <- j.Run(ctx) }()
			time.Sleep(time.Second)
			if mended {
				if err := os.Remove(path); err != nil {
					t.Error(err)
				}
			}
			time.Sleep(time.Minute)
			synctest.Wait()
			stop()
			if err := <-done; err != nil || opened != mended {
				t.Errorf("mended %v: opened %v, %v", mended, opened, err)
			}
		})
	}
}
