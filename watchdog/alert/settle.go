package alert

import (
	"slices"
	"strings"
	"time"

	"lifeline/watchdog"
)

// route is what one receiver wants to be told.
type route struct {
	name      string
	least     int  // weight of severity
	minor     bool // updates in which neither severity nor cause changed
	reminders bool
	resolved  bool
}

// routeOf derives a receiver's route from its configuration. Those that keep a
// list of alerts get every change; people get what matters.
func routeOf(r Receiver) route {
	state := r.Type == TypeJSON || r.Type == TypeAlertmanager || r.Type == TypeWebhook
	return route{
		name:      r.Name,
		least:     weight(watchdog.Severity(r.MinSeverity)),
		minor:     state,
		reminders: r.Type != TypeAlertmanager && r.Type != TypePagerDuty, // these remind by themselves
		resolved:  r.Resolved,
	}
}

// wants tells whether and as what a receiver is to be told of an event.
func (r route) wants(inc *incident, ev Event, muted bool) (Kind, bool) {
	known := inc.KnownTo[r.name]
	switch {
	case ev.Kind == Resolved:
		return Resolved, known && r.resolved
	case muted:
		return "", false
	case !known:
		return Firing, weight(inc.Current) >= r.least
	case ev.Kind == Reminder:
		return Reminder, r.reminders
	case ev.Minor:
		return Updated, r.minor
	}
	return ev.Kind, true
}

// settle makes the events that are due now.
func (l *lifecycle) settle(at moment) {
	l.open = slices.DeleteFunc(l.open, func(inc *incident) bool {
		standing := inc.standing(at.mono, l.flapQuiet)
		if len(standing) == 0 {
			l.resolve(inc, at)
			return true
		}
		l.announce(inc, at, standing)
		inc.forget()
		return false
	})
}

// resolve ends an incident.
func (l *lifecycle) resolve(inc *incident, at moment) {
	inc.Ended = inc.Started
	for n := range inc.Conditions {
		inc.Conditions[n].Flapping = false
		if e := inc.Conditions[n].Ended; e.After(inc.Ended) {
			inc.Ended = e
		}
	}
	inc.reasons = nil
	inc.note(at.wall, "the incident is over after %s", brief(inc.Ended.Sub(inc.Started)))
	l.emit(inc, inc.event(Resolved, at, nil), false)
	l.out.closed = append(l.out.closed, inc)
}

// announce tells of a standing incident what is new.
func (l *lifecycle) announce(inc *incident, at moment, standing []ConditionState) {
	l.unflap(inc, at)
	l.judge(inc, at, standing)
	muted := l.muted(standing, at.wall)
	l.mute(inc, muted, at)
	switch {
	case !inc.Announced:
		inc.reasons = nil
		inc.Announced = true
		l.emit(inc, inc.event(Firing, at, standing), muted)
	case len(inc.reasons) > 0:
		minor := !slices.ContainsFunc(inc.reasons, major)
		ev := inc.event(Updated, at, standing)
		ev.Minor = minor
		l.emit(inc, ev, muted)
	case !muted && !inc.unsure() && l.strange(inc):
		l.introduce(inc, at, standing)
	case l.reminds(inc, at.mono) && at.mono-inc.lastEvent >= l.repeat:
		l.emit(inc, inc.event(Reminder, at, standing), muted)
	case inc.sample.due(at.mono):
		for _, c := range standing {
			inc.note(at.wall, "%s %s stands: %s", c.Condition, c.Subject, c.Evidence)
		}
	}
}

// strange tells whether a receiver wants to hear of an incident and has not: one
// that was not configured yet when the incident was told, or wanted less then.
func (l *lifecycle) strange(inc *incident) bool {
	return slices.ContainsFunc(l.routes, func(r route) bool {
		return !inc.KnownTo[r.name] && weight(inc.Current) >= r.least
	})
}

// introduce tells such receivers alone. The others had their last event when they
// had it, and are reminded by that.
func (l *lifecycle) introduce(inc *incident, at moment, standing []ConditionState) {
	last := inc.lastEvent
	ev := inc.event(Firing, at, standing)
	inc.lastEvent = last
	l.emitTo(inc, ev, false, func(r route) bool { return !inc.KnownTo[r.name] })
}

