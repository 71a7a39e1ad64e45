package main

import (
	"strings"
	"testing"
	"time"

	"lifeline/cmd/lifeline/scenario"
	"lifeline/watchdog/lab"
)

func TestChosen(t *testing.T) {
	for only, want := range map[string]string{
		"receive 16":     "receive 16",
		"ssh receive 16": "ssh receive 16",
		"at 10 Mbit":     "receive 16 at 10 Mbit/s, send 8 at 10 Mbit/s",
		"nonesuch":       "",
	} {
		var names []string
		for _, n := range chosen(nightSettings(), only) {
			names = append(names, n.name)
		}
		if got := strings.Join(names, ", "); got != want {
			t.Errorf("%q: got %q, want %q", only, got, want)
		}
	}
	if all := chosen(nightSettings(), ""); len(all) != 11 {
		t.Errorf("%d settings without a choice", len(all))
	}
}

// run is a run that was calm after a time; below 0 is never.
func run(calm, peak time.Duration, relapses int, goodput, lowest float64) scenario.Result {
	r := scenario.Result{Peak: peak, Goodput: goodput * payloadShare, Lowest: lowest * payloadShare}
	r.ForGood = scenario.ForGood{After: max(calm, 0), Reached: calm >= 0, Relapses: relapses}
	return r
}

func TestNightRow(t *testing.T) {
	const ms = time.Millisecond
	r := nightRow{night: night{name: "receive 16", rate: 100e6}, way: "lifeline"}
	r.add(run(500*ms, 30*ms, 0, 95e6, 90e6), nil)
	r.add(run(700*ms, 20*ms, 0, 91e6, 60e6), nil)
	r.add(run(600*ms, 55*ms, 3, 93e6, 91e6), nil)
	want := "| receive 16 | lifeline | 3 | 0.70 (0.60) | 55.0 (30.0) | 3 (0) | 0 (0) | 91.0 (93.0) | 60.0 (90.0) |"
	if r.String() != want {
		t.Errorf("got\n%s\nwant\n%s", r, want)
	}
	r.add(run(-1, lab.Never, 9, 0, 0), nil)
	if got := r.String(); !strings.HasPrefix(got, "| receive 16 | lifeline | 4 | never (0.70) | none (55.0) | 9 (3) | 0 (0) | 0.0 (91.0) |") {
		t.Errorf("with one that was never calm: %s", got)
	}
	head := strings.Split(strings.TrimSpace(nightHead), "\n")
	if a, b := strings.Count(head[len(head)-1], "|"), strings.Count(want, "|"); a != b {
		t.Errorf("%d columns in the head, %d in a row", a-1, b-1)
	}
}

func TestBad(t *testing.T) {
	const ms = time.Millisecond
	n := night{rate: 100e6}
	for name, c := range map[string]struct {
		r    scenario.Result
		want bool
	}{
		"good":     {run(time.Second, 60*ms, 0, 91e6, 91e6), false},
		"late":     {run(1001*ms, 60*ms, 0, 91e6, 91e6), true},
		"never":    {run(-1, 60*ms, 0, 91e6, 91e6), true},
		"high":     {run(time.Second, 61*ms, 0, 91e6, 91e6), true},
		"relapsed": {run(time.Second, 60*ms, 1, 91e6, 91e6), true},
		"slow":     {run(time.Second, 60*ms, 0, 89e6, 89e6), true},
	} {
		if got := bad(n, c.r); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
