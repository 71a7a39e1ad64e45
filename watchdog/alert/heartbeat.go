package alert

import (
	"context"
	"errors"
	"fmt"
	"time"

	"lifeline/watchdog"
)

const (
	// loopDead is how long the control loop may be silent before heartbeats are
	// withheld; when idle it turns every second.
	loopDead = 30 * time.Second
	// beatSoon is when a heartbeat is tried again that came before the loop's
	// first turn.
	beatSoon = time.Second
)

// pulse is what heartbeats tell.
type pulse struct {
	starting bool // the control loop has not turned yet, and may still
	alive    bool // it turns
	worst    watchdog.Severity
	summary  string // of the worst incident that stands and is not silenced; empty for none
}

// pulse feels it.
func (a *Alerts) pulse() pulse {
	latest, _ := a.box.state()
	up := time.Since(a.origin)
	p := pulse{starting: latest == (moment{}) && up < loopDead, alive: latest != (moment{}) && up-latest.mono < loopDead}
	a.mu.Lock()
	defer a.mu.Unlock()
	p.worst, p.summary = a.life.worst()
	return p
}

// worst gives the worst incident that stands and is not silenced.
func (l *lifecycle) worst() (s watchdog.Severity, summary string) {
	for _, inc := range l.open {
		if inc.Announced && !inc.Muted && (s == "" || weight(inc.Current) > weight(s)) {
			s, summary = inc.Current, inc.Summary
		}
	}
	return s, summary
}

// hasten makes dead-man's switches beat at once when what they tell changed;
// a.mu is held.
func (a *Alerts) hasten() {
	worst, _ := a.life.worst()
	if worst == a.told {
		return
	}
	a.told = worst
	for _, w := range a.workers {
		if w.cfg.Type == TypePing {
			poke(w.beats)
		}
	}
}

// heartbeat is what this receiver hears of a pulse; false for nothing.
func (w *worker) heartbeat(p pulse, now time.Time) (Event, bool) {
	ev := Event{
		Version: PayloadVersion, ID: fmt.Sprintf("alive-%s-%d", digestName(w.host+w.cfg.Name), now.UnixMilli()), Kind: Heartbeat,
		At: stamp(now), Host: w.host, Severity: watchdog.Info, Summary: w.host + ": Lifeline is alive",
	}
	ping := w.cfg.Type == TypePing
	switch {
	case !p.alive && !ping:
		return ev, false // silence says it
	case !p.alive:
		ev.Severity, ev.Summary = watchdog.Critical, w.host+": Lifeline's control loop does not turn"
	case ping && p.worst != "" && w.cfg.MinSeverity != severityNone && weight(p.worst) >= weight(watchdog.Severity(w.cfg.MinSeverity)):
		ev.Severity, ev.Summary = watchdog.Critical, p.summary
	}
	return ev, true
}

// beatIn is how long until the next heartbeat is due. A receiver that asked for
// rest has it from heartbeats too.
func (w *worker) beatIn(now time.Time) time.Duration {
	if w.rested {
		return max(w.nextBeat.Sub(now), w.notBefore.Sub(now))
	}
	return w.nextBeat.Sub(now)
}

// beat says that Lifeline is alive, if the control loop is.
func (w *worker) beat(ctx context.Context, now time.Time) {
	p := w.pulse()
	if p.starting {
		w.nextBeat = now.Add(min(beatSoon, w.cfg.Heartbeat))
		return
	}
	w.nextBeat = now.Add(w.cfg.Heartbeat)
	ev, ok := w.heartbeat(p, now)
	if !ok {
		w.note(func(f *figures) {
			f.lastErr, f.lastErrAt = "the control loop does not turn: no heartbeat is sent", stamp(now)
		})
		return
	}
	err := w.sender.deliver(ctx, ev)
	switch {
	case errors.Is(err, errNothing): // a template that leaves heartbeats out
	case err == nil:
		w.well()
		w.note(func(f *figures) { f.sent++; f.lastSent = stamp(now) })
	case ctx.Err() == nil:
		// A missed beat is not made up for later, but soon enough not to be an
		// alarm: a switch waits for more than one.
		f := asFailure(err)
		w.nextBeat = now.Add(max(min(w.pause.NextBackOff(), w.cfg.Heartbeat), f.rest))
		w.note(func(fig *figures) {
			fig.failed++
			fig.lastErr, fig.lastErrAt, fig.next = f.msg, stamp(now), stamp(w.nextBeat)
		})
		if f.fate == later {
			w.failedTrial("", f)
		}
	}
}

func digestName(s string) string { return fmt.Sprintf("%08x", uint32(digest(s))) }
