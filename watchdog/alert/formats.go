package alert

import (
	"cmp"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strings"
	"time"

	"lifeline/watchdog"
)

const jsonType = "application/json"

// jsonFormat is our own payload.
func jsonFormat(ev Event) ([]byte, string, error) {
	b, err := json.Marshal(ev)
	return b, jsonType, err
}

// labelled is an alert as Prometheus and Alertmanager know it: one condition of
// one incident.
type labelled struct {
	Status       ConditionStatus   `json:"status"`
	Labels       map[string]string `json:"labels"`
	Annotations  map[string]string `json:"annotations"`
	StartsAt     time.Time         `json:"startsAt"`
	EndsAt       time.Time         `json:"endsAt"`
	GeneratorURL string            `json:"generatorURL"`
	Fingerprint  string            `json:"fingerprint"`
}

// labelsOf makes the labels of a condition. The incident is one of them: every
// occurrence is an alert of its own, so that none can hide in another that
// Alertmanager still holds.
func labelsOf(r Receiver, ev Event, c ConditionState) map[string]string {
	l := map[string]string{"job": "lifeline", "instance": ev.Host}
	maps.Copy(l, r.Labels)
	l["alertname"] = string(c.Condition)
	l["severity"] = string(c.Severity)
	l["subject"] = c.Subject
	l["incident"] = ev.incident()
	if s := scopeOf(c.Condition, c.Subject); s.link {
		link, direction := linkOf(c.Subject)
		l["link"], l["direction"] = link, direction
	}
	if ev.Test {
		l["test"] = "true"
	}
	maps.DeleteFunc(l, func(_, v string) bool { return v == "" }) // Alertmanager drops empty labels too
	return l
}

// annotationsOf makes the annotations of a condition.
func annotationsOf(ev Event, c ConditionState) map[string]string {
	a := map[string]string{
		"summary":     fmt.Sprintf("%s: %s", ev.Host, phrase(c)),
		"description": cmp.Or(c.Evidence, phrase(c)),
		"since":       c.Since.Format(time.RFC3339),
	}
	if !c.Ended.IsZero() {
		a["ended"] = c.Ended.Format(time.RFC3339)
	}
	if ev.Incident != nil {
		a["incident_cause"] = phrase(ConditionState{Condition: ev.Incident.Cause.Condition, Subject: ev.Incident.Cause.Subject})
		a["incident_summary"] = ev.Summary
	}
	return a
}

// notice makes an event without conditions into one alert, so that heartbeats
// and dropped alerts can be told where only alerts are.
func notice(ev Event) ConditionState {
	c := ConditionState{Subject: "alerts", Severity: ev.Severity, Status: StatusFiring, Since: ev.At, Evidence: ev.Summary}
	c.Condition = "LifelineAlive"
	if ev.Kind == Dropped {
		c.Condition = "LifelineAlertsDropped"
	}
	return c
}

func conditionsOf(ev Event) []ConditionState {
	if ev.Kind == Heartbeat || ev.Kind == Dropped {
		return []ConditionState{notice(ev)}
	}
	return ev.Conditions
}

// fingerprint is Prometheus' of a label set (LabelSet.Fingerprint in
// prometheus/common/model): FNV-1a over the sorted names and values.
func fingerprint(labels map[string]string) string {
	h := fnv.New64a()
	for _, k := range slices.Sorted(maps.Keys(labels)) {
		h.Write(append([]byte(k), 0xff))
		h.Write(append([]byte(labels[k]), 0xff))
	}
	return fmt.Sprintf("%016x", h.Sum64())
}

// webhookBody is what Alertmanager sends to webhooks, version 4 (template.Data
// in prometheus/alertmanager).
type webhookBody struct {
	Version           string            `json:"version"`
	GroupKey          string            `json:"groupKey"`
	TruncatedAlerts   int               `json:"truncatedAlerts"`
	Status            ConditionStatus   `json:"status"`
	Receiver          string            `json:"receiver"`
	GroupLabels       map[string]string `json:"groupLabels"`
	CommonLabels      map[string]string `json:"commonLabels"`
	CommonAnnotations map[string]string `json:"commonAnnotations"`
	ExternalURL       string            `json:"externalURL"`
	Alerts            []labelled        `json:"alerts"`
}

// webhookFormat makes one group of each incident.
func webhookFormat(r Receiver) format {
	return func(ev Event) ([]byte, string, error) {
		body := webhookBody{
			Version: "4", Receiver: r.Name, Status: StatusResolved, TruncatedAlerts: ev.Omitted,
			GroupKey:    fmt.Sprintf("{}:{incident=%q}", ev.incident()),
			GroupLabels: map[string]string{"incident": ev.incident()},
			Alerts:      []labelled{},
		}
		for _, c := range conditionsOf(ev) {
			a := labelled{Status: c.Status, Labels: labelsOf(r, ev, c), Annotations: annotationsOf(ev, c), StartsAt: c.Since, EndsAt: c.Ended}
			a.Fingerprint = fingerprint(a.Labels)
			if c.Status == StatusFiring {
				body.Status = StatusFiring
			}
			body.Alerts = append(body.Alerts, a)
		}
		body.CommonLabels = common(body.Alerts, func(a labelled) map[string]string { return a.Labels })
		body.CommonAnnotations = common(body.Alerts, func(a labelled) map[string]string { return a.Annotations })
		b, err := json.Marshal(body)
		return b, jsonType, err
	}
}

