package spool

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lifeline/watchdog/alert/alerttest"
	"lifeline/watchdog/alert/incident"
	"lifeline/watchdog/store"
)

// testSpool is a spool for the given receivers, without its task: tests flush.
func testSpool(t *testing.T, dir string, receivers ...string) *Spool {
	t.Helper()
	s := New(testConfig(filepath.Join(dir, File), receivers...))
	t.Cleanup(func() {
		if db := s.db.Load(); db != nil {
			db.Close()
		}
	})
	return s
}

// testConfig is a spool for tests, whose writes nobody waits for.
func testConfig(path string, receivers ...string) Config {
	return Config{Path: path, Max: 100_000_000, HistoryMax: 100, Receivers: receivers, Log: alerttest.Silent(),
		OnReadable: func() {}, OnLoad: func(State) {}, Open: unsynced}
}

// unsynced opens a file whose writes nobody waits for: a test's machine does
// not lose its power.
func unsynced(path string) (*store.DB, error) {
	db, err := OpenFile(path)
	if err == nil {
		db.NoSync, db.NoGrowSync = true, true
	}
	return db, err
}

// event makes an event of an incident for receivers.
func event(id string, n int, kind incident.Kind, receivers ...string) queuedEvent {
	ev := incident.Event{Version: incident.PayloadVersion, ID: fmt.Sprintf("%s-%d", id, n), Kind: kind, At: alerttest.Began, Incident: &incident.Ref{ID: id, Sequence: n}}
	e := queuedEvent{incident: Digest(id), raw: encode(ev)}
	for _, r := range receivers {
		e.to = append(e.to, incident.Target{Receiver: r, Kind: kind})
	}
	return e
}

func mustFlush(t *testing.T, s *Spool) {
	t.Helper()
	for again := true; again; again = s.HasUnwritten() {
		if err := s.flush(); err != nil {
			t.Fatal(err)
		}
	}
}

// waiting lists what waits for a receiver, in the order of sending.
func waiting(t *testing.T, s *Spool, receiver string) (ids []string) {
	t.Helper()
	for from := uint64(0); ; {
		it, ok, err := s.Next(receiver, from, func(uint64) bool { return false })
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			return ids
		}
		var ev incident.Event
		alerttest.MustDecode(t, it.raw, &ev)
		ids = append(ids, ev.ID)
		from = it.Seq + 1
	}
}

// end takes the first n events of a receiver as taken by it.
func end(t *testing.T, s *Spool, receiver string, n int) {
	t.Helper()
	for range n {
		it, ok, err := s.Next(receiver, 0, func(uint64) bool { return false })
		if !ok || err != nil {
			t.Fatalf("nothing to end: %v", err)
		}
		s.Complete(Completion{Receiver: receiver, Seq: it.Seq})
	}
}

func pending(s *Spool, receiver string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count(receiver).pending
}

