package notify

import (
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
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
	Msg      string // what is wrong and the mend
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
