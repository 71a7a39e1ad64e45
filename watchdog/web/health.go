package web

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"lifeline/watchdog"
	"lifeline/watchdog/printable"
)

// cycleLate is how long the control loop may be silent before it counts as
// hanging; when idle one a second.
const cycleLate = 10 * time.Second

// Health judges the daemon by the cycles of its control loop. Its methods may be
// called from any goroutine, and wait for none.
type Health struct {
	started time.Time
	last    atomic.Pointer[pulse]
}

// pulse is the end of one cycle.
type pulse struct {
	at      time.Time
	unready error // why the daemon cannot do its work; nil when it can
}

// NewHealth is the health of a daemon that starts now.
func NewHealth(now time.Time) *Health { return &Health{started: now} }

// Cycle notes that a cycle has ended.
func (h *Health) Cycle(now time.Time, r watchdog.Report) {
	h.last.Store(&pulse{now, unready(r)})
}

// unready tells what keeps the daemon from seeing or limiting anything. A probe
// target that does not answer, or one transfer out of reach, is no such thing.
func unready(r watchdog.Report) error {
	for _, e := range r.Snapshot.Errors {
		switch e.Probe.Whole() {
		case watchdog.ProbeNIC, watchdog.ProbeDescriptors, watchdog.ProbeRsync:
			return errors.New(printable.Sprintf("probe %s: %s", e.Probe, e.Err))
		}
	}
	for _, f := range r.Outcome.Failed {
		if f.Remedy == watchdog.RemedyGuard || f.Remedy == watchdog.RemedyLedger {
			return errors.New(printable.Sprintf("%s: %s", f.Remedy, f.Err))
		}
	}
	return nil
}

// Alive is nil while the control loop runs, and at first until it must have
// done so.
func (h *Health) Alive(now time.Time) error {
	from, what := h.started, "since the start"
	if p := h.last.Load(); p != nil {
		from, what = p.at, "since the last cycle"
	}
	if silent := now.Sub(from); silent > cycleLate {
		return fmt.Errorf("the control loop hangs: no cycle has ended for %s (%s)", silent.Round(time.Second), what)
	}
	return nil
}

// Ready is nil once a cycle was done and while the daemon can do its work.
func (h *Health) Ready(now time.Time) error {
	p := h.last.Load()
	if p == nil {
		return errors.New("starting: the first cycle is not done yet")
	}
	if p.unready != nil {
		return p.unready
	}
	return h.Alive(now)
}
