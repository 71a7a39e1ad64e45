package notify

import (
	"time"

	"lifeline/watchdog"
	"lifeline/watchdog/alert/incident"
	"lifeline/watchdog/unit"
)

// The types of receivers.
const (
	TypeJSON         = "json"         // our own payload
	TypeAlertmanager = "alertmanager" // Alertmanager, API v2
	TypeWebhook      = "webhook"      // the body that Alertmanager sends to webhooks, version 4
	TypePagerDuty    = "pagerduty"    // PagerDuty Events API v2
	TypeSlack        = "slack"        // Slack's incoming webhooks, and those that resemble them
	TypePing         = "ping"         // a dead-man's switch, as healthchecks.io
	TypeTemplate     = "template"     // a template of the operator's own
)

// severityNone is no severity at all: a dead-man's switch that tells only of
// Lifeline itself.
const severityNone = "none"

// Receiver is one place that alerts go to. Start from DefaultReceiver.
//
// What is secret is never a value but the name of a file: an absolute path, or
// a name without a slash for a systemd credential. Files are read anew for
// every attempt, so that a secret may be changed at any time.
type Receiver struct {
	Name string `toml:"name"` // unique; lower-case letters, digits, "-" and "_"
	Type string `toml:"type"`

	URL     string `toml:"url"`      // http or https; for Alertmanager without /api/v2/alerts
	URLFile string `toml:"url_file"` // holds the URL, where that is a secret; instead of URL

	MinSeverity string        `toml:"min_severity"` // "info", "warning" or "critical": incidents that never reach it are not told; ping: those that make a failure of it, or "none"
	Resolved    bool          `toml:"resolved"`     // tell the end of incidents too
	Heartbeat   unit.Duration `toml:"heartbeat"`    // between events "I am alive"; 0 for none

	Timeout  unit.Duration `toml:"timeout"`   // of one attempt, from dialling to the answer's head
	RetryMin unit.Duration `toml:"retry_min"` // the first pause after a failed attempt
	RetryMax unit.Duration `toml:"retry_max"` // the longest pause

	Headers       map[string]string `toml:"headers"`      // further request headers
	HeaderFiles   map[string]string `toml:"header_files"` // further request headers whose values are in files
	BasicUser     string            `toml:"basic_user"`
	BasicPassFile string            `toml:"basic_pass_file"`
	BearerFile    string            `toml:"bearer_file"`
	SigningFiles  []string          `toml:"signing_files"` // keys for signatures as Standard Webhooks say; each one adds a signature

	CAFile     string `toml:"ca_file"`     // PEM; instead of the system's authorities
	CertFile   string `toml:"cert_file"`   // PEM client certificate
	KeyFile    string `toml:"key_file"`    // PEM, its key
	ServerName string `toml:"server_name"` // in the server's certificate, where it is not the URL's host
	SkipVerify bool   `toml:"skip_verify"` // take any certificate

	Proxy         string `toml:"proxy"`          // http, https or socks5 URL; empty for none
	SourceAddress string `toml:"source_address"` // local address
	Link          string `toml:"link"`           // send over this link only (SO_BINDTODEVICE)

	RoutingKeyFile string `toml:"routing_key_file"` // PagerDuty's integration key

	Method       string `toml:"method"`        // template and ping: POST, PUT or GET (ping only)
	ContentType  string `toml:"content_type"`  // template
	TemplateFile string `toml:"template_file"` // template

	Labels        map[string]string `toml:"labels"`         // Alertmanager and webhook: further labels
	GroupWait     unit.Duration     `toml:"group_wait"`     // Alertmanager's own setting, see docs/alerts.md
	GroupInterval unit.Duration     `toml:"group_interval"` // Alertmanager's own setting
	Resend        unit.Duration     `toml:"resend"`         // Alertmanager: between posts of what still fires
}

// DefaultReceiver is a receiver of the given type with every default.
func DefaultReceiver(typ string) Receiver {
	r := Receiver{
		Type:        typ,
		MinSeverity: "warning", // information is for who asks: status, history and metrics have it
		Resolved:    true,
		Timeout:     unit.Of(10 * time.Second),
		RetryMin:    unit.Of(time.Second),
		RetryMax:    unit.Of(time.Minute),
		Method:      "POST",
	}
	switch typ {
	case TypeAlertmanager:
		// Alertmanager's defaults; resending as Prometheus does.
		r.GroupWait = unit.Of(30 * time.Second)
		r.GroupInterval = unit.Of(5 * time.Minute)
		r.Resend = unit.Of(time.Minute)
	case TypePagerDuty:
		r.URL = "https://events.pagerduty.com/v2/enqueue"
	case TypePing:
		r.Heartbeat, r.MinSeverity = unit.Of(time.Minute), severityNone
	case TypeTemplate:
		r.ContentType = "application/json"
	}
	return r
}

// Route derives a receiver's route from its configuration. Those that keep a
// list of alerts get every change; people get what matters.
func Route(r Receiver) incident.Route {
	state := r.Type == TypeJSON || r.Type == TypeAlertmanager || r.Type == TypeWebhook
	return incident.Route{
		Name:      r.Name,
		MinWeight: incident.Weight(watchdog.Severity(r.MinSeverity)),
		Minor:     state,
		Reminders: r.Type != TypeAlertmanager && r.Type != TypePagerDuty, // these remind by themselves
		Resolved:  r.Resolved,
	}
}
