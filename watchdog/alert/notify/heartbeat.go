package notify

import (
	"context"
	"errors"
	"fmt"
	"time"

	"lifeline/watchdog"
	"lifeline/watchdog/alert/incident"
	"lifeline/watchdog/alert/spool"
)

// firstHeartbeatRetry is when a heartbeat is tried again that came before the loop's
// first cycle.
const firstHeartbeatRetry = time.Second

// Pulse is what heartbeats tell.
type Pulse struct {
	Starting bool // the control loop has not turned yet, and may still
	Alive    bool // it has cycles
	Worst    watchdog.Severity
	Summary  string // of the worst active incident that is not silenced; empty for none
}

// heartbeat is what this receiver hears of a pulse; false for nothing.
func (w *Worker) heartbeat(p Pulse, now time.Time) (incident.Event, bool) {
	ev := incident.Event{
		Version: incident.PayloadVersion, ID: fmt.Sprintf("alive-%s-%d", digestName(w.host+w.cfg.Name), now.UnixMilli()), Kind: incident.Heartbeat,
		At: incident.Timestamp(now), Host: w.host, Severity: watchdog.Info, Summary: w.host + ": Lifeline is alive",
	}
	ping := w.cfg.Type == TypePing
	switch {
	case !p.Alive && !ping:
		return ev, false // silence says it
	case !p.Alive:
		ev.Severity, ev.Summary = watchdog.Critical, w.host+": Lifeline's control loop does not turn"
	case ping && p.Worst != "" && w.cfg.MinSeverity != severityNone && incident.Weight(p.Worst) >= incident.Weight(watchdog.Severity(w.cfg.MinSeverity)):
		ev.Severity, ev.Summary = watchdog.Critical, p.Summary
	}
	return ev, true
}

// beatIn is how long until the next heartbeat is due. A receiver that asked for
// rest has it from heartbeats too.
func (w *Worker) beatIn(now time.Time) time.Duration {
	if w.retryAfterSet {
		return max(w.nextBeat.Sub(now), w.notBefore.Sub(now))
	}
	return w.nextBeat.Sub(now)
}

// beat says that Lifeline is alive, if the control loop is.
func (w *Worker) beat(ctx context.Context, now time.Time) {
	p := w.pulse()
	if p.Starting {
		w.nextBeat = now.Add(min(firstHeartbeatRetry, w.cfg.Heartbeat.Duration))
		return
	}
	w.nextBeat = now.Add(w.cfg.Heartbeat.Duration)
	ev, ok := w.heartbeat(p, now)
	if !ok {
		w.updateFigures(func(f *figures) {
			f.lastErr, f.lastErrAt = "the control loop does not turn: no heartbeat is sent", incident.Timestamp(now)
		})
		return
	}
	err := w.notifier.notify(ctx, ev)
	switch {
	case errors.Is(err, errNothingToSend): // a template that leaves heartbeats out
	case err == nil:
		w.succeeded()
		w.updateFigures(func(f *figures) { f.sent++; f.lastSent = incident.Timestamp(now) })
	case ctx.Err() == nil:
		// A missed beat is not made up for later, but soon enough not to be an
		// alarm: a switch waits for more than one.
		f := asDeliveryError(err)
		w.nextBeat = now.Add(max(min(w.pause.NextBackOff(), w.cfg.Heartbeat.Duration), f.retryAfter))
		w.updateFigures(func(fig *figures) {
			fig.failed++
			fig.lastErr, fig.lastErrAt, fig.next = f.msg, incident.Timestamp(now), incident.Timestamp(w.nextBeat)
		})
		if f.verdict == retryAll {
			w.noteTestFailure("", f)
		}
	}
}

func digestName(s string) string { return fmt.Sprintf("%08x", uint32(spool.Digest(s))) }
