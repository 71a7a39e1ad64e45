package alert

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"lifeline/watchdog"
	"lifeline/watchdog/alert/incident"
	"lifeline/watchdog/alert/notify"
	"lifeline/watchdog/alert/spool"
	"lifeline/watchdog/files"
	"lifeline/watchdog/store"
)

const (
	// checkInterval is how often the lifecycle is advanced when nobody wakes it.
	checkInterval = 5 * time.Second
)

// Alerts takes conditions and sees to it that receivers are told. Its methods
// may be called from any goroutine.
type Alerts struct {
	cfg     Config
	host    string
	log     *slog.Logger
	origin  time.Time
	box     *mailbox
	spool   *spool.Spool
	workers []*notify.Worker
	trials  notify.TestAlerts

	mu        sync.Mutex
	life      *incident.Lifecycle
	announced watchdog.Severity // the worst that is active, as last signalled to dead-man's switches
}

// Open takes up the spool in the state directory dir, or begins one. It fails
// for a configuration that is not valid, templates included, and for nothing
// else: where the disk or a file with a secret is not as it should be, alerts
// go out as well as they can, and the log and Status say what is wrong.
func Open(dir string, cfg Config, log *slog.Logger) (*Alerts, error) {
	return open(dir, cfg, log, system{openStore: spool.OpenFile})
}

// system is what tests replace: the disk below the spool, and the reader of secrets.
type system struct {
	openStore func(path string) (*store.DB, error)
	files     *files.Reader // nil: the one for all
}

func open(dir string, cfg Config, log *slog.Logger, sys system) (*Alerts, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("alerts: %w", err)
	}
	if err := notify.CheckTemplates(cfg.Receivers, cfg.Credentials, log); err != nil {
		return nil, fmt.Errorf("alerts: %w", err)
	}
	a := &Alerts{cfg: cfg, host: hostOf(cfg), log: log, origin: time.Now(), box: newMailbox()}
	var names []string
	var routes []incident.Route
	for _, r := range cfg.Receivers {
		names = append(names, r.Name)
		if r.Type != notify.TypePing {
			routes = append(routes, notify.Route(r))
		}
	}
	a.life = incident.New(incident.Settings{
		Host: a.host, Repeat: cfg.Repeat.Duration, FlapCount: cfg.FlapCount, FlapWindow: cfg.FlapWindow.Duration, FlapQuiet: cfg.FlapQuiet.Duration,
		Grace: incident.GraceAfterRestart, Routes: routes,
	})
	a.spool = spool.New(spool.Config{
		Path: filepath.Join(dir, spool.File), Max: cfg.SpoolMax, HistoryMax: cfg.HistoryMax, Receivers: names, Log: log,
		OnReadable: a.wakeWorkers, OnLoad: a.restore, Open: sys.openStore,
	})
	env := notify.Env{
		Host: a.host, Spool: a.spool, Credentials: cfg.Credentials, Files: sys.files, Log: log, Pulse: a.pulse, Tests: &a.trials, Now: time.Now,
	}
	for _, r := range cfg.Receivers {
		a.workers = append(a.workers, notify.NewWorker(r, env))
	}
	if err := a.spool.Open(); err != nil {
		log.Warn("alerts are kept in memory until the spool can be opened", "error", err)
	}
	return a, nil
}

func hostOf(cfg Config) string {
	if cfg.Host != "" {
		return cfg.Host
	}
	if h, err := os.Hostname(); err == nil && h != "" {
		return incident.Clip(h, incident.MaxName)
	}
	return "unknown host"
}

// restore takes up what an opened file holds. Alertmanagers' tables belong to
// their workers once these run; a file that is opened later does not change
// them, and what it held of them expires at Alertmanager.
func (a *Alerts) restore(kept spool.State) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.life.Restore(kept.Open, kept.Silences)
	for _, w := range a.workers {
		if !a.life.Started {
			w.Restore(kept.Posted)
		}
		w.Rewind()
	}
}

// moment is a time by both clocks.
func (a *Alerts) moment(t time.Time) incident.Moment {
	return incident.Moment{Wall: t, Mono: t.Sub(a.origin)}
}

// Take leaves the active conditions of one cycle of the control loop, and what
// changed in it. It never waits.
func (a *Alerts) Take(at time.Time, active []watchdog.Condition, changes []watchdog.Change) {
	a.box.put(a.moment(at), active, changes)
}

