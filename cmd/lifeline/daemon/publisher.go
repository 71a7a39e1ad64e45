package daemon

import (
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"lifeline/watchdog"
	"lifeline/watchdog/alert"
	"lifeline/watchdog/facts"
	"lifeline/watchdog/web"
)

// publisher takes the report of each cycle and passes it on: to the status, the log,
// the alerts and the facts. It never waits.
type publisher struct {
	version      string
	dryRun       bool
	log          *slog.Logger
	facts        *facts.Store
	remember     func(name string, v any) error
	alerts       *alert.Alerts // nil without alerts
	capabilities func() []watchdog.Capability
	pingMethod   func() string
	guard        func() guardState
	dryRunCounts func() *web.DryRunCounts // nil unless in a dry run
	page         *web.Page                // nil when switched off
	absent       absentLinks
	transitions  transitionLog
	started      time.Time
	first        chan struct{} // closed by the first cycle

	mu     sync.Mutex
	last   watchdog.Report
	shown  web.Status    // of the latest cycle, what is not in its report
	cycled chan struct{} // closed by the next cycle
	saved  time.Time     // when capacities last went to the facts
}

// guardState is what is told of the guard.
type guardState struct {
	pid      int   // 0 without one
	degraded error // what makes it less safe than it should be; nil when nothing does
}

// newPublisher makes the publisher of a daemon whose other parts are there.
func (d *daemon) newPublisher(s *sampler) *publisher {
	p := &publisher{
		version: d.Version, dryRun: d.DryRun, log: d.log, facts: d.facts, remember: d.facts.Put, alerts: d.alerts,
		capabilities: func() []watchdog.Capability { return append(s.capabilities(), d.actuator.able()...) },
		pingMethod:   s.pingMethod, guard: d.actuator.guardState, dryRunCounts: d.actuator.dryRunCounts,
		absent:      absentLinks{cfg: d.cfg, log: d.log},
		transitions: transitionLog{log: d.log},
	}
	if d.alerts != nil {
		p.transitions.remarks = d.alerts
	}
	return p.begin()
}

// begin gives a publisher without a cycle.
func (p *publisher) begin() *publisher {
	p.started, p.first, p.cycled = time.Now(), make(chan struct{}), make(chan struct{})
	p.transitions.phases = map[watchdog.ShaperKey]loggedPhase{}
	return p
}

// publish takes the report of one cycle.
func (p *publisher) publish(r watchdog.Report) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.last.Snapshot.Wall.IsZero() {
		defer close(p.first)
	}
	close(p.cycled)
	p.cycled = make(chan struct{})
	guard := p.guard()
	p.last = r
	p.shown = web.Status{GuardPID: guard.pid, Guard: guardText(p.dryRun, guard), Absent: p.absent.look(r.Snapshot), DryRunCounts: p.dryRunCounts()}
	at := r.Snapshot.Wall
	for _, c := range r.Decision.Changes {
		p.transitions.condition(c)
	}
	if p.alerts != nil {
		p.alerts.Take(at, r.Decision.Conditions, r.Decision.Changes)
	}
	for _, l := range r.Decision.Links {
		p.transitions.control(at, l)
	}
	p.transitions.bursts(r.Outcome.SmallBursts)
	p.saveCapacities(at, r.Learnt)
}

// saveEvery is how often learnt capacities go to the facts.
const saveEvery = 30 * time.Second

// saveCapacities has learnt capacities remembered, now and then.
func (p *publisher) saveCapacities(at time.Time, learnt map[watchdog.LearntKey]float64) {
	if at.Sub(p.saved) <= saveEvery || len(learnt) == 0 {
		return
	}
	p.saved = at
	if err := p.remember(capacitiesFact, writeLearnt(learnt)); err != nil {
		p.log.Warn("capacities are not remembered", "error", err)
	}
}

// guardText puts the state of the guard into words.
func guardText(dryRun bool, g guardState) string {
	switch {
	case dryRun:
		return "not needed in a dry run"
	case g.pid == 0:
		return "none yet: it starts with the first cycle"
	case g.degraded != nil:
		return fmt.Sprintf("pid %d (less safe than it should be: %v)", g.pid, g.degraded)
	}
	return fmt.Sprintf("pid %d", g.pid)
}

// status is the latest cycle in full.
func (p *publisher) status() web.Status {
	p.mu.Lock()
	defer p.mu.Unlock()
	st := p.shown
	st.Schema, st.Version, st.PID, st.Started, st.DryRun = web.Schema, p.version, os.Getpid(), p.started, p.dryRun
	st.Ping, st.Capabilities, st.Journal = p.pingMethod(), p.capabilities(), p.facts.Health()
	if st.Guard == "" { // no cycle yet
		st.Guard = guardText(p.dryRun, guardState{})
	}
	if p.page != nil {
		st.Page = p.page.Status()
	}
	st.Fill(p.last)
	return st
}
