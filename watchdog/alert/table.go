package alert

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"
)

// posted is an alert at Alertmanager, which holds states and not events: what
// fires is posted again and again, what is over is posted as such for a while.
type posted struct {
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
	// mostPosted bounds the alerts at one Alertmanager.
	mostPosted = 2000
)

// table is everything that one Alertmanager was told, by fingerprint. It is
// pure; what changes is given to save.
type table struct {
	receiver string
	hold     time.Duration // from the acceptance to the earliest end
	resend   time.Duration
	alerts   map[string]posted
	save     func(map[slot][]byte)
}

func newTable(r Receiver, save func(map[slot][]byte)) *table {
	return &table{receiver: r.Name, hold: holdOf(r), resend: r.Resend, alerts: map[string]posted{}, save: save}
}

// holdOf is longer than the time to an alert's first notification: group_wait
// in a new group, up to group_interval in one that exists. It is shorter than
// both together, when a new group is told of for the second time: an end that
// comes just after that waits for the third.
func holdOf(r Receiver) time.Duration {
	longer, shorter := max(r.GroupWait, r.GroupInterval), min(r.GroupWait, r.GroupInterval)
	return longer + max(shorter/2, time.Second)
}

func (t *table) prefix() string { return t.receiver + "\x00" }

// restore takes up what was kept on disk.
func (t *table) restore(kept map[slot][]byte) {
	for k, v := range kept {
		fp, mine := strings.CutPrefix(k.key, t.prefix())
		var p posted
		if mine && k.bucket == string(bucketTables) && json.Unmarshal(v, &p) == nil { // else it expires at Alertmanager by itself
			t.alerts[fp] = p
		}
	}
}

// keep changes alerts, here and on disk.
func (t *table) keep(changed map[string]posted) {
	puts := map[slot][]byte{}
	for fp, p := range changed {
		s := slot{string(bucketTables), t.prefix() + fp}
		if p.Labels == nil {
			delete(t.alerts, fp)
			puts[s] = nil
			continue
		}
		t.alerts[fp] = p
		if raw, err := json.Marshal(p); err == nil { // strings and times of this century
			puts[s] = raw
		}
	}
	if len(puts) > 0 {
		t.save(puts)
	}
}

// take works out what an event changes: the alerts that have to be posted as
// firing before the change holds, and the change.
func (t *table) take(r Receiver, ev Event, now time.Time) (fire []string, changed map[string]posted) {
	changed = map[string]posted{}
	for _, c := range conditionsOf(ev) {
		labels := labelsOf(r, ev, c)
		fp := fingerprint(labels)
		old, known := t.alerts[fp]
		if c.Status == StatusFiring {
			p := posted{Incident: ev.incident(), Labels: labels, Annotations: annotationsOf(ev, c), StartsAt: c.Since, Accepted: now, Last: now}
			if known && old.Resolved.IsZero() {
				p.Accepted, p.StartsAt = old.Accepted, old.StartsAt
			}
			if ev.Kind == Dropped {
				p.Ended = ev.At // told once
			}
			changed[fp] = p
			fire = append(fire, fp)
			t.supersede(fp, p, ev.At, changed)
			continue
		}
		if known && old.Ended.IsZero() {
			changed[fp] = old.over(c.Ended)
		}
	}
	if ev.Kind == Resolved {
		for fp, p := range t.alerts {
			if _, done := changed[fp]; !done && p.Incident == ev.incident() && p.Ended.IsZero() {
				changed[fp] = p.over(ev.At)
			}
		}
	}
	return fire, changed
}

// supersede ends the alerts of the same condition with another severity; these
// need not be held, the new one tells of the incident.
func (t *table) supersede(fp string, p posted, at time.Time, changed map[string]posted) {
	for other, o := range t.alerts {
		if other != fp && o.Incident == p.Incident && p.Incident != "" && o.Resolved.IsZero() &&
			o.Labels["alertname"] == p.Labels["alertname"] && o.Labels["subject"] == p.Labels["subject"] {
			o = o.over(at)
			o.AtOnce = true
			changed[other] = o
		}
	}
}

// over is the alert after its end.
func (p posted) over(at time.Time) posted {
	p.Ended = at
	p.Annotations = maps.Clone(p.Annotations)
	p.Annotations["ended"] = at.Format(time.RFC3339)
	return p
}

// duty is what is due for one alert.
type duty int

const (
	rest    duty = iota
	refire       // post as firing
	resolve      // post as over, for the first time or again
	forget
)

// due tells what is due for an alert, and otherwise how long it has time.
func (t *table) due(p posted, now time.Time) (duty, time.Duration) {
	idle := now.Sub(p.Last)
	if idle < 0 { // the clock was set back
		idle = t.resend
	}
	again := t.resend - idle
	if !p.Resolved.IsZero() {
		left := p.Resolved.Add(resolvedRetention).Sub(now)
		switch {
		case left <= 0:
			return forget, 0
		case again <= 0:
			return resolve, 0
		}
		return rest, min(left, again)
	}
	if !p.Ended.IsZero() {
		left := p.Accepted.Add(t.hold).Sub(now)
		if left <= 0 || p.AtOnce {
			return resolve, 0
		}
		again = min(again, left)
	}
	if again <= 0 {
		return refire, 0
	}
	return rest, again
}

// duties gives the alerts for which something is due, oldest first, and how
// long there is time when there are none.
func (t *table) duties(now time.Time) (due map[string]duty, wait time.Duration) {
	due = map[string]duty{}
	wait = t.resend
	for fp, p := range t.alerts {
		d, left := t.due(p, now)
		if d != rest {
			due[fp] = d
			continue
		}
		wait = min(wait, left)
	}
	return due, wait
}

// held counts the alerts whose end is held back.
func (t *table) held() (n int) {
	for _, p := range t.alerts {
		if !p.Ended.IsZero() && p.Resolved.IsZero() {
			n++
		}
	}
	return n
}

// inOrder sorts fingerprints by the beginning of their alerts.
func (t *table) inOrder(fps []string) []string {
	slices.SortFunc(fps, func(a, b string) int {
		return cmp.Or(t.alerts[a].StartsAt.Compare(t.alerts[b].StartsAt), cmp.Compare(a, b))
	})
	return fps
}
