package notify

import (
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"lifeline/watchdog"
	"lifeline/watchdog/alert/incident"
)

// tryFiles reads a receiver's files, by field.
func (r Receiver) tryFiles(v secretStore) map[string]error {
	c := &client{cfg: r, secrets: v, now: time.Now}
	out := map[string]error{}
	_, out["url_file"] = c.base()
	_, out["ca_file"] = c.tls()
	_, out["signing_files"] = c.keys()
	for field, file := range map[string]string{"bearer_file": r.BearerFile, "basic_pass_file": r.BasicPassFile, "routing_key_file": r.RoutingKeyFile} {
		if file != "" {
			_, out[field] = v.word(file)
		}
	}
	for _, file := range r.HeaderFiles {
		if _, err := v.word(file); err != nil {
			out["header_files"] = err
		}
	}
	if r.Type == TypeTemplate {
		_, out["template_file"] = templateEncoder(r, v)
	}
	return out
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

func (r Receiver) check(bad Report) {
	if !isName(r.Name) {
		bad("name", `%q is no name: 1 to 32 lower-case letters, digits, "-" and "_"`, incident.Clip(r.Name, 40))
	}
	if !slices.Contains(Types, r.Type) {
		bad("type", "%q is not known: one of %s", r.Type, strings.Join(Types, ", "))
		return
	}
	r.checkURL(bad)
	r.checkTimes(bad)
	r.checkAuth(bad)
	r.checkTransport(bad)
	r.checkType(bad)
	known := []string{"info", "warning", "critical"}
	if r.Type == TypePing {
		known = append(known, severityNone)
	}
	if !slices.Contains(known, r.MinSeverity) {
		bad("min_severity", "%q is not known: one of %s", incident.Clip(r.MinSeverity, 40), strings.Join(known, ", "))
	}
}

func (r Receiver) checkURL(bad Report) {
	switch {
	case r.URLFile != "" && r.URL != "" && r.URL != DefaultReceiver(r.Type).URL:
		bad("url_file url", "there are url_file and url: leave one of them out")
	case r.URLFile != "":
		checkFile(bad, "url_file", r.URLFile)
	case r.URL == "":
		bad("url", "is missing: give it, or url_file where it is a secret")
	default:
		if _, err := parseURL(r.URL); err != nil {
			bad("url", "%v", err)
		}
	}
}

func (r Receiver) checkTimes(bad Report) {
	Within(bad, "timeout", r.Timeout, 100*time.Millisecond, 5*time.Minute, false)
	Within(bad, "retry_min", r.RetryMin, 10*time.Millisecond, time.Hour, false)
	if Within(bad, "retry_max", r.RetryMax, 10*time.Millisecond, 24*time.Hour, false) && r.RetryMax < r.RetryMin {
		bad("retry_max retry_min", "retry_max is %s and less than retry_min, which is %s: write retry_max from retry_min to 24h", r.RetryMax, r.RetryMin)
	}
	switch r.Type {
	case TypePagerDuty, TypeSlack:
		if r.Heartbeat != 0 {
			bad("heartbeat", "a receiver of type %q has no use for it: leave it out", r.Type)
		}
	case TypePing:
		Within(bad, "heartbeat", r.Heartbeat, time.Second, 24*time.Hour, false)
	default:
		Within(bad, "heartbeat", r.Heartbeat, time.Second, 24*time.Hour, true)
	}
}

func (r Receiver) checkAuth(bad Report) {
	for k, v := range r.Headers {
		if !isToken(k) || incident.Unprintable(v) {
			bad("headers", "%q cannot be a header with this value: a name of letters, digits and dashes, a value without control characters", incident.Clip(k, 40))
		}
	}
	for k, f := range r.HeaderFiles {
		if !isToken(k) {
			bad("header_files", "%q cannot be the name of a header", incident.Clip(k, 40))
		}
		checkFile(bad, "header_files", f)
	}
	if (r.BasicUser != "") != (r.BasicPassFile != "") {
		bad("basic_user basic_pass_file", "basic_user and basic_pass_file go together: give both or none")
	}
	if r.BasicUser != "" && r.BearerFile != "" {
		bad("bearer_file basic_user", "there are bearer_file and basic_user: one kind of authentication is enough")
	}
	if strings.Contains(r.BasicUser, ":") || incident.Unprintable(r.BasicUser) {
		bad("basic_user", "a user has no colon and no control character")
	}
	for field, f := range map[string]string{"basic_pass_file": r.BasicPassFile, "bearer_file": r.BearerFile} {
		if f != "" {
			checkFile(bad, field, f)
		}
	}
	for _, f := range r.SigningFiles {
		checkFile(bad, "signing_files", f)
	}
}

func (r Receiver) checkTransport(bad Report) {
	for field, f := range map[string]string{"ca_file": r.CAFile, "cert_file": r.CertFile, "key_file": r.KeyFile} {
		if f != "" {
			checkFile(bad, field, f)
		}
	}
	if (r.CertFile != "") != (r.KeyFile != "") {
		bad("cert_file key_file", "cert_file and key_file go together: give both or none")
	}
	if r.Proxy != "" {
		u, err := url.Parse(r.Proxy)
		if err != nil || !slices.Contains([]string{"http", "https", "socks5"}, u.Scheme) || u.Hostname() == "" {
			bad("proxy", "is no URL of a proxy: write it as http://HOST:PORT, https://HOST:PORT or socks5://HOST:PORT")
		}
	}
	if r.SourceAddress != "" {
		if a, err := netip.ParseAddr(r.SourceAddress); err != nil || a.IsUnspecified() || a.IsMulticast() {
			bad("source_address", "%q is no address of this host", incident.Clip(r.SourceAddress, 60))
		}
	}
	if len(r.Link) > 15 || strings.ContainsAny(r.Link, "/ \t\n") { // dev_valid_name in net/core/dev.c
		bad("link", "%q cannot be the name of a link", incident.Clip(r.Link, 40))
	}
}

// checkType checks what only one type has.
func (r Receiver) checkType(bad Report) {
	methods := []string{"POST"}
	switch r.Type {
	case TypePagerDuty:
		if r.RoutingKeyFile == "" {
			bad("routing_key_file", "is missing: put the integration key into a file and name it")
		} else {
			checkFile(bad, "routing_key_file", r.RoutingKeyFile)
		}
	case TypeAlertmanager:
		Within(bad, "group_wait", r.GroupWait, 0, time.Hour, true)
		Within(bad, "group_interval", r.GroupInterval, time.Second, 24*time.Hour, false)
		Within(bad, "resend", r.Resend, 100*time.Millisecond, time.Hour, false)
	case TypeTemplate:
		methods = []string{"POST", "PUT"}
		if r.TemplateFile == "" {
			bad("template_file", "is missing")
		} else {
			checkFile(bad, "template_file", r.TemplateFile)
		}
		if r.ContentType == "" || incident.Unprintable(r.ContentType) {
			bad("content_type", `%q is no content type: as "application/json"`, incident.Clip(r.ContentType, 60))
		}
	case TypePing:
		methods = []string{"GET", "POST", "PUT"}
	}
	if !slices.Contains(methods, r.Method) {
		bad("method", "%q cannot be used with type %q: %s", incident.Clip(r.Method, 20), r.Type, strings.Join(methods, ", "))
	}
	for k, v := range r.Labels {
		if !isLabel(k) || v == "" || incident.Unprintable(v) {
			bad("labels", "%q is no label with a value: a name of letters, digits and underscores, not beginning with a digit", incident.Clip(k, 40))
		}
	}
}
