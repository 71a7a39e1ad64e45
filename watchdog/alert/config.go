package alert

import "time"

// Config is everything that an operator may choose about alerts. Start from
// DefaultConfig.
type Config struct {
	Host        string        // how receivers see this host; empty: its name
	Repeat      time.Duration // between reminders of a standing incident; 0 for none
	FlapCount   int           // raised so often within FlapWindow, a condition is flapping; 0 for never
	FlapWindow  time.Duration
	FlapQuiet   time.Duration // how long a flapping condition must be gone before its incident ends
	SpoolMax    int64         // bytes that the spool may take on disk
	HistoryMax  int           // incidents that are remembered
	Credentials string        // where credentials without a path are; empty: $CREDENTIALS_DIRECTORY
	Receivers   []Receiver
}

// DefaultConfig is the configuration without a file: no receiver.
func DefaultConfig() Config {
	return Config{
		Repeat:     4 * time.Hour,
		FlapCount:  4,
		FlapWindow: 10 * time.Minute,
		FlapQuiet:  5 * time.Minute,
		SpoolMax:   100_000_000,
		HistoryMax: 1000,
	}
}

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
	Name string // unique; lower-case letters, digits, "-" and "_"
	Type string

	URL     string // http or https; for Alertmanager without /api/v2/alerts
	URLFile string // holds the URL, where that is a secret; instead of URL

	MinSeverity string        // "info", "warning" or "critical": incidents that never reach it are not told; ping: those that make a failure of it, or "none"
	Resolved    bool          // tell the end of incidents too
	Heartbeat   time.Duration // between events "I am alive"; 0 for none

	Timeout  time.Duration // of one attempt, from dialling to the answer's head
	RetryMin time.Duration // the first pause after a failed attempt
	RetryMax time.Duration // the longest pause

	Headers       map[string]string // further request headers
	HeaderFiles   map[string]string // further request headers whose values are in files
	BasicUser     string
	BasicPassFile string
	BearerFile    string
	SigningFiles  []string // keys for signatures as Standard Webhooks say; each one adds a signature

	CAFile     string // PEM; instead of the system's authorities
	CertFile   string // PEM client certificate
	KeyFile    string // PEM, its key
	ServerName string // in the server's certificate, where it is not the URL's host
	SkipVerify bool   // take any certificate

	Proxy         string // http, https or socks5 URL; empty for none
	SourceAddress string // local address
	Link          string // send over this link only (SO_BINDTODEVICE)

	RoutingKeyFile string // PagerDuty's integration key

	Method       string // template and ping: POST, PUT or GET (ping only)
	ContentType  string // template
	TemplateFile string // template

	Labels        map[string]string // Alertmanager and webhook: further labels
	GroupWait     time.Duration     // Alertmanager's own setting, see docs/alerts.md
	GroupInterval time.Duration     // Alertmanager's own setting
	Resend        time.Duration     // Alertmanager: between posts of what still fires
}

// DefaultReceiver is a receiver of the given type with every default.
func DefaultReceiver(typ string) Receiver {
	r := Receiver{
		Type:        typ,
		MinSeverity: "warning", // information is for who asks: status, history and metrics have it
		Resolved:    true,
		Timeout:     10 * time.Second,
		RetryMin:    time.Second,
		RetryMax:    time.Minute,
		Method:      "POST",
	}
	switch typ {
	case TypeAlertmanager:
		// Alertmanager's defaults; resending as Prometheus does.
		r.GroupWait, r.GroupInterval, r.Resend = 30*time.Second, 5*time.Minute, time.Minute
	case TypePagerDuty:
		r.URL = "https://events.pagerduty.com/v2/enqueue"
	case TypePing:
		r.Heartbeat, r.MinSeverity = time.Minute, severityNone
	case TypeTemplate:
		r.ContentType = "application/json"
	}
	return r
}
