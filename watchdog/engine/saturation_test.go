package engine

import (
	"strings"
	"testing"
	"time"

	"lifeline/watchdog"
)

// A normal backup raises no warning in its whole life: not while its first burst
// drains, not while limits hold a link that is full, not when it ends.
func TestHeldSaturationIsInformation(t *testing.T) {
	h := newHost(nil, 8)
	burst := 2500 * time.Millisecond // as long as old windows take on a slow link
	saturated := false
	see := func(d watchdog.Decision) {
		for _, c := range d.Conditions {
			saturated = saturated || c.Name == watchdog.LinkSaturated
			if c.Severity != watchdog.Info {
				t.Fatalf("at %s: %+v", h.now, c)
			}
			if h.now > 5*time.Second && c.Name == watchdog.LinkSaturated && len(h.transfers) > 0 && !strings.HasSuffix(c.Evidence, "; limits hold it") {
				t.Fatalf("at %s: %s", h.now, c.Evidence)
			}
		}
	}
	h.slow = burst
	h.run(5*time.Minute, see)
	h.transfers = nil
	h.run(time.Minute, see)
	if !saturated {
		t.Error("never told at all")
	}
}

// A delay that stays in spite of limits is a warning after a while, and goes on
// being one until it has been short for as long. Each is told once.
func TestDelayThatStaysWarns(t *testing.T) {
	h := newHost(nil, 2)
	h.toothless = true // limits are set and change nothing
	h.stubborn = true
	var told []watchdog.Change
	see := func(d watchdog.Decision) {
		for _, c := range d.Changes {
			if c.Condition.Name == watchdog.LinkSaturated {
				told = append(told, c)
			}
		}
	}
	h.run(4*time.Second, see)
	if c, _ := standing(h.last, watchdog.LinkSaturated); c.Severity != watchdog.Info {
		t.Errorf("after 4 s: %+v", c)
	}
	h.run(3*time.Second, see)
	c, _ := standing(h.last, watchdog.LinkSaturated)
	if c.Severity != watchdog.Warning || !strings.Contains(c.Evidence, "queueing delay 150ms") {
		t.Errorf("after 7 s: %+v", c)
	}
	h.queue, h.stubborn = 0, false
	h.run(3*time.Second, see)
	if c, ok := standing(h.last, watchdog.LinkSaturated); !ok || c.Severity != watchdog.Warning {
		t.Errorf("short for 3 s: %+v", c)
	}
	if len(told) != 2 || !told[0].Raised || told[0].Was != "" || !told[1].Raised || told[1].Was != watchdog.Info || told[1].Condition.Severity != watchdog.Warning {
		t.Errorf("told: %+v", told)
	}
}

// The delay fills and empties the strain, and between the two bounds nothing moves.
func TestStrain(t *testing.T) {
	var x delayPersistence
	at := time.Duration(0)
	for _, step := range []struct {
		what        string
		long, short bool
		d           time.Duration
		want        bool
	}{
		{"short of it", true, false, 4 * time.Second, false},
		{"neither", false, false, time.Minute, false},
		{"a rest", false, true, 2 * time.Second, false},
		{"long again", true, false, 4 * time.Second, true},
		{"neither", false, false, time.Minute, true},
		{"a rest", false, true, 4 * time.Second, true},
		{"long rest", false, true, 2 * time.Second, false},
	} {
		var got bool
		for end := at + step.d; at < end; at += 100 * time.Millisecond {
			got = x.step(&watchdog.Snapshot{Mono: at}, step.long, step.short)
		}
		if got != step.want {
			t.Errorf("%s: %v, want %v (filled %s)", step.what, got, step.want, x.filled)
		}
	}
	x = delayPersistence{}
	x.step(&watchdog.Snapshot{}, true, false)
	if x.step(&watchdog.Snapshot{Mono: time.Hour, Gap: true}, true, false) || x.filled != 0 {
		t.Errorf("a suspended host filled it: %s", x.filled)
	}
}

// The engine of a dry run says what it would do, on a link that stays full for
// minutes, and neither concludes nor learns anything from it.
func TestEngineDryRun(t *testing.T) {
	h := newHost(func(s *Settings) { s.DryRun, s.LimitHold = true, time.Minute }, 8)
	h.toothless, h.stubborn = true, true
	h.run(15*time.Minute, func(d watchdog.Decision) {
		l := d.Links[0]
		if l.Limited+l.Paused != 0 || l.Shaper != 0 || l.BaseProbe || l.WouldPause != 0 || l.Needless != 0 {
			t.Fatalf("at %s: %+v", h.now, l)
		}
		if c, ok := standing(d, watchdog.NotOurQueue); ok {
			t.Fatalf("at %s: %+v", h.now, c)
		}
	})
	c, ok := standing(h.last, watchdog.LinkSaturated)
	if !ok || c.Severity != watchdog.Warning || !strings.HasSuffix(c.Evidence, "nothing is limited: dry run") {
		t.Errorf("%+v", h.last.Conditions)
	}
	if l := h.last.Links[0]; l.WouldLimit != 8 || !strings.HasPrefix(l.Why, "would limit") || h.last.Desired.Limits["a"].Window == 0 {
		t.Errorf("%+v", l)
	}
	if len(h.engine.Learnt()) != 0 {
		t.Errorf("learnt %v", h.engine.Learnt())
	}
}

// Nothing is cut in a dry run, so nothing is sounded out either.
func TestEngineDryRunSoundsNothing(t *testing.T) {
	h := doubted(func(s *Settings) { s.DryRun = true }, 4)
	h.toothless = true
	h.run(time.Minute, func(d watchdog.Decision) {
		if l := d.Links[0]; l.BaseProbe || l.PathEmpty {
			t.Fatalf("at %s: %+v", h.now, l)
		}
	})
	if c, ok := standing(h.last, watchdog.Unprotected); !ok || !strings.Contains(c.Evidence, "dry run") {
		t.Errorf("%+v", h.last.Conditions)
	}
}

// Limits that do not come into force are no way to give way, also where they are
// meant to: the ledger cannot be written, say.
func TestNobodyGaveWay(t *testing.T) {
	for name, toothless := range map[string]bool{"not in force": true, "in force": false} {
		t.Run(name, func(t *testing.T) {
			h := newHost(nil, 8)
			h.toothless, h.stubborn = toothless, true
			found := false
			h.run(2*time.Minute, func(d watchdog.Decision) {
				_, ok := standing(d, watchdog.NotOurQueue)
				found = found || ok
			})
			if found == toothless {
				t.Errorf("NotOurQueue was raised: %v", found)
			}
		})
	}
}
