package alert

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"lifeline/watchdog"
)

const (
	// lookEvery is how often the lifecycle looks at what stands when nobody wakes
	// it.
	lookEvery = 5 * time.Second
)

// Alerts takes conditions and sees to it that receivers are told. Its methods
// may be called from any goroutine.
type Alerts struct {
	cfg     Config
	host    string
	log     *slog.Logger
	vault   vault
	origin  time.Time
	box     *mailbox
	spool   *spool
	workers []*worker
	trials  trials

	mu     sync.Mutex
	packer packer
	life   *lifecycle
	told   watchdog.Severity // the worst that stands, as dead-man's switches were told
}

// Open takes up the spool in the state directory dir, or begins one. It fails
// for a configuration that is not valid, templates included, and for nothing
// else: where the disk or a file with a secret is not as it should be, alerts
// go out as well as they can, and the log and Status say what is wrong.
func Open(dir string, cfg Config, log *slog.Logger) (*Alerts, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("alerts: %w", err)
	}
	if err := cfg.tryTemplates(log); err != nil {
		return nil, fmt.Errorf("alerts: %w", err)
	}
	a := &Alerts{cfg: cfg, host: hostOf(cfg), log: log, vault: newVault(cfg.Credentials), origin: time.Now(), box: newMailbox()}
	var names []string
	var routes []route
	for _, r := range cfg.Receivers {
		names = append(names, r.Name)
		if r.Type != TypePing {
			routes = append(routes, routeOf(r))
		}
	}
	a.life = newLifecycle(rules{
		host: a.host, repeat: cfg.Repeat, flapCount: cfg.FlapCount, flapWindow: cfg.FlapWindow, flapQuiet: cfg.FlapQuiet,
		grace: graceAfterRestart, routes: routes,
	})
	a.spool = newSpool(filepath.Join(dir, File), cfg.SpoolMax, cfg.HistoryMax, names, log)
	tables := a.newWorkers()
	a.spool.wake = a.wakeWorkers
	a.spool.loaded = func(kept map[slot][]byte) { a.restore(kept, tables) }
	if _, err := a.spool.opened(); err != nil {
		log.Warn("alerts are kept in memory until the spool can be opened", "error", err)
		a.spool.settle(batch{}, err)
	}
	return a, nil
}

func hostOf(cfg Config) string {
	if cfg.Host != "" {
		return cfg.Host
	}
	if h, err := os.Hostname(); err == nil && h != "" {
		return clip(h, mostName)
	}
	return "unknown host"
}

// newWorkers makes a worker for each receiver, and gives the tables of the
// Alertmanagers among them.
func (a *Alerts) newWorkers() (tables []*table) {
	for _, r := range a.cfg.Receivers {
		if r.SkipVerify {
			a.log.Warn("the certificate of this receiver is not checked (skip_verify)", "receiver", r.Name)
		}
		var t *table
		if r.Type == TypeAlertmanager {
			t = newTable(r, a.spool.put)
			tables = append(tables, t)
		}
		a.workers = append(a.workers, newWorker(r, a.host, a.spool, newSender(r, a.vault, t, time.Now), a.log, a.pulse, &a.trials))
	}
	return tables
}

// restore takes up what an opened file holds. Alertmanagers' tables belong to
// their workers once these run; a file that is opened later does not change
// them, and what it held of them expires at Alertmanager.
func (a *Alerts) restore(kept map[slot][]byte, tables []*table) {
	var open []*incident
	var silences []Silence
	for k, v := range kept {
		switch k.bucket {
		case string(bucketOpen):
			var inc incident
			if err := json.Unmarshal(v, &inc); err != nil {
				a.log.Warn("an open incident cannot be read; it is forgotten", "incident", k.key, "error", err)
				continue
			}
			open = append(open, &inc)
		case string(bucketSilences):
			var s Silence
			if err := json.Unmarshal(v, &s); err != nil {
				a.log.Warn("a silence cannot be read; it is forgotten", "silence", k.key, "error", err)
				continue
			}
			silences = append(silences, s)
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.life.seen {
		for _, t := range tables {
			t.restore(kept)
		}
	}
	a.life.restore(open, silences)
	for _, w := range a.workers {
		w.rewind()
	}
}

// moment is a time by both clocks.
func (a *Alerts) moment(t time.Time) moment { return moment{t, t.Sub(a.origin)} }

// Take leaves what one turn of the control loop found. It never waits.
func (a *Alerts) Take(at time.Time, standing []watchdog.Condition, changes []watchdog.Change) {
	a.box.put(a.moment(at), standing, changes)
}

// String names the task.
func (a *Alerts) String() string { return "alerts" }

// Run works until ctx ends; then it writes what is not on disk yet and closes
// the spool.
func (a *Alerts) Run(ctx context.Context) error {
	go a.cfg.tellFiles(a.log) // it may take long, and ends by itself
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return a.runLifecycle(ctx) })
	g.Go(func() error { return a.spool.run(ctx) })
	for _, w := range a.workers {
		g.Go(func() error { return w.run(ctx) })
	}
	err := g.Wait()
	a.step()
	a.mu.Lock()
	a.life.pause(a.moment(time.Now()))
	a.hand(a.life.take())
	a.mu.Unlock()
	if err := a.spool.close(); err != nil {
		a.log.Warn("the spool of alerts was not closed well", "error", err)
	}
	return err
}

