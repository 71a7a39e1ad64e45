package metrics

import (
	"maps"
	"time"

	"lifeline/watchdog"
)

// Mechanisms, as the labels name them.
const (
	mechWindow = "window"
	mechPacing = "pacing"
	mechShaper = "shaper"
	mechPause  = "pause"
)

var mechanisms = []string{mechWindow, mechPacing, mechShaper, mechPause}

type limitKey struct {
	direction watchdog.Direction
	mechanism string
}

type transitionKey struct {
	condition watchdog.ConditionName
	raised    bool
}

// totals is what is summed up over all turns. It is pure: time comes in with
// the turns.
type totals struct {
	turns         histogram
	rtts          map[int]histogram // by ifindex
	imposed       map[limitKey]uint64
	transitions   map[transitionKey]uint64
	probeErrors   map[string]uint64
	failures      map[string]uint64 // by remedy
	timeToLimit   [2]histogram      // by direction
	timeToProtect [2]histogram      // likewise
	links         map[int]bool      // hardware, or used by transfers or probes
	held          map[watchdog.TransferID]holding
	began         bool // a turn was taken
	episodes      map[watchdog.ShaperKey]*episode
	engage        time.Duration
	dryRun        bool
}

// holding is what is known of one transfer from the turns before.
type holding struct {
	stands [4]bool // by mechanism
	timed  bool    // its time to its first limit was taken, or means nothing
}

func newTotals(engage time.Duration, dryRun bool) *totals {
	t := &totals{
		turns: newHistogram(turnBounds), rtts: map[int]histogram{},
		imposed: map[limitKey]uint64{}, transitions: map[transitionKey]uint64{},
		probeErrors: map[string]uint64{}, failures: map[string]uint64{},
		links: map[int]bool{}, held: map[watchdog.TransferID]holding{},
		episodes: map[watchdog.ShaperKey]*episode{}, engage: engage, dryRun: dryRun,
	}
	for d := range t.timeToLimit {
		t.timeToLimit[d], t.timeToProtect[d] = newHistogram(limitBounds), newHistogram(protectBounds)
	}
	return t
}

// clone is a copy for a scrape, of what a scrape shows.
func (t *totals) clone() totals {
	c := totals{
		turns: t.turns.clone(), rtts: make(map[int]histogram, len(t.rtts)),
		imposed: maps.Clone(t.imposed), transitions: maps.Clone(t.transitions),
		probeErrors: maps.Clone(t.probeErrors), failures: maps.Clone(t.failures), links: maps.Clone(t.links),
	}
	for k, h := range t.rtts {
		c.rtts[k] = h.clone()
	}
	for d := range t.timeToLimit {
		c.timeToLimit[d], c.timeToProtect[d] = t.timeToLimit[d].clone(), t.timeToProtect[d].clone()
	}
	return c
}

// take adds one turn.
func (t *totals) take(r *watchdog.Report) {
	t.turns.observe(r.Took.Seconds())
	t.takeLinks(r)
	t.takeLimits(r)
	if !t.dryRun { // no delay of a dry run ends by what we did
		t.takeDelays(r)
	}
	for _, c := range r.Decision.Changes {
		if c.Was != "" {
			continue // it stood and stands
		}
		t.transitions[transitionKey{c.Condition.Name, c.Raised}]++
	}
	for _, e := range r.Snapshot.Errors {
		t.probeErrors[probeOf(e)]++
	}
	for _, f := range r.Outcome.Failed {
		t.failures[string(f.Remedy)]++
	}
	t.began = true
}

// probeOf is the probe without the part of it that failed.
func probeOf(e watchdog.ProbeError) string {
	return string(e.Probe.Whole())
}

// answered adds one answered probe.
func (t *totals) answered(link int, rtt time.Duration) {
	h, ok := t.rtts[link]
	if !ok {
		h = newHistogram(rttBounds)
		t.rtts[link] = h
	}
	h.observe(rtt.Seconds())
	t.rtts[link] = h
}

// takeLinks remembers the links that are worth showing, and forgets those that
// are gone.
func (t *totals) takeLinks(r *watchdog.Report) {
	links := r.Snapshot.Links
	for i := range links {
		if l := &links[i]; l.Kind == "device" {
			t.links[l.Index] = true
		}
	}
	for i := range r.Snapshot.Paths {
		t.links[r.Snapshot.Paths[i].Link] = true
	}
	for i := range r.Decision.Links {
		t.links[r.Decision.Links[i].Link] = true
	}
	there := func(index int) bool {
		for i := range links {
			if links[i].Index == index {
				return true
			}
		}
		return false
	}
	maps.DeleteFunc(t.links, func(i int, _ bool) bool { return !there(i) })
	maps.DeleteFunc(t.rtts, func(i int, _ histogram) bool { return !there(i) })
}

// takeLimits counts what came into force with this turn.
func (t *totals) takeLimits(r *watchdog.Report) {
	for i := range r.Snapshot.Transfers {
		x := &r.Snapshot.Transfers[i]
		now := standing(r.Outcome.Limits[x.ID])
		was, known := t.held[x.ID]
		h := was
		if !known {
			h.timed = !t.began // one that was there before us
		}
		any := false
		for m, stands := range now {
			any = any || stands
			if stands && !h.stands[m] {
				t.imposed[limitKey{x.Direction, mechanisms[m]}]++
			}
		}
		if any && !h.timed {
			t.timeToLimit[x.Direction].observe((x.Age + r.Took).Seconds())
			h.timed = true
		}
		if h.stands = now; !known || h != was {
			t.held[x.ID] = h
		}
	}
	t.forget(r.Snapshot.Transfers)
}

// forget drops the transfers that are gone.
func (t *totals) forget(live []watchdog.Transfer) {
	if len(t.held) == len(live) {
		return // each of them was seen in this turn
	}
	there := make(map[watchdog.TransferID]bool, len(live))
	for _, x := range live {
		there[x.ID] = true
	}
	maps.DeleteFunc(t.held, func(id watchdog.TransferID, _ holding) bool { return !there[id] })
}

// standing tells which mechanisms hold a transfer, in the order of mechanisms.
func standing(l watchdog.Limit) [4]bool {
	return [4]bool{l.Window > 0, l.Pacing > 0, l.Shape || l.Rate > 0, l.Pause}
}
