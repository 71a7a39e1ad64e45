package notify

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"lifeline/watchdog/alert/incident"
)

// postedAlert is an alert at Alertmanager, which holds states and not events: what
// fires is posted again and again, what is over is posted as such for a while.
type postedAlert struct {
	Incident    string            `json:"incident"`
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
	StartsAt    time.Time         `json:"starts_at"`
	Accepted    time.Time         `json:"accepted"`       // when Alertmanager first took it
	Last        time.Time         `json:"last"`           // when it last took it
	Ended       time.Time         `json:"ended,omitzero"` // when it was truly over
	AtOnce      bool              `json:"at_once,omitempty"`
	Resolved    time.Time         `json:"resolved,omitzero"` // when Alertmanager was told that it is over
}

const (
	// resolvedRetention is how long an end is posted again, so that one that
	// Alertmanager's clock or restart swallowed is not lost. As Prometheus
	// (resolvedRetention in rules/alerting.go).
	resolvedRetention = 15 * time.Minute
	// liveFor is for how many resends a firing alert is declared to go on, so
	// that it ends when Lifeline dies. As Prometheus.
	liveFor = 4
	// maxPosted bounds the alerts at one Alertmanager.
	maxPosted = 2000
)

// alertTable is everything that one Alertmanager was told, by fingerprint. It is
// pure; what changes is given to save.
type alertTable struct {
	receiver string
	hold     time.Duration // from the acceptance to the earliest end
	resend   time.Duration
	alerts   map[string]postedAlert
	save     func(map[string][]byte) // by fingerprint; nil is forgotten
}

func newTable(r Receiver, save func(map[string][]byte)) *alertTable {
	return &alertTable{receiver: r.Name, hold: holdTime(r), resend: r.Resend.Duration, alerts: map[string]postedAlert{}, save: save}
}

// holdTime is longer than the time to an alert's first notification: group_wait
// in a new group, up to group_interval in one that exists. It is shorter than
// both together, when a new group is told of for the second time: an end that
// comes just after that waits for the third.
func holdTime(r Receiver) time.Duration {
	longer, shorter := max(r.GroupWait.Duration, r.GroupInterval.Duration), min(r.GroupWait.Duration, r.GroupInterval.Duration)
	return longer + max(shorter/2, time.Second)
}

// restore takes up what was kept on disk.
func (t *alertTable) restore(kept map[string][]byte) {
	for fp, v := range kept {
		var p postedAlert
		if json.Unmarshal(v, &p) == nil { // else it expires at Alertmanager by itself
			t.alerts[fp] = p
		}
	}
}

// keep changes alerts, here and on disk.
func (t *alertTable) keep(changed map[string]postedAlert) {
	puts := map[string][]byte{}
	for fp, p := range changed {
		if p.Labels == nil {
			delete(t.alerts, fp)
			puts[fp] = nil
			continue
		}
		t.alerts[fp] = p
		if raw, err := json.Marshal(p); err == nil { // strings and times of this century
			puts[fp] = raw
		}
	}
	if len(puts) > 0 {
		t.save(puts)
	}
}

// apply works out what an event changes: the alerts that have to be posted as
// firing before the change holds, and the change.
func (t *alertTable) apply(r Receiver, ev incident.Event, now time.Time) (fire []string, changed map[string]postedAlert) {
	changed = map[string]postedAlert{}
	for _, c := range conditionsOf(ev) {
		labels := labelsOf(r, ev, c)
		fp := Fingerprint(labels)
		old, known := t.alerts[fp]
		if c.Status == incident.StatusFiring {
			p := postedAlert{Incident: ev.IncidentID(), Labels: labels, Annotations: annotationsOf(ev, c), StartsAt: c.Since, Accepted: now, Last: now}
			if known && old.Resolved.IsZero() {
				p.Accepted, p.StartsAt = old.Accepted, old.StartsAt
			}
			if ev.Kind == incident.Dropped {
				p.Ended = ev.At // told once
			}
			changed[fp] = p
			fire = append(fire, fp)
			t.supersede(fp, p, ev.At, changed)
			continue
		}
		if known && old.Ended.IsZero() {
			changed[fp] = old.endedAt(c.Ended)
		}
	}
	if ev.Kind == incident.Resolved {
		for fp, p := range t.alerts {
			if _, done := changed[fp]; !done && p.Incident == ev.IncidentID() && p.Ended.IsZero() {
				changed[fp] = p.endedAt(ev.At)
			}
		}
	}
	return fire, changed
}

// supersede ends the alerts of the same condition with another severity; these
// need not be held, the new one tells of the incident.
func (t *alertTable) supersede(fp string, p postedAlert, at time.Time, changed map[string]postedAlert) {
	for other, o := range t.alerts {
		if other != fp && o.Incident == p.Incident && p.Incident != "" && o.Resolved.IsZero() &&
			o.Labels["alertname"] == p.Labels["alertname"] && o.Labels["subject"] == p.Labels["subject"] {
			o = o.endedAt(at)
			o.AtOnce = true
			changed[other] = o
		}
	}
}

// endedAt is the alert after its end.
func (p postedAlert) endedAt(at time.Time) postedAlert {
	p.Ended = at
	p.Annotations = maps.Clone(p.Annotations)
	p.Annotations["ended"] = at.Format(time.RFC3339)
	return p
}

// action is what is due for one alert.
type action int

const (
	noAction       action = iota
	repostFiring          // post as firing
	repostResolved        // post as over, for the first time or again
	forgetAlert
)

// dueAction tells what is due for an alert, and otherwise how long it has time.
func (t *alertTable) dueAction(p postedAlert, now time.Time) (action, time.Duration) {
	idle := now.Sub(p.Last)
	if idle < 0 { // the clock was set back
		idle = t.resend
	}
	again := t.resend - idle
	if !p.Resolved.IsZero() {
		left := p.Resolved.Add(resolvedRetention).Sub(now)
		switch {
		case left <= 0:
			return forgetAlert, 0
		case again <= 0:
			return repostResolved, 0
		}
		return noAction, min(left, again)
	}
	if !p.Ended.IsZero() {
		left := p.Accepted.Add(t.hold).Sub(now)
		if left <= 0 || p.AtOnce {
			return repostResolved, 0
		}
		again = min(again, left)
	}
	if again <= 0 {
		return repostFiring, 0
	}
	return noAction, again
}

// dueActions gives the alerts for which something is due, oldest first, and how
// long there is time when there are none.
func (t *alertTable) dueActions(now time.Time) (due map[string]action, wait time.Duration) {
	due = map[string]action{}
	wait = t.resend
	for fp, p := range t.alerts {
		d, left := t.dueAction(p, now)
		if d != noAction {
			due[fp] = d
			continue
		}
		wait = min(wait, left)
	}
	return due, wait
}

// held counts the alerts whose end is held back.
func (t *alertTable) held() (n int) {
	for _, p := range t.alerts {
		if !p.Ended.IsZero() && p.Resolved.IsZero() {
			n++
		}
	}
	return n
}

// inOrder sorts fingerprints by the beginning of their alerts.
func (t *alertTable) inOrder(fps []string) []string {
	slices.SortFunc(fps, func(a, b string) int {
		return cmp.Or(t.alerts[a].StartsAt.Compare(t.alerts[b].StartsAt), cmp.Compare(a, b))
	})
	return fps
}
