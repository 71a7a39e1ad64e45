package notify

import (
	"cmp"
	"encoding/json"
	"time"

	"lifeline/watchdog/alert/incident"
)

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

// maxSummary is PagerDuty's bound in characters; bytes are on the safe side.
const maxSummary = 1024

func pagerDutyEncoder(c *client) encoder {
	return func(ev incident.Event) ([]byte, string, error) {
		key, err := c.secrets.word(c.cfg.RoutingKeyFile)
		if err != nil {
			return nil, "", &deliveryError{verdict: retryAll, msg: err.Error()}
		}
		c.hidden.hide(key)
		p := pagerDutyEvent{RoutingKey: key, Action: "trigger", Client: "Lifeline", DedupKey: cmp.Or(ev.IncidentID(), ev.ID)}
		if ev.Kind == incident.Resolved {
			p.Action = "resolve"
			b, err := json.Marshal(p)
			return b, jsonType, err
		}
		p.Payload = &pagerDutyDetail{
			Summary: incident.Clip(incident.IfSet(ev.Test, "TEST ")+ev.Summary, maxSummary), Source: ev.Host,
			Severity: string(ev.Severity), Timestamp: ev.At, Group: "lifeline", Details: ev,
		}
		if ev.Incident != nil {
			p.Payload.Component, p.Payload.Class = ev.Incident.Cause.Subject, string(ev.Incident.Cause.Condition)
		}
		b, err := json.Marshal(p)
		return b, jsonType, err
	}
}