// Remark leaves what Lifeline did (limits, pauses, shapers) for the timelines of the
// incidents that it is about: those on the subject's link, or all for the host. It
// never waits.
func (a *Alerts) Remark(at time.Time, about watchdog.Subject, text string) {
	a.box.putRemark(a.moment(at), about, text)
}

// String names the task.
func (a *Alerts) String() string { return "alerts" }

// Run works until ctx ends; then it writes what is not on disk yet and closes
// the spool.
func (a *Alerts) Run(ctx context.Context) error {
	go notify.WarnFiles(a.cfg.Receivers, a.cfg.Credentials, a.log) // it may take long, and ends by itself
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return a.runLifecycle(ctx) })
	g.Go(func() error { return a.spool.Run(ctx) })
	for _, w := range a.workers {
		g.Go(func() error { return w.Run(ctx) })
	}
	err := g.Wait()
	a.step()
	a.mu.Lock()
	a.life.NoteStop(a.moment(time.Now()))
	a.record(a.life.Output())
	a.mu.Unlock()
	if err := a.spool.Close(); err != nil {
		a.log.Warn("the spool of alerts was not closed well", "error", err)
	}
	return err
}

// runLifecycle steps whenever there is mail or something is due.
func (a *Alerts) runLifecycle(ctx context.Context) error {
	timer := time.NewTimer(checkInterval)
	defer timer.Stop()
	for {
		timer.Reset(a.step())
		select {
		case <-ctx.Done():
			return nil
		case <-a.box.kick:
		case <-timer.C:
		}
	}
}

// step takes the mail and gives how long there is nothing to do without any.
func (a *Alerts) step() time.Duration {
	m := a.box.collect()
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, l := range m.letters {
		if l.remark != "" {
			a.life.Remark(l.at.Wall, l.about, l.remark)
		} else {
			a.life.Apply(l.at, l.changes)
		}
	}
	if m.received {
		a.life.Reconcile(m.at, m.active)
	}
	now := a.moment(time.Now())
	a.life.Advance(now)
	a.record(a.life.Output())
	a.signalSeverity()
	for _, l := range m.letters {
		if slices.ContainsFunc(l.changes, pathIsBack) {
			a.nudgeWorkers()
		}
	}
	if next, ok := a.life.NextDue(now); ok {
		return min(max(next-now.Mono, time.Millisecond), checkInterval)
	}
	return checkInterval
}

// pathIsBack tells whether a change may mean that receivers can be reached
// again.
func pathIsBack(c watchdog.Change) bool {
	return !c.Raised && (c.Condition.Name == watchdog.LinkDown || c.Condition.Name == watchdog.ManagementUnreachable ||
		c.Condition.Name == watchdog.LinkSaturated)
}

// record gives the spool what the lifecycle asks for; a.mu is held, so that
// events are spooled in the order in which they were made.
func (a *Alerts) record(out incident.Output) {
	a.spool.Record(out)
	if len(out.Events) > 0 {
		a.wakeWorkers() // to keep an eye on what the disk may not take
	}
}

func (a *Alerts) wakeWorkers() {
	for _, w := range a.workers {
		w.Wake()
	}
}

func (a *Alerts) nudgeWorkers() {
	for _, w := range a.workers {
		w.Nudge()
	}
}

// loopTimeout is how long the control loop may be silent before heartbeats are
// withheld; when idle it has a cycle every second.
const loopTimeout = 30 * time.Second

// pulse is what heartbeats tell now.
func (a *Alerts) pulse() notify.Pulse {
	latest, _ := a.box.state()
	up := time.Since(a.origin)
	p := notify.Pulse{Starting: latest == (incident.Moment{}) && up < loopTimeout, Alive: latest != (incident.Moment{}) && up-latest.Mono < loopTimeout}
	a.mu.Lock()
	defer a.mu.Unlock()
	p.Worst, p.Summary = a.life.Worst()
	return p
}

// signalSeverity makes dead-man's switches beat at once when what they tell changed;
// a.mu is held.
func (a *Alerts) signalSeverity() {
	worst, _ := a.life.Worst()
	if worst == a.announced {
		return
	}
	a.announced = worst
	for _, w := range a.workers {
		w.BeatNow()
	}
}