// runLifecycle steps whenever there is mail or something is due.
func (a *Alerts) runLifecycle(ctx context.Context) error {
	timer := time.NewTimer(lookEvery)
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
	m := a.box.empty()
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, t := range m.turns {
		a.life.turn(t.at, t.changes)
	}
	if m.any {
		a.life.reconcile(m.at, m.standing)
	}
	now := a.moment(time.Now())
	a.life.elapse(now)
	a.hand(a.life.take())
	a.hasten()
	for _, t := range m.turns {
		if slices.ContainsFunc(t.changes, pathIsBack) {
			a.nudgeWorkers()
		}
	}
	if next, ok := a.life.next(now); ok {
		return min(max(next-now.mono, time.Millisecond), lookEvery)
	}
	return lookEvery
}

// pathIsBack tells whether a change may mean that receivers can be reached
// again.
func pathIsBack(c watchdog.Change) bool {
	return !c.Raised && (c.Condition.Name == watchdog.LinkDown || c.Condition.Name == watchdog.ManagementUnreachable ||
		c.Condition.Name == watchdog.LinkSaturated)
}

// hand gives the spool what the lifecycle asks for; a.mu is held, so that
// events are spooled in the order in which they were made.
func (a *Alerts) hand(out output) {
	puts := map[slot][]byte{}
	for _, inc := range out.changed {
		puts[slot{string(bucketOpen), inc.ID}] = encode(inc)
	}
	for _, inc := range out.closed {
		puts[slot{string(bucketOpen), inc.ID}] = nil
		puts[slot{string(bucketHistory), inc.ID}] = encode(inc.Incident)
	}
	for _, s := range out.expired {
		puts[slot{string(bucketSilences), s.ID}] = nil
	}
	var entries []batchEntry
	for _, o := range out.events {
		entries = append(entries, batchEntry{incident: digest(o.event.incident()), raw: a.packer.pack(encode(o.event)), to: o.to})
	}
	a.spool.append(entries, puts)
	if len(entries) > 0 {
		a.wakeWorkers() // to keep an eye on what the disk may not take
	}
}

// encode writes what is known to be writable: strings, numbers and times.
func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		return []byte("null")
	}
	return b
}

func (a *Alerts) wakeWorkers() {
	for _, w := range a.workers {
		poke(w.kick)
	}
}

func (a *Alerts) nudgeWorkers() {
	for _, w := range a.workers {
		poke(w.nudges)
	}
}

// Remark adds what Lifeline did (limits, pauses, shapers) to the incidents that
// the subject, a link with or without a direction, is part of; "host" is all.
// It is for `explain` and waits for nothing but a short lock.
func (a *Alerts) Remark(at time.Time, subject, text string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.life.remark(at, subject, text)
}

// newID makes a short random id.
func newID() string {
	b := make([]byte, 4)
	rand.Read(b) // never fails (crypto/rand)
	return hex.EncodeToString(b)
}

// targetOf is where a receiver is, as it may be seen.
func targetOf(r Receiver) string {
	if r.URLFile != "" {
		return "(url_file)"
	}
	u, err := url.Parse(r.URL)
	if err != nil {
		return "(url)"
	}
	return redact(u)
}
