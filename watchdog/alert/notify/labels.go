package notify

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"time"

	"lifeline/watchdog"
	"lifeline/watchdog/alert/incident"
)

// labelsOf makes the labels of a condition. The incident is one of them: every
// occurrence is an alert of its own, so that none can hide in another that
// Alertmanager still holds.
func labelsOf(r Receiver, ev incident.Event, c incident.ConditionState) map[string]string {
	l := map[string]string{"job": "lifeline", "instance": ev.Host}
	maps.Copy(l, r.Labels)
	l["alertname"] = string(c.Condition)
	l["severity"] = string(c.Severity)
	l["subject"] = c.Subject
	l["incident"] = ev.IncidentID()
	if s := watchdog.ParseSubject(c.Condition, c.Subject); s.Kind == watchdog.SubjectLink {
		l["link"] = watchdog.LinkSubject(s.Name).String()
		if s.Directed {
			l["direction"] = s.Direction.String()
		}
	}
	if ev.Test {
		l["test"] = "true"
	}
	maps.DeleteFunc(l, func(_, v string) bool { return v == "" }) // Alertmanager drops empty labels too
	return l
}

// annotationsOf makes the annotations of a condition.
func annotationsOf(ev incident.Event, c incident.ConditionState) map[string]string {
	a := map[string]string{
		"summary":     fmt.Sprintf("%s: %s", ev.Host, incident.Describe(c)),
		"description": cmp.Or(c.Evidence, incident.Describe(c)),
		"since":       c.Since.Format(time.RFC3339),
	}
	if !c.Ended.IsZero() {
		a["ended"] = c.Ended.Format(time.RFC3339)
	}
	if ev.Incident != nil {
		a["incident_cause"] = incident.Describe(incident.ConditionState{Condition: ev.Incident.Cause.Condition, Subject: ev.Incident.Cause.Subject})
		a["incident_summary"] = ev.Summary
	}
	return a
}

// notice makes an event without conditions into one alert, so that heartbeats
// and dropped alerts can be told where only alerts are.
func notice(ev incident.Event) incident.ConditionState {
	c := incident.ConditionState{Subject: "alerts", Severity: ev.Severity, Status: incident.StatusFiring, Since: ev.At, Evidence: ev.Summary}
	c.Condition = "LifelineAlive"
	if ev.Kind == incident.Dropped {
		c.Condition = "LifelineAlertsDropped"
	}
	return c
}

func conditionsOf(ev incident.Event) []incident.ConditionState {
	if ev.Kind == incident.Heartbeat || ev.Kind == incident.Dropped {
		return []incident.ConditionState{notice(ev)}
	}
	return ev.Conditions
}

// Fingerprint is Prometheus' of a label set (LabelSet.Fingerprint in
// prometheus/common/model): FNV-1a over the sorted names and values.
func Fingerprint(labels map[string]string) string {
	h := fnv.New64a()
	for _, k := range slices.Sorted(maps.Keys(labels)) {
		h.Write(append([]byte(k), 0xff))
		h.Write(append([]byte(labels[k]), 0xff))
	}
	return fmt.Sprintf("%016x", h.Sum64())
}
