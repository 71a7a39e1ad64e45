package spool

import (
	"bytes"
	"errors"
	"fmt"
	rand "math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lifeline/watchdog/alert/incident"
)

// A file that is no spool, or a broken one, is put aside, and work goes on.
func TestBrokenFileAtStart(t *testing.T) {
	for name, content := range map[string][]byte{
		"text":  bytes.Repeat([]byte("not a spool\n"), 5000),
		"short": []byte("x"),
		"zeros": make([]byte, 1<<16),
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, File), content, 0o600); err != nil {
				t.Fatal(err)
			}
			s := testSpool(t, dir, "a")
			s.append([]queuedEvent{event("i", 1, incident.Firing, "a")}, nil)
			mustFlush(t, s)
			if diff := cmp.Diff([]string{"i-1"}, waiting(t, s, "a")); diff != "" {
				t.Error(diff)
			}
			kept, err := os.ReadFile(s.health.aside)
			if err != nil || !bytes.HasPrefix(kept, content[:1]) {
				t.Errorf("put aside at %q: %v", s.health.aside, err)
			}
		})
	}
}

// filled is a closed spool with many events in its file.
func filled(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	s := testSpool(t, dir, "a")
	for i := range 2000 {
		s.append([]queuedEvent{event(fmt.Sprint(i), 1, incident.Firing, "a")}, nil)
	}
	s.append(nil, map[key][]byte{{string(bucketSilences), "s"}: encode(incident.Silence{ID: "s"})})
	mustFlush(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

// Pages are damaged one after the other: whatever bbolt makes of it, nothing
// panics or hangs, and new events are spooled.
func TestDamagedPages(t *testing.T) {
	dir := filled(t)
	whole, err := os.ReadFile(filepath.Join(dir, File))
	if err != nil {
		t.Fatal(err)
	}
	pages := len(whole) / 4096
	for page := 0; page < pages; page += max(1, pages/25) {
		for _, junk := range []byte{0x00, 0xff} {
			broken := bytes.Clone(whole)
			for i := range 4096 {
				broken[page*4096+i] = junk
			}
			useDamaged(t, broken)
		}
	}
}

// Heads of pages are damaged here and there: counts, types and page numbers
// that lie.
func TestDamagedHeads(t *testing.T) {
	whole, err := os.ReadFile(filepath.Join(filled(t), File))
	if err != nil {
		t.Fatal(err)
	}
	for seed := range uint64(30) {
		r := rand.New(rand.NewPCG(seed, 1))
		broken := bytes.Clone(whole)
		for range 200 {
			at := r.IntN(64)
			broken[r.IntN(len(broken)/4096)*4096+at] = byte(r.Uint32())
		}
		useDamaged(t, broken)
	}
}

// useDamaged opens a damaged file and works with it.
func useDamaged(t *testing.T, content []byte) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, File), content, 0o600); err != nil {
		t.Fatal(err)
	}
	s := New(testConfig(filepath.Join(dir, File), "a"))
	work(t, s)
}

// work does with a damaged spool what a daemon does.
func work(t *testing.T, s *Spool) {
	t.Helper()
	for range 3 { // the first flush may find the damage, the next begins anew
		s.append([]queuedEvent{event("new", 1, incident.Firing, "a")}, nil)
		s.flush()
		s.Next("a", 0, func(uint64) bool { return false })
		s.DeadLetters("a")
		s.History(10)
	}
	if s.HasUnwritten() {
		if err := s.flush(); err != nil {
			t.Errorf("new events are not spooled after damage: %v", err)
		}
	}
	if db := s.db.Load(); db != nil {
		db.Close()
	}
}

// A file that shrinks under the running daemon is the worst a disk can do to a
// mapped file: reading it is a fault. What the daemon owns is written anew.
func TestFileShrinksWhileRunning(t *testing.T) {
	dir := filled(t)
	s := testSpool(t, dir, "a")
	mustFlush(t, s)
	if pending(s, "a") != 2000 {
		t.Fatalf("%d pending", pending(s, "a"))
	}
	if err := os.Truncate(filepath.Join(dir, File), 4096); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Next("a", 0, func(uint64) bool { return false }); !errors.Is(err, errDamaged) {
		t.Fatalf("reading a page that is gone: %v", err)
	}
	if pending(s, "a") != 0 {
		t.Errorf("%d pending after the loss", pending(s, "a"))
	}
	s.append([]queuedEvent{event("i", 1, incident.Firing, "a")}, nil)
	mustFlush(t, s)
	if diff := cmp.Diff([]string{"i-1"}, waiting(t, s, "a")); diff != "" {
		t.Error(diff)
	}
	held := map[key][]byte{}
	if err := s.view(func(t *transaction) error { return t.readKept(held) }); err != nil || held[key{"silences", "s"}] == nil {
		t.Errorf("the silence is not in the new file: %v, %v", held, err)
	}
}

// One that is damaged again and again is given up, and memory serves.
func TestDamageAgainAndAgain(t *testing.T) {
	s := testSpool(t, t.TempDir(), "a")
	for range maxResets {
		mustFlush(t, s)
		s.append([]queuedEvent{event("i", 1, incident.Firing, "a")}, nil)
		mustFlush(t, s)
		if err := os.Truncate(s.path, 4096); err != nil {
			t.Fatal(err)
		}
		s.Next("a", 0, func(uint64) bool { return false })
	}
	s.append([]queuedEvent{event("i", 2, incident.Firing, "a")}, nil)
	if err := s.flush(); err == nil || pending(s, "a") != 1 {
		t.Errorf("%v, %d pending", err, pending(s, "a"))
	}
}

func TestNotAFile(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, File), 0o700); err != nil {
		t.Fatal(err)
	}
	if s := testSpool(t, dir); s.flush() == nil {
		t.Error("a directory was taken for a spool")
	}
	if s := testSpool(t, filepath.Join(dir, File, "x", "y")); s.flush() != nil {
		t.Error("the state directory was not made")
	}
}

func TestTwoDaemons(t *testing.T) {
	dir := t.TempDir()
	one := testSpool(t, dir)
	mustFlush(t, one)
	if two := testSpool(t, dir); two.flush() == nil {
		t.Error("two spools in one file")
	}
}
