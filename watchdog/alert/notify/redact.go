package notify

import (
	"encoding/json"
	"errors"
	"html"
	"net/url"
	"slices"
	"strings"
)

// redactor is what must not be seen in errors, logs and status.
type redactor []string

const redactedText = "[hidden]"

// minSecret is how long a part of a URL must be to count as secret by itself.
const minSecret = 8

// hide adds a secret, also as it is written in JSON, in URLs and in HTML.
func (h *redactor) hide(s string) {
	forms := []string{s, url.QueryEscape(s), url.PathEscape(s), html.EscapeString(s)}
	if quoted, err := json.Marshal(s); err == nil {
		forms = append(forms, strings.Trim(string(quoted), `"`))
	}
	for _, f := range forms {
		if f != "" && !slices.Contains(*h, f) {
			*h = append(*h, f)
		}
	}
}

// hideURL adds what of a URL may be a secret: everything but scheme and host.
func (h *redactor) hideURL(u *url.URL) {
	if pass, ok := u.User.Password(); ok {
		h.hide(pass)
	}
	h.hide(u.RequestURI())
	h.hide(u.RawQuery)
	for _, part := range strings.Split(u.Path, "/") {
		if len(part) >= minSecret {
			h.hide(part)
		}
	}
	for _, values := range u.Query() {
		for _, v := range values {
			if len(v) >= minSecret {
				h.hide(v)
			}
		}
	}
}

// redact takes the secrets out of a text; the longest first, for one may be
// part of another.
func (h redactor) redact(text string) string {
	all := slices.Clone(h)
	slices.SortFunc(all, func(a, b string) int { return len(b) - len(a) })
	for _, s := range all {
		if s != "/" {
			text = strings.ReplaceAll(text, s, redactedText)
		}
	}
	return text
}

// redactedURL is a URL as it may be seen: scheme and host.
func redactedURL(u *url.URL) string {
	return u.Scheme + "://" + u.Host
}

// withoutURL takes the URL out of an error of net/http.
func withoutURL(err error) error {
	var ue *url.Error
	if errors.As(err, &ue) {
		return ue.Err
	}
	return err
}

// TargetOf is where a receiver is, as it may be seen.
func TargetOf(r Receiver) string {
	if r.URLFile != "" {
		return "(url_file)"
	}
	u, err := url.Parse(r.URL)
	if err != nil {
		return "(url)"
	}
	return redactedURL(u)
}
