package shaper

import (
	"errors"
	"testing"
	"time"

	"lifeline/watchdog"
)

// A shaper that has to be put up again and again has its budget; beyond that the
// link does without, which is told until it may come back, and other links are
// not concerned.
func TestShaperBudget(t *testing.T) {
	b := newShaperBench()
	b.perHour = 3
	for i := range 3 {
		b.apply(t, rates{tx1: 1e6}, nil, "eth1 tx 1000000 ")
		b.now = b.now.Add(10 * time.Minute)
		if i < 2 {
			b.apply(t, nil, nil, "")
		}
	}
	// While it stands nothing is wrong, though the budget is used up.
	b.apply(t, rates{tx1: 1e6}, nil, "eth1 tx 1000000 ")
	if why := b.Available(tx1); why != nil {
		t.Errorf("it stands, and cannot be had: %s", why)
	}
	said := "link eth1 tx: put up 3 times within an hour, all that its budget allows: again in 30m0s"
	b.apply(t, nil, nil, "", said)
	b.apply(t, rates{tx1: 1e6, tx2: 1e6, rx1: 1e6}, nil, "eth1 rx 1000000 ; eth2 tx 1000000 ", said)
	if why := b.Available(tx1); why == nil || "link eth1 tx: "+why.Error() != said {
		t.Errorf("available: %v", why)
	}
	if n := b.hooks[watchdog.Tx].installs; n != 4 {
		t.Errorf("%d installed", n)
	}
	want := []watchdog.Spent{{Remedy: "shaper", Target: "link eth1 rx", Used: 1, PerHour: 3},
		{Remedy: "shaper", Target: "link eth1 tx", Used: 3, PerHour: 3}, {Remedy: "shaper", Target: "link eth2 tx", Used: 1, PerHour: 3}}
	if got := b.Spent(); len(got) != 3 || got[0] != want[0] || got[1] != want[1] || got[2] != want[2] {
		t.Errorf("spent %+v, want %+v", got, want)
	}
	b.now = b.now.Add(30 * time.Minute)
	b.apply(t, rates{tx1: 1e6}, nil, "eth1 tx 1000000 ")
	b.apply(t, nil, nil, "", "link eth1 tx: put up 3 times within an hour, all that its budget allows: again in 10m0s")
	b.now = b.now.Add(2 * time.Hour)
	b.apply(t, nil, nil, "")
	if got := b.Spent(); len(got) != 0 {
		t.Errorf("hours later: %+v", got)
	}
}

// Attempts that fail touch the link too.
func TestFailedBuildsCount(t *testing.T) {
	b := newShaperBench()
	b.perHour = 4
	b.hooks[watchdog.Tx].fail = errors.New("no memory")
	for range 3600 {
		b.Apply(rates{tx1: 1e6}, nil, nil)
		b.now = b.now.Add(time.Second)
	}
	if n := b.hooks[watchdog.Tx].installs; n > 5 { // the first is over an hour old at the end
		t.Errorf("%d attempts within an hour", n)
	}
}
