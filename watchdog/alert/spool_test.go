package alert

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

	"lifeline/watchdog/store"
)

// testSpool is a spool for the given receivers, without its task: tests flush.
func testSpool(t *testing.T, dir string, receivers ...string) *spool {
	t.Helper()
	s := newSpool(filepath.Join(dir, File), 100_000_000, 100, receivers, silent())
	s.openFile = unsynced
	t.Cleanup(func() {
		if db := s.db.Load(); db != nil {
			db.Close()
		}
	})
	return s
}

// unsynced opens a file whose writes nobody waits for: a test's machine does
// not lose its power.
func unsynced(path string) (*store.DB, error) {
	db, err := openStore(path)
	if err == nil {
		db.NoSync, db.NoGrowSync = true, true
	}
	return db, err
}

// event makes an event of an incident for receivers.
func event(incident string, n int, kind Kind, receivers ...string) batchEntry {
	ev := Event{Version: PayloadVersion, ID: fmt.Sprintf("%s-%d", incident, n), Kind: kind, At: simStart, Incident: &IncidentRef{ID: incident, Sequence: n}}
	e := batchEntry{incident: digest(incident), raw: encode(ev)}
	for _, r := range receivers {
		e.to = append(e.to, target{r, kind})
	}
	return e
}

func mustFlush(t *testing.T, s *spool) {
	t.Helper()
	for again := true; again; again = s.unwritten() {
		if err := s.flush(); err != nil {
			t.Fatal(err)
		}
	}
}

// waiting lists what waits for a receiver, in the order of sending.
func waiting(t *testing.T, s *spool, receiver string) (ids []string) {
	t.Helper()
	for from := uint64(0); ; {
		it, ok, err := s.next(receiver, from, func(uint64) bool { return false })
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			return ids
		}
		var ev Event
		mustDecode(t, it.raw, &ev)
		ids = append(ids, ev.ID)
		from = it.seq + 1
	}
}

// end takes the first n events of a receiver as taken by it.
func end(t *testing.T, s *spool, receiver string, n int) {
	t.Helper()
	for range n {
		it, ok, err := s.next(receiver, 0, func(uint64) bool { return false })
		if !ok || err != nil {
			t.Fatalf("nothing to end: %v", err)
		}
		s.end(ending{receiver: receiver, seq: it.seq})
	}
}

func pending(s *spool, receiver string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count(receiver).pending
}