// lasting are the conditions that stay as they are until a person changes this
// host: one who was told and leaves it so has no use for being reminded.
var lasting = []watchdog.ConditionName{
	watchdog.RebootUnknown, // no saved rules, or native nftables, cannot become safe
}

// reminds tells whether an incident is one of which people are reminded.
func (l *lifecycle) reminds(inc *incident, now time.Duration) bool {
	if l.repeat <= 0 {
		return false
	}
	for n, c := range inc.Conditions {
		if inc.stands(n, now, l.flapQuiet) && !slices.Contains(lasting, c.Condition) {
			return true
		}
	}
	return false
}

// judge brings an incident's severity and cause up to date.
func (l *lifecycle) judge(inc *incident, at moment, standing []ConditionState) {
	severity := watchdog.Severity("")
	for _, c := range standing {
		severity = worst(severity, c.Severity)
	}
	if severity != inc.Current {
		if inc.Announced {
			inc.note(at.wall, "the incident is now %s (was %s)", severity, inc.Current)
		}
		inc.because(SeverityChanged)
		inc.Current = severity
		inc.Severity = worst(inc.Severity, severity)
	}
	if inc.explain(standing) {
		if inc.Announced {
			inc.note(at.wall, "the cause is now %s %s", inc.Cause.Condition, inc.Cause.Subject)
		}
		inc.because(CauseChanged)
	}
}

// mute notes the begin and the end of being silenced.
func (l *lifecycle) mute(inc *incident, muted bool, at moment) {
	if muted == inc.Muted {
		return
	}
	inc.Muted = muted
	if muted {
		inc.note(at.wall, "silenced")
		return
	}
	inc.note(at.wall, "no longer silenced")
	inc.because(SilenceEnded)
}

// unflap ends the flapping of conditions that have been gone long enough, or
// that have stood as long.
func (l *lifecycle) unflap(inc *incident, at moment) {
	for n := range inc.Conditions {
		c := &inc.Conditions[n]
		if !c.Flapping {
			continue
		}
		gone := !inc.stands(n, at.mono, l.flapQuiet)
		raised := l.raises[conditionKey{c.Condition, c.Subject}]
		steady := c.Ended.IsZero() && (len(raised) == 0 || at.mono-raised[len(raised)-1] >= l.flapQuiet)
		if !gone && !steady {
			continue
		}
		c.Flapping = false
		inc.note(at.wall, "%s %s no longer flaps", c.Condition, c.Subject)
		if gone {
			inc.because(ConditionCleared)
		}
	}
}

func major(r Reason) bool {
	return r == SeverityChanged || r == CauseChanged || r == FlappingBegan || r == SilenceEnded
}

// emit addresses an event to all who want it.
func (l *lifecycle) emit(inc *incident, ev Event, muted bool) {
	l.emitTo(inc, ev, muted, func(route) bool { return true })
}

// emitTo addresses an event to those among some receivers who want it.
func (l *lifecycle) emitTo(inc *incident, ev Event, muted bool, among func(route) bool) {
	var to []target
	for _, r := range l.routes {
		if kind, ok := r.wants(inc, ev, muted); ok && among(r) {
			to = append(to, target{r.name, kind})
			inc.KnownTo[r.name] = true
		}
	}
	if len(to) > 0 {
		l.out.events = append(l.out.events, outgoing{ev, to})
	}
}

// muted tells whether all that stands is silenced.
func (l *lifecycle) muted(standing []ConditionState, now time.Time) bool {
	return !slices.ContainsFunc(standing, func(c ConditionState) bool {
		return !slices.ContainsFunc(l.silences, func(s Silence) bool { return s.covers(c, now) })
	})
}

// remark adds what was done to the incidents that it is about: those on the
// link that the subject names, and all for a subject that is no link's.
func (l *lifecycle) remark(at time.Time, subject, text string) {
	link, _ := linkOf(subject)
	for _, inc := range l.open {
		about := slices.ContainsFunc(inc.Conditions, func(c ConditionState) bool {
			on, _ := linkOf(c.Subject)
			return on == link
		})
		if about || subject == "host" {
			inc.note(at, "%s", strings.TrimSpace(subject+": "+text))
		}
	}
}
