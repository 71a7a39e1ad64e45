package incident

import (
	"slices"
	"strings"
	"time"

	"lifeline/watchdog"
)

// update makes the events that are due now.
func (l *Lifecycle) update(at Moment) {
	l.Incidents = slices.DeleteFunc(l.Incidents, func(inc *Open) bool {
		active := inc.activeConditions(at.Mono, l.FlapQuiet)
		if len(active) == 0 {
			l.resolve(inc, at)
			return true
		}
		l.announce(inc, at, active)
		inc.dropOldConditions()
		return false
	})
}

// resolve ends an incident.
func (l *Lifecycle) resolve(inc *Open, at Moment) {
	inc.Ended = inc.Started
	for n := range inc.Conditions {
		inc.Conditions[n].Flapping = false
		if e := inc.Conditions[n].Ended; e.After(inc.Ended) {
			inc.Ended = e
		}
	}
	inc.reasons = nil
	inc.note(at.Wall, "the incident is over after %s", FormatDuration(inc.Ended.Sub(inc.Started)))
	l.emit(inc, inc.event(Resolved, at, nil), false)
	l.pending.Closed = append(l.pending.Closed, inc)
}

// announce tells what is new of an active incident.
func (l *Lifecycle) announce(inc *Open, at Moment, active []ConditionState) {
	l.endFlapping(inc, at)
	l.updateSeverityAndCause(inc, at, active)
	muted := l.silenced(active, at.Wall)
	l.setMuted(inc, muted, at)
	switch {
	case !inc.Announced:
		inc.reasons = nil
		inc.Announced = true
		l.emit(inc, inc.event(Firing, at, active), muted)
	case len(inc.reasons) > 0:
		minor := !slices.ContainsFunc(inc.reasons, major)
		ev := inc.event(Updated, at, active)
		ev.Minor = minor
		l.emit(inc, ev, muted)
	case !muted && !inc.unconfirmed() && l.unannounced(inc):
		l.announceLate(inc, at, active)
	case l.wantsReminder(inc, at.Mono) && at.Mono-inc.lastEvent >= l.Repeat:
		l.emit(inc, inc.event(Reminder, at, active), muted)
	case inc.sampling.due(at.Mono):
		for _, c := range active {
			inc.note(at.Wall, "%s %s is still active: %s", c.Condition, c.Subject, c.Evidence)
		}
	}
}

// unannounced tells whether a receiver wants to hear of an incident and has not: one
// that was not configured yet when the incident was told, or wanted less then.
func (l *Lifecycle) unannounced(inc *Open) bool {
	return slices.ContainsFunc(l.Routes, func(r Route) bool {
		return !inc.KnownTo[r.Name] && Weight(inc.Current) >= r.MinWeight
	})
}

// announceLate tells such receivers alone. The others had their last event when they
// had it, and are reminded by that.
func (l *Lifecycle) announceLate(inc *Open, at Moment, active []ConditionState) {
	last := inc.lastEvent
	ev := inc.event(Firing, at, active)
	inc.lastEvent = last
	l.emitTo(inc, ev, false, func(r Route) bool { return !inc.KnownTo[r.Name] })
}

// updateSeverityAndCause brings an incident's severity and cause up to date.
func (l *Lifecycle) updateSeverityAndCause(inc *Open, at Moment, active []ConditionState) {
	severity := watchdog.Severity("")
	for _, c := range active {
		severity = worse(severity, c.Severity)
	}
	if severity != inc.Current {
		if inc.Announced {
			inc.note(at.Wall, "the incident is now %s (was %s)", severity, inc.Current)
		}
		inc.addReason(SeverityChanged)
		inc.Current = severity
		inc.Severity = worse(inc.Severity, severity)
	}
	if inc.updateCause(active) {
		if inc.Announced {
			inc.note(at.Wall, "the cause is now %s %s", inc.Cause.Condition, inc.Cause.Subject)
		}
		inc.addReason(CauseChanged)
	}
}

// setMuted notes the begin and the end of being silenced.
func (l *Lifecycle) setMuted(inc *Open, muted bool, at Moment) {
	if muted == inc.Muted {
		return
	}
	inc.Muted = muted
	if muted {
		inc.note(at.Wall, "silenced")
		return
	}
	inc.note(at.Wall, "no longer silenced")
	inc.addReason(SilenceEnded)
}

// endFlapping ends the flapping of conditions that have been gone long enough, or
// that have been active as long.
func (l *Lifecycle) endFlapping(inc *Open, at Moment) {
	for n := range inc.Conditions {
		c := &inc.Conditions[n]
		if !c.Flapping {
			continue
		}
		gone := !inc.active(n, at.Mono, l.FlapQuiet)
		raised := l.raises[conditionKey{c.Condition, c.Subject}]
		steady := c.Ended.IsZero() && (len(raised) == 0 || at.Mono-raised[len(raised)-1] >= l.FlapQuiet)
		if !gone && !steady {
			continue
		}
		c.Flapping = false
		inc.note(at.Wall, "%s %s no longer flaps", c.Condition, c.Subject)
		if gone {
			inc.addReason(ConditionCleared)
		}
	}
}

func major(r Reason) bool {
	return r == SeverityChanged || r == CauseChanged || r == FlappingBegan || r == SilenceEnded
}

// emit addresses an event to all who want it.
func (l *Lifecycle) emit(inc *Open, ev Event, muted bool) {
	l.emitTo(inc, ev, muted, func(Route) bool { return true })
}

// emitTo addresses an event to those among some receivers who want it.
func (l *Lifecycle) emitTo(inc *Open, ev Event, muted bool, among func(Route) bool) {
	var to []Target
	for _, r := range l.Routes {
		if kind, ok := r.wants(inc, ev, muted); ok && among(r) {
			to = append(to, Target{r.Name, kind})
			inc.KnownTo[r.Name] = true
		}
	}
	if len(to) > 0 {
		l.pending.Events = append(l.pending.Events, outgoing{ev, to})
	}
}

// silenced tells whether all active conditions are.
func (l *Lifecycle) silenced(active []ConditionState, now time.Time) bool {
	return !slices.ContainsFunc(active, func(c ConditionState) bool {
		return !slices.ContainsFunc(l.Silences, func(s Silence) bool { return s.covers(c, now) })
	})
}

// Remark adds what was done to the timelines of the incidents that it is about: those
// on the subject's link, and all for the host.
func (l *Lifecycle) Remark(at time.Time, about watchdog.Subject, text string) {
	for _, inc := range l.Incidents {
		on := slices.ContainsFunc(inc.Conditions, func(c ConditionState) bool {
			s := watchdog.ParseSubject(c.Condition, c.Subject)
			return s.Kind == about.Kind && s.Name == about.Name // in whatever direction
		})
		if about.Kind == watchdog.SubjectHost || on {
			inc.note(at, "%s: %s", about, strings.TrimSpace(text))
		}
	}
}