// common is what all alerts have alike.
func common(alerts []labelled, of func(labelled) map[string]string) map[string]string {
	out := map[string]string{}
	for n, a := range alerts {
		if n == 0 {
			maps.Copy(out, of(a))
		}
		maps.DeleteFunc(out, func(k, v string) bool { return of(a)[k] != v })
	}
	return out
}

// pagerDutyEvent is a request of PagerDuty's Events API v2.
type pagerDutyEvent struct {
	RoutingKey string           `json:"routing_key"`
	Action     string           `json:"event_action"`
	DedupKey   string           `json:"dedup_key"`
	Client     string           `json:"client,omitempty"`
	Payload    *pagerDutyDetail `json:"payload,omitempty"`
}

type pagerDutyDetail struct {
	Summary   string    `json:"summary"`
	Source    string    `json:"source"`
	Severity  string    `json:"severity"`
	Timestamp time.Time `json:"timestamp"`
	Component string    `json:"component,omitempty"`
	Group     string    `json:"group,omitempty"`
	Class     string    `json:"class,omitempty"`
	Details   any       `json:"custom_details,omitempty"`
}

// mostSummary is PagerDuty's bound in characters; bytes are on the safe side.
const mostSummary = 1024

func pagerDutyFormat(c *client) format {
	return func(ev Event) ([]byte, string, error) {
		key, err := c.vault.word(c.cfg.RoutingKeyFile)
		if err != nil {
			return nil, "", &failure{fate: later, msg: err.Error()}
		}
		c.hidden.hide(key)
		p := pagerDutyEvent{RoutingKey: key, Action: "trigger", Client: "Lifeline", DedupKey: cmp.Or(ev.incident(), ev.ID)}
		if ev.Kind == Resolved {
			p.Action = "resolve"
			b, err := json.Marshal(p)
			return b, jsonType, err
		}
		p.Payload = &pagerDutyDetail{
			Summary: clip(ifSet(ev.Test, "TEST ")+ev.Summary, mostSummary), Source: ev.Host,
			Severity: string(ev.Severity), Timestamp: ev.At, Group: "lifeline", Details: ev,
		}
		if ev.Incident != nil {
			p.Payload.Component, p.Payload.Class = ev.Incident.Cause.Subject, string(ev.Incident.Cause.Condition)
		}
		b, err := json.Marshal(p)
		return b, jsonType, err
	}
}

// slackMessage is a message of Slack's incoming webhooks; Mattermost and
// Rocket.Chat take it too.
type slackMessage struct {
	Text        string            `json:"text"`
	Attachments []slackAttachment `json:"attachments,omitempty"`
}

type slackAttachment struct {
	Color    string `json:"color"`
	Fallback string `json:"fallback"`
	Text     string `json:"text"`
	Footer   string `json:"footer"`
	Time     int64  `json:"ts"`
}

func slackFormat(ev Event) ([]byte, string, error) {
	head := fmt.Sprintf("*%s%s* %s", ifSet(ev.Test, "TEST "), strings.ToUpper(slackWord(ev)), slackEscape(ev.Summary))
	m := slackMessage{Text: head}
	var lines []string
	for _, c := range ev.Conditions {
		state := string(c.Severity)
		if c.Status == StatusResolved {
			state = "over"
		}
		lines = append(lines, fmt.Sprintf("• %s (%s): %s", slackEscape(phrase(c)), state, slackEscape(c.Evidence)))
	}
	if n := ev.Omitted; n > 0 {
		lines = append(lines, fmt.Sprintf("• and %d more", n))
	}
	if ev.Incident != nil {
		m.Attachments = []slackAttachment{{
			Color: slackColor(ev), Fallback: ev.Summary, Text: strings.Join(lines, "\n"), Time: ev.At.Unix(),
			Footer: fmt.Sprintf("incident %s, %s", ev.Incident.ID, shown(ev.At)),
		}}
	}
	b, err := json.Marshal(m)
	return b, jsonType, err
}

func slackWord(ev Event) string {
	if ev.Kind == Resolved {
		return "resolved"
	}
	return fmt.Sprintf("%s, %s", ev.Kind, ev.Severity)
}

func slackColor(ev Event) string {
	switch {
	case ev.Kind == Resolved:
		return "good"
	case ev.Severity == watchdog.Critical:
		return "danger"
	case ev.Severity == watchdog.Info:
		return "#439fe0"
	}
	return "warning"
}

// slackEscape escapes the three characters that Slack asks for.
func slackEscape(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(s)
}
