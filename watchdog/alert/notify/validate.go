package notify

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"lifeline/watchdog/alert/incident"
)

// FieldError is one mistake in a Config. It never holds a secret.
type FieldError struct {
	Receiver string // its name, or "#2" where it has none; empty for a field of Config itself
	Index    int    // of the receiver
	Field    string // in snake case, as in configuration files
	With     string // another field, where the mistake is that the two do not go together
	Msg      string // what is wrong and what to do
}

// Error is `receiver "NAME": FIELD: MSG`.
func (e *FieldError) Error() string {
	if e.Receiver == "" {
		return e.Field + ": " + e.Msg
	}
	return fmt.Sprintf("receiver %q: %s: %s", e.Receiver, e.Field, e.Msg)
}

// Report collects mistakes; one that is between two fields names both, with a
// space between them.
type Report func(field, format string, args ...any)

// Validate checks everything that can be checked of receivers without reading a
// file. Its errors are *FieldError.
func Validate(receivers []Receiver) (errs []error) {
	names := map[string]bool{}
	for i, r := range receivers {
		shown := r.Name
		if shown == "" {
			shown = fmt.Sprintf("#%d", i+1)
		}
		bad := func(field, format string, args ...any) {
			field, with, _ := strings.Cut(field, " ")
			errs = append(errs, &FieldError{shown, i, field, with, fmt.Sprintf(format, args...)})
		}
		if names[r.Name] {
			bad("name", "two receivers have this name: choose another")
		}
		names[r.Name] = true
		r.check(bad)
	}
	return errs
}

var Types = []string{TypeJSON, TypeAlertmanager, TypeWebhook, TypePagerDuty, TypeSlack, TypePing, TypeTemplate}

// parseURL parses an http or https URL. Its errors do not show it.
func parseURL(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil {
		return nil, errors.New("is no URL: write it as https://HOST/PATH")
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		return nil, errors.New("is no http or https URL with a host: write it as https://HOST/PATH")
	}
	if u.User != nil {
		return nil, errors.New("holds a user or password: use basic_user and basic_pass_file")
	}
	return u, nil
}

// checkFile checks the name of a file that holds a secret or a certificate.
func checkFile(bad Report, field, name string) {
	switch {
	case name == "" || incident.Unprintable(name):
		bad(field, "is no name of a file")
	case filepath.IsAbs(name):
	case strings.Contains(name, "/") || name == "." || name == "..":
		bad(field, `%q is neither an absolute path nor the name of a credential: begin it with "/"`, incident.Clip(name, 80))
	}
}

// Within checks a duration, and tells whether it is good.
func Within(bad Report, field string, d, lo, hi time.Duration, zero bool) bool {
	if d >= lo && d <= hi || zero && d == 0 {
		return true
	}
	none := ""
	if zero {
		none = "0s for none, or "
	}
	bad(field, "%s is out of range: %sbetween %s and %s", d, none, lo, hi)
	return false
}

func isName(s string) bool {
	return len(s) > 0 && len(s) <= 32 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-_") == ""
}

// isToken tells whether s can be the name of a header (RFC 9110, 5.6.2, less
// its odder characters).
func isToken(s string) bool {
	return len(s) > 0 && len(s) < 100 && !strings.ContainsFunc(s, func(c rune) bool {
		return !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_')
	})
}

// isLabel tells whether s can be the name of a Prometheus label.
func isLabel(s string) bool {
	return isToken(s) && !strings.Contains(s, "-") && (s[0] < '0' || s[0] > '9')
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
	Within(bad, "timeout", r.Timeout.Duration, 100*time.Millisecond, 5*time.Minute, false)
	Within(bad, "retry_min", r.RetryMin.Duration, 10*time.Millisecond, time.Hour, false)
	if Within(bad, "retry_max", r.RetryMax.Duration, 10*time.Millisecond, 24*time.Hour, false) && r.RetryMax.Duration < r.RetryMin.Duration {
		bad("retry_max retry_min", "retry_max is %s and less than retry_min, which is %s: write retry_max from retry_min to 24h", r.RetryMax.Duration, r.RetryMin.Duration)
	}
	switch r.Type {
	case TypePagerDuty, TypeSlack:
		if r.Heartbeat.Duration != 0 {
			bad("heartbeat", "a receiver of type %q has no use for it: leave it out", r.Type)
		}
	case TypePing:
		Within(bad, "heartbeat", r.Heartbeat.Duration, time.Second, 24*time.Hour, false)
	default:
		Within(bad, "heartbeat", r.Heartbeat.Duration, time.Second, 24*time.Hour, true)
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
		Within(bad, "group_wait", r.GroupWait.Duration, 0, time.Hour, true)
		Within(bad, "group_interval", r.GroupInterval.Duration, time.Second, 24*time.Hour, false)
		Within(bad, "resend", r.Resend.Duration, 100*time.Millisecond, time.Hour, false)
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