func TestSpoolSurvivesRestart(t *testing.T) {
	dir := t.TempDir()
	s := testSpool(t, dir, "a", "b")
	s.append([]queuedEvent{event("i", 1, incident.Firing, "a", "b"), event("j", 1, incident.Firing, "b"), event("i", 2, incident.Resolved, "a", "b")}, nil)
	if got := waiting(t, s, "a"); got != nil {
		t.Errorf("to be sent before it is on disk: %v", got)
	}
	mustFlush(t, s)
	end(t, s, "a", 1)
	mustFlush(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	s = testSpool(t, dir, "a", "b")
	mustFlush(t, s)
	for r, want := range map[string][]string{"a": {"i-2"}, "b": {"i-1", "j-1", "i-2"}} {
		if diff := cmp.Diff(want, waiting(t, s, r)); diff != "" {
			t.Errorf("%s:\n%s", r, diff)
		}
		if pending(s, r) != len(want) {
			t.Errorf("%s: %d pending, want %d", r, pending(s, r), len(want))
		}
	}
	end(t, s, "a", 1)
	end(t, s, "b", 3)
	s.append([]queuedEvent{event("k", 1, incident.Firing, "a")}, nil) // goes behind what was there before
	mustFlush(t, s)
	if diff := cmp.Diff([]string{"k-1"}, waiting(t, s, "a")); diff != "" {
		t.Error(diff)
	}
	err := s.view(func(t *transaction) error {
		if n := t.events.Stats().KeyN; n != 1 {
			return fmt.Errorf("%d events on disk, want 1", n)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// What is over before it was ever written is not written.
func TestSpoolForgetsWhatWasSentFromMemory(t *testing.T) {
	s := testSpool(t, t.TempDir(), "a", "b")
	now := time.Now()
	s.now = func() time.Time { return now }
	s.append([]queuedEvent{event("i", 1, incident.Firing, "a", "b")}, nil)
	now = now.Add(diskPatience)
	end(t, s, "a", 1)
	mustFlush(t, s)
	if waiting(t, s, "a") != nil || len(waiting(t, s, "b")) != 1 || pending(s, "a") != 0 || pending(s, "b") != 1 {
		t.Errorf("a: %v (%d), b: %v (%d)", waiting(t, s, "a"), pending(s, "a"), waiting(t, s, "b"), pending(s, "b"))
	}
}

func TestSpoolSkipsIncidents(t *testing.T) {
	s := testSpool(t, t.TempDir(), "a")
	s.append([]queuedEvent{event("i", 1, incident.Firing, "a"), event("i", 2, incident.Updated, "a"), event("j", 1, incident.Firing, "a")}, nil)
	mustFlush(t, s)
	it, ok, err := s.Next("a", 0, func(i uint64) bool { return i == Digest("i") })
	if !ok || err != nil || it.Incident != Digest("j") {
		t.Errorf("%+v %v %v", it.ref, ok, err)
	}
}

func TestDeadLetters(t *testing.T) {
	dir := t.TempDir()
	s := testSpool(t, dir, "a", "b")
	s.append([]queuedEvent{event("i", 1, incident.Firing, "a", "b"), event("j", 1, incident.Firing, "a")}, nil)
	mustFlush(t, s)
	for _, id := range []string{"i", "j"} {
		it, _, err := s.Next("a", 0, func(uint64) bool { return false })
		if err != nil {
			t.Fatal(err)
		}
		s.Complete(Completion{Receiver: "a", Seq: it.Seq, Refused: &DeadLetter{Receiver: "a", Event: id + "-1", Incident: id, Kind: incident.Firing, Status: 400}})
	}
	end(t, s, "b", 1)
	mustFlush(t, s)
	s.Close()

	s = testSpool(t, dir, "a", "b")
	mustFlush(t, s)
	got, err := s.DeadLetters("a")
	if err != nil || len(got) != 2 || got[0].Event != "i-1" || pending(s, "a") != 0 || s.count("a").dead != 2 {
		t.Fatalf("%+v, %v, %+v", got, err, s.count("a"))
	}
	if n, err := s.Requeue("a", "j-1"); n != 1 || err != nil {
		t.Errorf("revive: %d, %v", n, err)
	}
	if diff := cmp.Diff([]string{"j-1"}, waiting(t, s, "a")); diff != "" {
		t.Error(diff)
	}
	if n, err := s.Requeue("a", ""); n != 1 || err != nil || pending(s, "a") != 2 {
		t.Errorf("revive all: %d, %v, %d pending", n, err, pending(s, "a"))
	}
	if n, err := s.Requeue("nobody", ""); n != 0 || err != nil {
		t.Errorf("revive nobody's: %d, %v", n, err)
	}
}

func TestDropGroups(t *testing.T) {
	var queue []ref
	for n, w := range []string{"aF", "bU", "bR", "cF", "aU", "dF", "aR", "dM", "cU", "cR", "eF", "eR"} {
		kind := map[byte]incident.Kind{'F': incident.Firing, 'U': incident.Updated, 'R': incident.Resolved, 'M': incident.Reminder}[w[1]]
		queue = append(queue, ref{uint64(n), kind, uint64(w[0])})
	}
	for what, want := range map[dropClass]string{
		resolvedPairs: "[aF aU aR] [cF cU cR] [eF eR]", // by their ends
		repeats:       "[bU] [dM]",
		remainder:     "[bR] [dF]",
	} {
		var got []string
		for _, g := range dropGroups(queue, what) {
			var words []string
			for _, r := range g {
				words = append(words, fmt.Sprintf("%c%s", rune(r.Incident), map[incident.Kind]string{incident.Firing: "F", incident.Updated: "U", incident.Resolved: "R", incident.Reminder: "M"}[r.Kind]))
			}
			got = append(got, fmt.Sprint(words))
		}
		if s := strings.Join(got, " "); s != want {
			t.Errorf("%d: %s, want %s", what, s, want)
		}
	}
}

// A full spool loses its oldest whole incidents, keeps what still stands, and
// counts what it lost. A receiver that takes its alerts loses nothing.
func TestSpoolIsBounded(t *testing.T) {
	dir := t.TempDir()
	s := testSpool(t, dir, "dead", "live")
	s.max = 4 << 20
	pad := strings.Repeat("x", 400)
	long := func(e queuedEvent) queuedEvent {
		e.raw = append(bytes.TrimSuffix(e.raw, []byte("}")), []byte(`,"summary":"`+pad+`"}`)...)
		return e
	}
	s.append([]queuedEvent{long(event("standing", 1, incident.Firing, "dead", "live"))}, nil)
	for i := range 8000 {
		id := fmt.Sprintf("i%05d", i)
		s.append([]queuedEvent{long(event(id, 1, incident.Firing, "dead", "live")), long(event(id, 2, incident.Resolved, "dead", "live"))}, nil)
		if i%100 == 99 {
			mustFlush(t, s)
			end(t, s, "live", pending(s, "live"))
			mustFlush(t, s)
		}
	}
	st, err := os.Stat(s.path)
	if err != nil || st.Size() > s.max {
		t.Errorf("%d bytes on disk, at most %d wanted; %v", st.Size(), s.max, err)
	}
	got := waiting(t, s, "dead")
	d := s.Drops("dead")
	if d.Total == 0 || d.Total+len(got) != 16001 || s.Drops("live").Total != 0 {
		t.Errorf("%d dropped, %d wait, %d dropped for the live one", d.Total, len(got), s.Drops("live").Total)
	}
	if got[0] != "standing-1" || got[len(got)-1] != "i07999-2" || len(got)%2 != 1 {
		t.Errorf("kept %s ... %s", got[0], got[len(got)-1])
	}
	if !slices.IsSorted(got[1:]) {
		t.Error("not in order")
	}
	s.Close()
	s = testSpool(t, dir, "dead", "live")
	mustFlush(t, s)
	if again := s.Drops("dead"); again.Total != d.Total || pending(s, "dead") != len(got) {
		t.Errorf("after a restart %d dropped, %d wait; before %d, %d", again.Total, pending(s, "dead"), d.Total, len(got))
	}
}

// Without any whole incident to lose, repeats go first and then the oldest.
func TestSpoolDropsRepeatsFirst(t *testing.T) {
	s := testSpool(t, t.TempDir(), "a")
	s.max = 2 << 20
	s.append([]queuedEvent{event("i", 1, incident.Firing, "a")}, nil)
	for n := range 20000 {
		s.append([]queuedEvent{event("i", n+2, incident.Reminder, "a")}, nil)
		if n%500 == 0 {
			mustFlush(t, s)
		}
	}
	mustFlush(t, s)
	if got := waiting(t, s, "a"); got[0] != "i-1" || s.Drops("a").Total == 0 || len(got) < 1000 {
		t.Errorf("first %s, %d dropped, %d wait", got[0], s.Drops("a").Total, len(got))
	}
}

// What waits in memory for a broken disk is bounded in the same way.
func TestMemoryIsBounded(t *testing.T) {
	s := testSpool(t, t.TempDir(), "a")
	s.openDB = func(string) (*store.DB, error) { return nil, errors.New("no disk") }
	s.append([]queuedEvent{event("standing", 1, incident.Firing, "a")}, nil)
	for i := range maxUnwritten {
		id := fmt.Sprintf("i%d", i)
		s.append([]queuedEvent{event(id, 1, incident.Firing, "a"), event(id, 2, incident.Resolved, "a")}, nil)
	}
	if s.flush() == nil {
		t.Error("flush without a disk went well")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var first incident.Event
	alerttest.MustDecode(t, s.unwritten[0].raw, &first)
	if len(s.unwritten) > maxUnwritten || first.ID != "standing-1" {
		t.Errorf("%d in memory, first %s", len(s.unwritten), first.ID)
	}
	if c := s.count("a"); c.drops.Total+len(s.unwritten) != 2*maxUnwritten+1 || c.pending != len(s.unwritten) {
		t.Errorf("%d dropped, %d pending, %d in memory", c.drops.Total, c.pending, len(s.unwritten))
	}
}

func TestDeadLettersAreBounded(t *testing.T) {
	s := testSpool(t, t.TempDir(), "a")
	for n := range maxDeadLetters + maxDeadLetters/2 {
		s.append([]queuedEvent{event(fmt.Sprint(n), 1, incident.Firing, "a")}, nil)
		if n%100 != 99 {
			continue
		}
		mustFlush(t, s)
		for range 100 {
			it, _, err := s.Next("a", 0, func(uint64) bool { return false })
			if err != nil {
				t.Fatal(err)
			}
			s.Complete(Completion{Receiver: "a", Seq: it.Seq, Refused: &DeadLetter{Event: fmt.Sprint(n)}})
		}
	}
	s.append([]queuedEvent{event("last", 1, incident.Firing, "a")}, nil)
	mustFlush(t, s)
	s.append([]queuedEvent{event("last", 2, incident.Firing, "a")}, nil)
	mustFlush(t, s)
	got, err := s.DeadLetters("a")
	if err != nil || len(got) > maxDeadLetters+maxDeadLetters/10 || s.count("a").dead != len(got) || s.count("a").pending != 2 {
		t.Errorf("%d kept, %+v, %v", len(got), s.count("a"), err)
	}
}

func TestHistoryIsBounded(t *testing.T) {
	s := testSpool(t, t.TempDir(), "a")
	for n := range 500 {
		inc := incident.Incident{ID: fmt.Sprintf("2025-%04d", n)}
		s.append(nil, map[key][]byte{{string(bucketHistory), inc.ID}: encode(inc)})
		s.append([]queuedEvent{event(inc.ID, 1, incident.Firing, "a")}, nil)
		mustFlush(t, s)
		it, _, _ := s.Next("a", 0, func(uint64) bool { return false })
		s.Complete(Completion{Receiver: "a", Seq: it.Seq, Delivered: &incident.Delivery{Receiver: "a", Event: inc.ID + "-1", Incident: inc.ID}})
	}
	mustFlush(t, s)
	past, err := s.History(1000)
	if err != nil || len(past) != s.historyMax || past[0].ID != "2025-0499" || s.stored.incidents != s.historyMax {
		t.Errorf("%d kept, %v", len(past), err)
	}
	err = s.view(func(tb *transaction) error {
		if n := tb.tx.Bucket(bucketTold).Stats().KeyN; n != s.historyMax {
			t.Errorf("%d deliveries remembered, want those of %d incidents", n, s.historyMax)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	if inc, err := s.Incident("2025-0499"); err != nil || len(inc.Told) != 1 {
		t.Errorf("%+v, %v", inc, err)
	}
	if _, err := s.Incident("2025-04"); !errors.Is(err, ErrAmbiguous) ||
		!strings.Contains(err.Error(), "\n  2025-0499  ") || !strings.Contains(err.Error(), fmt.Sprintf("\n  and %d older ones", s.historyMax-maxListed)) {
		t.Errorf("an ambiguous id: %v", err)
	}
	if _, err := s.Incident(""); !errors.Is(err, ErrNoIncident) {
		t.Errorf("an empty id: %v", err)
	}
	if _, err := s.Incident("1999"); !errors.Is(err, ErrNoIncident) {
		t.Errorf("an unknown id: %v", err)
	}
}

// A receiver that has taken an event is not given it again because the disk learns
// of that while the next event is looked for.
func TestNextSkipsWhatIsCompletedMeanwhile(t *testing.T) {
	s := testSpool(t, t.TempDir(), "a")
	s.append([]queuedEvent{event("i", 1, incident.Firing, "a"), event("i", 2, incident.Resolved, "a")}, nil)
	mustFlush(t, s)
	end(t, s, "a", 1)
	it, ok, err := s.Next("a", 0, func(uint64) bool { mustFlush(t, s); return false })
	if ev, evErr := it.Event(); !ok || err != nil || evErr != nil || ev.ID != "i-2" {
		t.Errorf("%s, %t, %v, %v", ev.ID, ok, err, evErr)
	}
}
