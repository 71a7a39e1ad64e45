package notify

import (
	"encoding/json"
	"fmt"
	"maps"
	"time"

	"lifeline/watchdog/alert/incident"
)

// labelled is an alert as Prometheus and Alertmanager know it: one condition of
// one incident.
type labelled struct {
	Status       incident.Status   `json:"status"`
	Labels       map[string]string `json:"labels"`
	Annotations  map[string]string `json:"annotations"`
	StartsAt     time.Time         `json:"startsAt"`
	EndsAt       time.Time         `json:"endsAt"`
	GeneratorURL string            `json:"generatorURL"`
	Fingerprint  string            `json:"fingerprint"`
}

// webhookBody is what Alertmanager sends to webhooks, version 4 (template.Data
// in prometheus/alertmanager).
type webhookBody struct {
	Version           string            `json:"version"`
	GroupKey          string            `json:"groupKey"`
	TruncatedAlerts   int               `json:"truncatedAlerts"`
	Status            incident.Status   `json:"status"`
	Receiver          string            `json:"receiver"`
	GroupLabels       map[string]string `json:"groupLabels"`
	CommonLabels      map[string]string `json:"commonLabels"`
	CommonAnnotations map[string]string `json:"commonAnnotations"`
	ExternalURL       string            `json:"externalURL"`
	Alerts            []labelled        `json:"alerts"`
}

// webhookEncoder makes one group of each incident.
func webhookEncoder(r Receiver) encoder {
	return func(ev incident.Event) ([]byte, string, error) {
		body := webhookBody{
			Version: "4", Receiver: r.Name, Status: incident.StatusResolved, TruncatedAlerts: ev.Omitted,
			GroupKey:    fmt.Sprintf("{}:{incident=%q}", ev.IncidentID()),
			GroupLabels: map[string]string{"incident": ev.IncidentID()},
			Alerts:      []labelled{},
		}
		for _, c := range conditionsOf(ev) {
			a := labelled{Status: c.Status, Labels: labelsOf(r, ev, c), Annotations: annotationsOf(ev, c), StartsAt: c.Since, EndsAt: c.Ended}
			a.Fingerprint = Fingerprint(a.Labels)
			if c.Status == incident.StatusFiring {
				body.Status = incident.StatusFiring
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
