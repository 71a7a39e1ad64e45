package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"

	"lifeline/watchdog"
	"lifeline/watchdog/alert"
	"lifeline/watchdog/control"
	"lifeline/watchdog/engine"
	"lifeline/watchdog/facts"
	"lifeline/watchdog/web"
)

// publisher takes each turn of the loop and passes it on: to the status, the log
// and the journal. It never waits.
type publisher struct {
	log         *slog.Logger
	journal     *facts.Store
	alerts      *alert.Alerts // may be nil
	actuator    *actuator
	sampler     *sampler
	page        *web.Page // nil when switched off
	absentLinks absentLinks
	version     string
	started     time.Time
	first       chan struct{} // closed by the first turn

	mu     sync.Mutex
	last   watchdog.Report
	guard  int
	flaw   string     // of the guard
	absent []string   // settings for links that are not there
	would  *web.Would // nil unless in a dry run
	phases map[watchdog.ShaperKey]loggedPhase
	small  bool          // the kernel's bursts
	turned chan struct{} // closed by the next turn
	saved  time.Time
}

// saveEvery is how often learnt capacities go to the journal.
const saveEvery = 30 * time.Second

func newPublisher(log *slog.Logger, j *facts.Store, al *alert.Alerts, a *actuator, s *sampler) *publisher {
	return &publisher{log: log, journal: j, alerts: al, actuator: a, sampler: s, started: time.Now(),
		first: make(chan struct{}), turned: make(chan struct{}), phases: map[watchdog.ShaperKey]loggedPhase{}}
}

// tell takes one turn.
func (b *publisher) tell(r watchdog.Report) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.last.Snapshot.Wall.IsZero() {
		defer close(b.first)
	}
	close(b.turned)
	b.turned = make(chan struct{})
	b.last, b.guard, b.flaw = r, b.actuator.guardPID(), b.actuator.guardFlaw()
	b.absent = b.absentLinks.look(r.Snapshot)
	if d := b.actuator.dry; d != nil {
		b.would = &web.Would{Limits: d.Limits, Pauses: d.Pauses, Shapers: d.Shapers}
	}
	for _, c := range r.Decision.Changes {
		b.change(r.Snapshot.Wall, c)
	}
	if b.alerts != nil {
		b.alerts.Take(r.Snapshot.Wall, r.Decision.Conditions, r.Decision.Changes)
	}
	for _, l := range r.Decision.Links {
		b.phase(r.Snapshot.Wall, l)
	}
	if small := r.Outcome.SmallBursts; small != b.small {
		b.small = small
		b.log.Info("bursts of TCP", "small", small, "setting", "net.ipv4.tcp_tso_rtt_log")
	}
	if r.Snapshot.Wall.Sub(b.saved) > saveEvery && len(r.Learnt) > 0 {
		b.saved = r.Snapshot.Wall
		if err := b.journal.Put(learntFact, writeLearnt(r.Learnt)); err != nil {
			b.log.Warn("capacities are not remembered", "error", err)
		}
	}
}

// change tells of a condition that was raised or cleared, or has another severity.
func (b *publisher) change(at time.Time, c watchdog.Change) {
	word, level := "cleared", slog.LevelInfo
	switch {
	case c.Was != "":
		word = "changed"
	case c.Raised:
		word = "raised"
	}
	if c.Raised && c.Condition.Severity != watchdog.Info {
		level = slog.LevelWarn
	}
	b.log.Log(context.Background(), level, "condition "+word, "condition", c.Condition.Name,
		"subject", c.Condition.Subject, "severity", c.Condition.Severity, "evidence", c.Condition.Evidence)
	b.note(at, "condition", fmt.Sprintf("%s %s: %s", c.Condition.Name, word, c.Condition.Subject), map[string]any{
		"severity": c.Condition.Severity, "evidence": c.Condition.Evidence, "since": c.Condition.Since})
}

// loggedPhase is what is told of a link's controller when it changes.
type loggedPhase struct {
	phase    control.Phase
	sounding bool
}

// phase tells when a link's controller moves on.
func (b *publisher) phase(at time.Time, l watchdog.LinkState) {
	k := watchdog.ShaperKey{Link: l.Link, Direction: l.Direction}
	now := loggedPhase{l.Phase, l.Sounding}
	if b.phases[k] == now {
		return
	}
	b.phases[k] = now
	b.log.Info("control", "link", l.Name, "direction", l.Direction, "phase", l.Phase, "transfers", l.Transfers,
		"limited", l.Limited, "paused", l.Paused, "capacity", capacity(l.Capacity), "why", l.Why)
	if b.alerts != nil {
		b.alerts.Remark(at, l.Name+" "+l.Direction.String(), fmt.Sprintf("%s: %s (%d transfers, %d limited, %d paused)",
			l.Phase, l.Why, l.Transfers, l.Limited, l.Paused))
	}
	b.note(at, "control", fmt.Sprintf("%s %s: %s", l.Name, l.Direction, l.Phase), map[string]any{"why": l.Why, "transfers": l.Transfers})
}

