package metrics

import (
	"maps"
	"slices"
	"time"

	"lifeline/watchdog"
)

// calmFor is how long the delay has to stay low before an episode is over.
const calmFor = time.Second

// episode is one time of too much queueing delay on a link and direction: from
// the first cycle that saw the delay at the engage delay or above, while
// transfers ran, to the first of the cycles that saw it below for calmFor.
type episode struct {
	began time.Duration
	calm  time.Duration // when the delay fell; valid while low
	low   bool
}

// followDelays follows the episodes. One whose delay becomes unknown, or whose
// transfers end meanwhile, tells nothing of how they were limited and is
// dropped.
func (t *totals) followDelays(r *watchdog.Report) {
	usable := func(l watchdog.LinkState) bool { return !r.Snapshot.Gap && l.Delay.Known && l.Transfers > 0 }
	for _, l := range r.Decision.Links {
		if usable(l) {
			t.followDelay(keyOf(l), l.Delay.Queue >= t.engage, r.Snapshot.Mono)
		}
	}
	maps.DeleteFunc(t.episodes, func(k watchdog.ShaperKey, _ *episode) bool {
		return !slices.ContainsFunc(r.Decision.Links, func(l watchdog.LinkState) bool { return keyOf(l) == k && usable(l) })
	})
}

func keyOf(l watchdog.LinkState) watchdog.ShaperKey {
	return watchdog.ShaperKey{Link: l.Link, Direction: l.Direction}
}

func (t *totals) followDelay(k watchdog.ShaperKey, high bool, now time.Duration) {
	e := t.episodes[k]
	switch {
	case e == nil && high:
		t.episodes[k] = &episode{began: now}
	case e == nil:
	case high:
		e.low = false
	case !e.low:
		e.low, e.calm = true, now
	case now-e.calm >= calmFor:
		observe(t.timeToProtect.WithLabelValues(k.Direction.String()), e.calm-e.began)
		delete(t.episodes, k)
	}
}
