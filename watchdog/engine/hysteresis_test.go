package engine

import (
	"testing"
	"time"

	"lifeline/watchdog"
)

// say runs one condition through a series of truths, a second apart, and
// gives the names of the changes by second.
func say(truths ...truth) map[int]bool {
	c := conditions{}
	out := map[int]bool{}
	for i, tr := range truths {
		s := watchdog.Snapshot{Mono: time.Duration(i) * time.Second, Wall: time.Unix(int64(i), 0)}
		_, changes := c.step(&s, []finding{{watchdog.LinkSaturated, watchdog.DirectionSubject("eth0", watchdog.Rx), tr, watchdog.Warning, "x"}})
		for _, ch := range changes {
			out[i] = ch.Raised
		}
	}
	return out
}

func repeat(t truth, n int) []truth {
	out := make([]truth, n)
	for i := range out {
		out[i] = t
	}
	return out
}

func TestConditionHysteresis(t *testing.T) {
	// Raised after half a second of truth, cleared after ten of falsehood.
	got := say(append(append([]truth{isFalse, isTrue, isTrue}, repeat(isFalse, 12)...), isTrue, isTrue)...)
	want := map[int]bool{2: true, 13: false, 16: true}
	if len(got) != len(want) {
		t.Fatalf("changes at %v, want %v", got, want)
	}
	for at, raised := range want {
		if r, ok := got[at]; !ok || r != raised {
			t.Errorf("at %d s: raised=%v (%v), want %v", at, r, ok, raised)
		}
	}
}

// Unknown neither raises nor clears.
func TestConditionUnknown(t *testing.T) {
	if got := say(repeat(unknown, 20)...); len(got) != 0 {
		t.Errorf("unknown alone changed: %v", got)
	}
	if got := say(append([]truth{isTrue, isTrue}, repeat(unknown, 30)...)...); len(got) != 1 || !got[1] {
		t.Errorf("a raised condition under unknown changed: %v", got)
	}
}

// A subject that is gone clears its condition; the memory of it goes too.
func TestConditionSubjectGone(t *testing.T) {
	c := conditions{}
	for i := range 30 {
		s := watchdog.Snapshot{Mono: time.Duration(i) * time.Second}
		var f []finding
		if i < 5 {
			f = []finding{{watchdog.LinkDown, watchdog.LinkSubject("eth9"), isTrue, watchdog.Critical, "no carrier"}}
		}
		standing, _ := c.step(&s, f)
		if want := i < 10; (len(standing) == 1) != want {
			t.Errorf("at %d s: %v standing, want %v", i, standing, want)
		}
	}
	if len(c) != 0 {
		t.Errorf("%d conditions are remembered of nothing", len(c))
	}
}

// Since is when it was first true, and stays while it stands.
func TestConditionSince(t *testing.T) {
	c := conditions{}
	for i := range 8 {
		s := watchdog.Snapshot{Mono: time.Duration(i) * time.Second, Wall: time.Unix(int64(i), 0)}
		standing, _ := c.step(&s, []finding{{watchdog.ManagementUnreachable, watchdog.Subject{}, known(i >= 2), watchdog.Critical, "x"}})
		if len(standing) == 1 && standing[0].Since != time.Unix(2, 0) {
			t.Errorf("since %v, want 2 s", standing[0].Since)
		}
		if (len(standing) == 1) != (i >= 5) {
			t.Errorf("at %d s: %v", i, standing)
		}
	}
}