// capacity is for people: 0 is unknown.
func capacity(bytesPerSecond float64) string {
	if bytesPerSecond == 0 {
		return "unknown"
	}
	return watchdog.Mbit(bytesPerSecond)
}

func (b *publisher) note(at time.Time, kind, text string, data map[string]any) {
	b.journal.Add(facts.Event{At: at, Kind: kind, Text: text, Data: data})
}

// capabilities are what was found out about this host.
func (b *publisher) capabilities() []watchdog.Capability {
	return append(b.sampler.capabilities(), b.actuator.able()...)
}

// status is the latest turn in full.
func (b *publisher) status() web.Status {
	b.mu.Lock()
	defer b.mu.Unlock()
	st := web.Status{
		Schema: web.Schema, Version: b.version, PID: os.Getpid(), Started: b.started, DryRun: b.actuator.dry != nil, Would: b.would,
		Ping: b.sampler.pingMethod(), GuardPID: b.guard, Guard: "none yet: it is started with the first turn",
		Capabilities: b.capabilities(), Absent: b.absent, Journal: b.journal.Health(),
	}
	if b.page != nil {
		st.Page = b.page.Status()
	}
	switch {
	case b.actuator.dry != nil:
		st.Guard = "not needed in a dry run"
	case b.guard != 0:
		st.Guard = fmt.Sprintf("pid %d", b.guard)
		if b.flaw != "" {
			st.Guard += " (less safe than it should be: " + b.flaw + ")"
		}
	}
	st.Fill(b.last)
	return st
}

// pinner passes an operator's wish to the loop, for a transfer that exists, and
// tells what became of a rate that was asked for.
func (b *publisher) pinner(to chan<- engine.PinRequest, wake chan<- struct{}) func(watchdog.TransferID, control.Pin) (web.Transfer, error) {
	return func(id watchdog.TransferID, p control.Pin) (web.Transfer, error) {
		b.mu.Lock()
		err := pinnable(b.last.Snapshot.Transfers, id, p)
		b.mu.Unlock()
		if err != nil {
			return web.Transfer{}, err
		}
		select {
		case to <- engine.PinRequest{ID: id, Pin: p}:
			poke(wake)
		case <-time.After(time.Second):
			return web.Transfer{}, fmt.Errorf("the watchdog does not take it: see its log")
		}
		if p.Rate <= 0 {
			return web.Transfer{}, nil
		}
		return b.granted(id, p.Rate)
	}
}

// grantTime is how long a wish may take to be acted on: some turns of the loop, and
// less than a client waits.
const grantTime = 3 * time.Second

// granted waits for the turn that acts on a wish for a rate (bytes/s).
func (b *publisher) granted(id watchdog.TransferID, rate float64) (web.Transfer, error) {
	end := time.After(grantTime)
	for {
		b.mu.Lock()
		r, turned := b.last, b.turned
		b.mu.Unlock()
		there := slices.ContainsFunc(r.Snapshot.Transfers, func(t watchdog.Transfer) bool { return t.ID == id })
		if !there || r.Decision.Wishes[id].Rate == rate {
			return b.transfer(r, id)
		}
		select {
		case <-turned:
		case <-end:
			return web.Transfer{}, errors.New("the watchdog has not acted on it yet: `lifeline status` tells whether it does")
		}
	}
}

// transfer is one as the status shows it.
func (b *publisher) transfer(r watchdog.Report, id watchdog.TransferID) (web.Transfer, error) {
	st := web.Status{DryRun: b.actuator.dry != nil}
	st.Fill(r)
	for _, t := range st.Transfers {
		if t.ID == id {
			return t, nil
		}
	}
	return web.Transfer{}, web.ErrNoTransfer
}

// pinnable tells why a wish cannot be granted.
func pinnable(ts []watchdog.Transfer, id watchdog.TransferID, p control.Pin) error {
	for _, t := range ts {
		if t.ID != id {
			continue
		}
		limits := t.Control == watchdog.ControlFull || t.Control == watchdog.ControlLimitOnly
		pauses := t.Control == watchdog.ControlFull || t.Control == watchdog.ControlPauseOnly
		if p.Pause && !pauses {
			return fmt.Errorf("it is never paused: %s", t.Why)
		}
		if p.Rate > 0 && !limits {
			return fmt.Errorf("it is never limited: %s", t.Why)
		}
		return nil
	}
	return web.ErrNoTransfer
}

// greetTime lets the first echo requests be answered before the first status
// is shown.
const greetTime = 2 * time.Second

// greet shows what was found, once, after the first turns.
func (b *publisher) greet(ctx context.Context, w io.Writer) error {
	select {
	case <-ctx.Done():
		return nil
	case <-b.first:
	}
	select {
	case <-ctx.Done():
	case <-time.After(greetTime):
		tellCapabilities(b.log, b.capabilities())
		if err := b.status().Text(w); err != nil {
			b.log.Warn("the first status could not be shown", "error", err)
		}
		fmt.Fprintf(w, "\nwatching over %s; Ctrl-C ends it and undoes everything\n", hostname())
	}
	return nil
}
