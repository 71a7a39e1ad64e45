package facts

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
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

func TestFactsAndEventsSurvive(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	run(t, dir, func(j *Store) {
		for i := range 3 {
			if err := j.Put("capacity", map[string]int{"eth0": i}); err != nil {
				t.Error(err)
			}
			j.Add(Event{At: time.Unix(int64(i), 0), Kind: "test", Text: fmt.Sprint(i)})
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
		es, err := j.Events(2)
		if err != nil || len(es) != 2 || es[0].Text != "1" || es[1].Text != "2" {
			t.Errorf("events: %v, %v", es, err)
		}
	})
}

func TestEventsAreBounded(t *testing.T) {
	dir := t.TempDir()
	j, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer j.db.Load().Close()
	batch := make([]Event, 1000)
	for range (maxEvents + 3*len(batch)) / len(batch) {
		if err := j.write(nil, batch); err != nil {
			t.Fatal(err)
		}
	}
	es, err := j.Events(10 * maxEvents)
	if err != nil || len(es) > maxEvents+trimSlack || len(es) < maxEvents {
		t.Errorf("%d events kept, want about %d; %v", len(es), maxEvents, err)
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

// Nobody waits for the disk: with the writer not running, adding goes on and
// what finds no room is counted.
func TestAddNeverWaits(t *testing.T) {
	j, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer j.db.Load().Close()
	for range maxPending + 10 {
		j.Add(Event{})
	}
	if d := j.Health().Dropped; d != 10 {
		t.Errorf("%d dropped, want 10", d)
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
	j.Add(Event{Text: "kept"})
	if err := j.Put("fact", 1); err != nil {
		t.Fatal(err)
	}
	j.flush()
	if j.Health().Err == "" || len(j.events) != 1 || len(j.facts) != 1 {
		t.Errorf("after a failed write: %+v, %d events, %d facts", j.Health(), len(j.events), len(j.facts))
	}
}

// A journal whose file shrinks under the running daemon is begun anew: what is
// put afterwards is remembered, and nothing ends or hangs.
func TestFileShrinksWhileRunning(t *testing.T) {
	dir := t.TempDir()
	j, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := j.write(nil, make([]Event, 5000)); err != nil {
		t.Fatal(err)
	}
	for n := range mostResets {
		if err := os.Truncate(filepath.Join(dir, File), 4096); err != nil {
			t.Fatal(err)
		}
		if _, err := j.Events(10); err == nil {
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
		if err := j.write(nil, make([]Event, 5000)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Truncate(filepath.Join(dir, File), 4096); err != nil {
		t.Fatal(err)
	}
	j.Add(Event{})
	j.flush()
	j.flush()
	if !strings.Contains(j.Health().Err, "damaged too often") {
		t.Errorf("%+v", j.Health())
	}
	if files, err := filepath.Glob(filepath.Join(dir, "*")); err != nil || len(files) > 2 {
		t.Errorf("%v, %v", files, err)
	}
}

func TestEventsAreShort(t *testing.T) {
	for _, e := range []Event{
		{Text: strings.Repeat("\x00", 1<<20)},
		{Text: "short", Data: map[string]any{"evidence": strings.Repeat("é", 1<<20)}},
		{Text: strings.Repeat("é", 1<<20)},
	} {
		raw, err := encode(e)
		var back Event
		if err != nil || len(raw) > maxEvent || json.Unmarshal(raw, &back) != nil || back.Text == "" {
			t.Errorf("%d bytes, %v", len(raw), err)
		}
	}
}
