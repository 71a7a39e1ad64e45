package metrics

import (
	"maps"
	"time"

	"github.com/prometheus/client_golang/prometheus"

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

// totals is what is summed up over all cycles, and what is known from the cycles before
// to do so. Time comes in with the cycles.
type totals struct {
	cycles        prometheus.Histogram
	rtts          map[int]prometheus.Histogram // by ifindex
	imposed       *prometheus.CounterVec
	paused        *prometheus.CounterVec
	transitions   *prometheus.CounterVec
	probeErrors   *prometheus.CounterVec
	failures      *prometheus.CounterVec
	timeToLimit   *prometheus.HistogramVec
	timeToProtect *prometheus.HistogramVec

	links    map[int]bool // hardware, or used by transfers or probes
	held     map[watchdog.TransferID]holding
	began    bool // a cycle was taken
	episodes map[watchdog.ShaperKey]*episode
	engage   time.Duration
	dryRun   bool
}

// holding is what is known of one transfer from the cycles before.
type holding struct {
	stands [4]bool // by mechanism
	timed  bool    // its time to its first limit was taken, or means nothing
}

func newTotals(engage time.Duration, dryRun bool) *totals {
	t := &totals{
		cycles: unlabelled(cycleTime, cycleBounds), rtts: map[int]prometheus.Histogram{},
		imposed: counters(limitsTotal), paused: counters(pausesTotal), transitions: counters(transitions),
		probeErrors: counters(probeErrors), failures: counters(failures),
		timeToLimit: histograms(timeToLimit, limitBounds), timeToProtect: histograms(timeToProtect, protectBounds),
		links: map[int]bool{}, held: map[watchdog.TransferID]holding{},
		episodes: map[watchdog.ShaperKey]*episode{}, engage: engage, dryRun: dryRun,
	}
	t.begin()
	return t
}

// begin shows what was not counted yet as 0.
func (t *totals) begin() {
	for _, d := range directions {
		t.timeToLimit.WithLabelValues(d.String())
		t.timeToProtect.WithLabelValues(d.String())
		for m := range mechanisms {
			t.imposition(d, m)
		}
	}
	for _, c := range watchdog.ConditionNames() {
		t.transition(c, true)
		t.transition(c, false)
	}
}

// imposition counts the times that a mechanism, by its index, came to hold a transfer.
func (t *totals) imposition(d watchdog.Direction, mechanism int) prometheus.Counter {
	if m := mechanisms[mechanism]; m != mechPause {
		return t.imposed.WithLabelValues(d.String(), m)
	}
	return t.paused.WithLabelValues(d.String())
}

// transition counts the times that a condition was raised or cleared.
func (t *totals) transition(c watchdog.ConditionName, raised bool) prometheus.Counter {
	word := "cleared"
	if raised {
		word = "raised"
	}
	return t.transitions.WithLabelValues(string(c), word)
}

// collectors are those that show themselves.
func (t *totals) collectors() []prometheus.Collector {
	return []prometheus.Collector{t.cycles, t.imposed, t.paused, t.transitions, t.probeErrors, t.failures, t.timeToLimit, t.timeToProtect}
}

// add adds one cycle.
func (t *totals) add(r *watchdog.Report) {
	observe(t.cycles, r.Took)
	t.followLinks(r)
	t.countLimits(r)
	if !t.dryRun { // no delay of a dry run ends by what we did
		t.followDelays(r)
	}
	for _, c := range r.Decision.Changes {
		if c.Was != "" {
			continue // it stood and stands
		}
		t.transition(c.Condition.Name, c.Raised).Inc()
	}
	for _, e := range r.Snapshot.Errors {
		t.probeErrors.WithLabelValues(string(probeOf(e))).Inc()
	}
	for _, f := range r.Outcome.Failed {
		t.failures.WithLabelValues(string(string(f.Remedy))).Inc()
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
		h = unlabelled(probeRTT, rttBounds)
		t.rtts[link] = h
	}
	observe(h, rtt)
}

// followLinks remembers the links that are worth showing, and forgets those that
// are gone.
func (t *totals) followLinks(r *watchdog.Report) {
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
	maps.DeleteFunc(t.rtts, func(i int, _ prometheus.Histogram) bool { return !there(i) })
}

// countLimits counts what came into force with this cycle.
func (t *totals) countLimits(r *watchdog.Report) {
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
				t.imposition(x.Direction, m).Inc()
			}
		}
		if any && !h.timed {
			observe(t.timeToLimit.WithLabelValues(x.Direction.String()), x.Age+r.Took)
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
		return // each of them was seen in this cycle
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
