package notify

import (
	"encoding/json"
	"fmt"
	"strings"

	"lifeline/watchdog"
	"lifeline/watchdog/alert/incident"
)

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

func encodeSlack(ev incident.Event) ([]byte, string, error) {
	head := fmt.Sprintf("*%s%s* %s", incident.IfSet(ev.Test, "TEST "), strings.ToUpper(slackWord(ev)), slackEscape(ev.Summary))
	m := slackMessage{Text: head}
	var lines []string
	for _, c := range ev.Conditions {
		state := string(c.Severity)
		if c.Status == incident.StatusResolved {
			state = "over"
		}
		lines = append(lines, fmt.Sprintf("• %s (%s): %s", slackEscape(incident.Describe(c)), state, slackEscape(c.Evidence)))
	}
	if n := ev.Omitted; n > 0 {
		lines = append(lines, fmt.Sprintf("• and %d more", n))
	}
	if ev.Incident != nil {
		m.Attachments = []slackAttachment{{
			Color: slackColor(ev), Fallback: ev.Summary, Text: strings.Join(lines, "\n"), Time: ev.At.Unix(),
			Footer: fmt.Sprintf("incident %s, %s", ev.Incident.ID, incident.FormatTime(ev.At)),
		}}
	}
	b, err := json.Marshal(m)
	return b, jsonType, err
}

func slackWord(ev incident.Event) string {
	if ev.Kind == incident.Resolved {
		return "resolved"
	}
	return fmt.Sprintf("%s, %s", ev.Kind, ev.Severity)
}

func slackColor(ev incident.Event) string {
	switch {
	case ev.Kind == incident.Resolved:
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