func TestSpoolSurvivesRestart(t *testing.T) {
	dir := t.TempDir()
	s := testSpool(t, dir, "a", "b")
	s.append([]batchEntry{event("i", 1, Firing, "a", "b"), event("j", 1, Firing, "b"), event("i", 2, Resolved, "a", "b")}, nil)
	if got := waiting(t, s, "a"); got != nil {
		t.Errorf("to be sent before it is on disk: %v", got)
	}
	mustFlush(t, s)
	end(t, s, "a", 1)
	mustFlush(t, s)
	if err := s.close(); err != nil {
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
	s.append([]batchEntry{event("k", 1, Firing, "a")}, nil) // goes behind what was there before
	mustFlush(t, s)
	if diff := cmp.Diff([]string{"k-1"}, waiting(t, s, "a")); diff != "" {
		t.Error(diff)
	}
	err := s.view(func(t *tables) error {
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
	s.append([]batchEntry{event("i", 1, Firing, "a", "b")}, nil)
	now = now.Add(patience)
	end(t, s, "a", 1)
	mustFlush(t, s)
	if waiting(t, s, "a") != nil || len(waiting(t, s, "b")) != 1 || pending(s, "a") != 0 || pending(s, "b") != 1 {
		t.Errorf("a: %v (%d), b: %v (%d)", waiting(t, s, "a"), pending(s, "a"), waiting(t, s, "b"), pending(s, "b"))
	}
}

func TestSpoolSkipsIncidents(t *testing.T) {
	s := testSpool(t, t.TempDir(), "a")
	s.append([]batchEntry{event("i", 1, Firing, "a"), event("i", 2, Updated, "a"), event("j", 1, Firing, "a")}, nil)
	mustFlush(t, s)
	it, ok, err := s.next("a", 0, func(i uint64) bool { return i == digest("i") })
	if !ok || err != nil || it.incident != digest("j") {
		t.Errorf("%+v %v %v", it.ref, ok, err)
	}
}

func TestDeadLetters(t *testing.T) {
	dir := t.TempDir()
	s := testSpool(t, dir, "a", "b")
	s.append([]batchEntry{event("i", 1, Firing, "a", "b"), event("j", 1, Firing, "a")}, nil)
	mustFlush(t, s)
	for _, id := range []string{"i", "j"} {
		it, _, err := s.next("a", 0, func(uint64) bool { return false })
		if err != nil {
			t.Fatal(err)
		}
		s.end(ending{receiver: "a", seq: it.seq, dead: &DeadLetter{Receiver: "a", Event: id + "-1", Incident: id, Kind: Firing, Status: 400}})
	}
	end(t, s, "b", 1)
	mustFlush(t, s)
	s.close()

	s = testSpool(t, dir, "a", "b")
	mustFlush(t, s)
	got, err := s.letters("a")
	if err != nil || len(got) != 2 || got[0].Event != "i-1" || pending(s, "a") != 0 || s.count("a").dead != 2 {
		t.Fatalf("%+v, %v, %+v", got, err, s.count("a"))
	}
	if n, err := s.revive("a", "j-1"); n != 1 || err != nil {
		t.Errorf("revive: %d, %v", n, err)
	}
	if diff := cmp.Diff([]string{"j-1"}, waiting(t, s, "a")); diff != "" {
		t.Error(diff)
	}
	if n, err := s.revive("a", ""); n != 1 || err != nil || pending(s, "a") != 2 {
		t.Errorf("revive all: %d, %v, %d pending", n, err, pending(s, "a"))
	}
	if n, err := s.revive("nobody", ""); n != 0 || err != nil {
		t.Errorf("revive nobody's: %d, %v", n, err)
	}
}

func TestDropGroups(t *testing.T) {
	var queue []ref
	for n, w := range []string{"aF", "bU", "bR", "cF", "aU", "dF", "aR", "dM", "cU", "cR", "eF", "eR"} {
		kind := map[byte]Kind{'F': Firing, 'U': Updated, 'R': Resolved, 'M': Reminder}[w[1]]
		queue = append(queue, ref{uint64(n), kind, uint64(w[0])})
	}
	for what, want := range map[importance]string{
		wholePairs: "[aF aU aR] [cF cU cR] [eF eR]", // by their ends
		repeats:    "[bU] [dM]",
		theRest:    "[bR] [dF]",
	} {
		var got []string
		for _, g := range dropGroups(queue, what) {
			var words []string
			for _, r := range g {
				words = append(words, fmt.Sprintf("%c%s", rune(r.incident), map[Kind]string{Firing: "F", Updated: "U", Resolved: "R", Reminder: "M"}[r.kind]))
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
	long := func(e batchEntry) batchEntry {
		e.raw = append(bytes.TrimSuffix(e.raw, []byte("}")), []byte(`,"summary":"`+pad+`"}`)...)
		return e
	}
	s.append([]batchEntry{long(event("standing", 1, Firing, "dead", "live"))}, nil)
	for i := range 8000 {
		id := fmt.Sprintf("i%05d", i)
		s.append([]batchEntry{long(event(id, 1, Firing, "dead", "live")), long(event(id, 2, Resolved, "dead", "live"))}, nil)
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
	d := s.drops("dead")
	if d.Total == 0 || d.Total+len(got) != 16001 || s.drops("live").Total != 0 {
		t.Errorf("%d dropped, %d wait, %d dropped for the live one", d.Total, len(got), s.drops("live").Total)
	}
	if got[0] != "standing-1" || got[len(got)-1] != "i07999-2" || len(got)%2 != 1 {
		t.Errorf("kept %s ... %s", got[0], got[len(got)-1])
	}
	if !slices.IsSorted(got[1:]) {
		t.Error("not in order")
	}
	s.close()
	s = testSpool(t, dir, "dead", "live")
	mustFlush(t, s)
	if again := s.drops("dead"); again.Total != d.Total || pending(s, "dead") != len(got) {
		t.Errorf("after a restart %d dropped, %d wait; before %d, %d", again.Total, pending(s, "dead"), d.Total, len(got))
	}
}

// Without any whole incident to lose, repeats go first and then the oldest.
func TestSpoolDropsRepeatsFirst(t *testing.T) {
	s := testSpool(t, t.TempDir(), "a")
	s.max = 2 << 20
	s.append([]batchEntry{event("i", 1, Firing, "a")}, nil)
	for n := range 20000 {
		s.append([]batchEntry{event("i", n+2, Reminder, "a")}, nil)
		if n%500 == 0 {
			mustFlush(t, s)
		}
	}
	mustFlush(t, s)
	if got := waiting(t, s, "a"); got[0] != "i-1" || s.drops("a").Total == 0 || len(got) < 1000 {
		t.Errorf("first %s, %d dropped, %d wait", got[0], s.drops("a").Total, len(got))
	}
}

// What waits in memory for a broken disk is bounded in the same way.
func TestMemoryIsBounded(t *testing.T) {
	s := testSpool(t, t.TempDir(), "a")
	s.openFile = func(string) (*store.DB, error) { return nil, errors.New("no disk") }
	s.append([]batchEntry{event("standing", 1, Firing, "a")}, nil)
	for i := range mostFresh {
		id := fmt.Sprintf("i%d", i)
		s.append([]batchEntry{event(id, 1, Firing, "a"), event(id, 2, Resolved, "a")}, nil)
	}
	if s.flush() == nil {
		t.Error("flush without a disk went well")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var first Event
	mustDecode(t, s.fresh[0].raw, &first)
	if len(s.fresh) > mostFresh || first.ID != "standing-1" {
		t.Errorf("%d in memory, first %s", len(s.fresh), first.ID)
	}
	if c := s.count("a"); c.drops.Total+len(s.fresh) != 2*mostFresh+1 || c.pending != len(s.fresh) {
		t.Errorf("%d dropped, %d pending, %d in memory", c.drops.Total, c.pending, len(s.fresh))
	}
}

func TestDeadLettersAreBounded(t *testing.T) {
	s := testSpool(t, t.TempDir(), "a")
	for n := range mostDead + mostDead/2 {
		s.append([]batchEntry{event(fmt.Sprint(n), 1, Firing, "a")}, nil)
		if n%100 != 99 {
			continue
		}
		mustFlush(t, s)
		for range 100 {
			it, _, err := s.next("a", 0, func(uint64) bool { return false })
			if err != nil {
				t.Fatal(err)
			}
			s.end(ending{receiver: "a", seq: it.seq, dead: &DeadLetter{Event: fmt.Sprint(n)}})
		}
	}
	s.append([]batchEntry{event("last", 1, Firing, "a")}, nil)
	mustFlush(t, s)
	s.append([]batchEntry{event("last", 2, Firing, "a")}, nil)
	mustFlush(t, s)
	got, err := s.letters("a")
	if err != nil || len(got) > mostDead+mostDead/10 || s.count("a").dead != len(got) || s.count("a").pending != 2 {
		t.Errorf("%d kept, %+v, %v", len(got), s.count("a"), err)
	}
}

func TestHistoryIsBounded(t *testing.T) {
	s := testSpool(t, t.TempDir(), "a")
	for n := range 500 {
		inc := Incident{ID: fmt.Sprintf("2025-%04d", n)}
		s.append(nil, map[slot][]byte{{string(bucketHistory), inc.ID}: encode(inc)})
		s.append([]batchEntry{event(inc.ID, 1, Firing, "a")}, nil)
		mustFlush(t, s)
		it, _, _ := s.next("a", 0, func(uint64) bool { return false })
		s.end(ending{receiver: "a", seq: it.seq, told: &Delivery{Receiver: "a", Event: inc.ID + "-1", Incident: inc.ID}})
	}
	mustFlush(t, s)
	past, err := s.past(1000)
	if err != nil || len(past) != s.historyMax || past[0].ID != "2025-0499" || s.history.incidents != s.historyMax {
		t.Errorf("%d kept, %v", len(past), err)
	}
	err = s.view(func(tb *tables) error {
		if n := tb.tx.Bucket(bucketTold).Stats().KeyN; n != s.historyMax {
			t.Errorf("%d deliveries remembered, want those of %d incidents", n, s.historyMax)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	if inc, err := s.remembered("2025-0499"); err != nil || len(inc.Told) != 1 {
		t.Errorf("%+v, %v", inc, err)
	}
	if _, err := s.remembered("2025-04"); !errors.Is(err, ErrAmbiguous) ||
		!strings.Contains(err.Error(), "\n  2025-0499  ") || !strings.Contains(err.Error(), fmt.Sprintf("\n  and %d older ones", s.historyMax-mostListed)) {
		t.Errorf("an ambiguous id: %v", err)
	}
	if _, err := s.remembered(""); !errors.Is(err, ErrNoIncident) {
		t.Errorf("an empty id: %v", err)
	}
	if _, err := s.remembered("1999"); !errors.Is(err, ErrNoIncident) {
		t.Errorf("an unknown id: %v", err)
	}
}
