package facts

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.etcd.io/bbolt"
)

// run opens a journal, lets use work on it while its task runs, and closes it.
func run(t *testing.T, dir string, use func(*Store)) {
	t.Helper()
	j, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- j.Run(ctx) }()
	use(j)
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func TestFactsSurvive(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	run(t, dir, func(j *Store) {
		for i := range 3 {
			if err := j.Put("capacity", map[string]int{"eth0": i}); err != nil {
				t.Error(err)
			}
		}
	})
	run(t, dir, func(j *Store) {
		var got map[string]int
		if ok, err := j.Get("capacity", &got); !ok || err != nil || got["eth0"] != 2 {
			t.Errorf("capacity: %v, %v, %v", got, ok, err)
		}
		if ok, err := j.Get("nothing", &got); ok || err != nil {
			t.Errorf("nothing: %v, %v", ok, err)
		}
	})
}

// A file of an earlier version, which kept events beside the facts: the facts are
// there, and the events take no room that facts could have.
func TestEventsAreBounded(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, File)
	old, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = old.Update(func(tx *bbolt.Tx) error {
		facts, err := tx.CreateBucket(factsBucket)
		if err != nil {
			return err
		}
		events, err := tx.CreateBucket(eventsBucket)
		if err != nil {
			return err
		}
		for i := range uint64(20000) {
			if err := events.Put(binary.BigEndian.AppendUint64(nil, i), []byte(`{"kind":"control","text":"eth0 rx: engaged"}`)); err != nil {
				return err
			}
		}
		return facts.Put([]byte("capacities"), []byte(`{"eth0 rx":11e6}`))
	})
	if err := errors.Join(err, old.Close()); err != nil {
		t.Fatal(err)
	}
	before, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	run(t, dir, func(j *Store) {
		var got map[string]float64
		if ok, err := j.Get("capacities", &got); !ok || err != nil || got["eth0 rx"] != 11e6 {
			t.Errorf("capacities: %v, %v, %v", got, ok, err)
		}
		for i := range int(before.Size() / maxValue) {
			if err := j.Put(fmt.Sprint("hosts ", i), strings.Repeat("h", maxValue/2)); err != nil {
				t.Error(err)
			}
		}
	})
	if after, err := os.Stat(path); err != nil || after.Size() > before.Size() {
		t.Errorf("%v of %d bytes, before %d", err, after.Size(), before.Size())
	}
}

// A broken journal is put aside: the daemon starts, and nothing is thrown away.
func TestBrokenJournal(t *testing.T) {
	for name, content := range map[string][]byte{
		"text":  bytes.Repeat([]byte("not a journal\n"), 5000),
		"short": []byte("x"),
		"zeros": make([]byte, 1<<16),
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, File), content, 0o600); err != nil {
				t.Fatal(err)
			}
			run(t, dir, func(j *Store) {
				kept, err := os.ReadFile(j.PutAside())
				if err != nil || !bytes.HasPrefix(kept, content[:1]) {
					t.Errorf("put aside at %q: %v", j.PutAside(), err)
				}
				if err := j.Put("x", 1); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, File), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir); err == nil {
		t.Error("a directory was taken for a journal")
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(file); err == nil {
		t.Error("a file was taken for a state directory")
	}
	other := t.TempDir()
	run(t, other, func(*Store) {
		if _, err := Open(other); err == nil {
			t.Error("two journals in one directory")
		}
	})
}

// Nobody waits for the disk: with the writer not running, putting goes on, and the
// latest of a name waits.
func TestPutNeverWaits(t *testing.T) {
	j, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer j.db.Load().Close()
	for i := range 10000 {
		if err := j.Put("fact", i); err != nil {
			t.Fatal(err)
		}
	}
	if len(j.waiting) != 1 || string(j.waiting["fact"]) != "9999" {
		t.Errorf("%d wait, the fact is %s", len(j.waiting), j.waiting["fact"])
	}
}

func TestFailedWriteIsKeptAndTold(t *testing.T) {
	j, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := j.db.Load().Close(); err != nil { // every write fails from here on
		t.Fatal(err)
	}
	if err := j.Put("fact", 1); err != nil {
		t.Fatal(err)
	}
	j.flush()
	if j.Health().Err == "" || len(j.waiting) != 1 {
		t.Errorf("after a failed write: %+v, %d facts wait", j.Health(), len(j.waiting))
	}
}

// many are facts of many pages.
func many() map[string]json.RawMessage {
	out := map[string]json.RawMessage{}
	for i := range 5000 {
		out[fmt.Sprint("base ", i)] = json.RawMessage(`"0123456789012345678901234567890123456789"`)
	}
	return out
}

// A journal whose file shrinks under the running daemon is begun anew: what is
// put afterwards is remembered, and nothing ends or hangs.
func TestFileShrinksWhileRunning(t *testing.T) {
	dir := t.TempDir()
	j, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := j.write(many()); err != nil {
		t.Fatal(err)
	}
	for n := range mostResets {
		if err := os.Truncate(filepath.Join(dir, File), 4096); err != nil {
			t.Fatal(err)
		}
		if _, err := j.Get("base 4999", new(any)); err == nil {
			t.Error("pages that are gone were read")
		}
		if err := j.Put("fact", n); err != nil {
			t.Fatal(err)
		}
		for range 3 { // the first finds the damage
			j.flush()
		}
		var got int
		if ok, err := j.Get("fact", &got); !ok || err != nil || got != n || j.Health().Err != "" {
			t.Fatalf("after damage %d: %v, %v, %d; %+v", n, ok, err, got, j.Health())
		}
		if err := j.write(many()); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Truncate(filepath.Join(dir, File), 4096); err != nil {
		t.Fatal(err)
	}
	if err := j.Put("fact", 0); err != nil {
		t.Fatal(err)
	}
	j.flush()
	j.flush()
	if !strings.Contains(j.Health().Err, "damaged too often") {
		t.Errorf("%+v", j.Health())
	}
	if files, err := filepath.Glob(filepath.Join(dir, "*")); err != nil || len(files) > 2 {
		t.Errorf("%v, %v", files, err)
	}
}

// A fact that is too long is refused, and so is one that is no JSON; what was put
// before stands.
func TestFactsAreShort(t *testing.T) {
	j, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer j.db.Load().Close()
	if err := j.Put("fact", 1); err != nil {
		t.Fatal(err)
	}
	for _, v := range []any{strings.Repeat("x", maxValue), math.NaN()} {
		if err := j.Put("fact", v); err == nil || !strings.Contains(err.Error(), `fact "fact"`) {
			t.Errorf("%T was taken: %v", v, err)
		}
	}
	if string(j.waiting["fact"]) != "1" {
		t.Errorf("the fact is %s", j.waiting["fact"])
	}
}
