package alert

import (
	"errors"
	"log/slog"
	"maps"
	"slices"
	"time"
)

// Check reads every file that the configuration names and tries every template.
// Its errors are *FieldError, joined. What cannot be tried outside the systemd
// unit, its credentials, is listed.
func (c Config) Check() (untried []string, err error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	untried, wrong := c.TryFiles(func(int) bool { return false })
	var errs []error
	for _, e := range wrong {
		errs = append(errs, e)
	}
	return untried, errors.Join(errs...)
}

// TryFiles does the same without validating, and without the receivers, by index,
// that skip names.
func (c Config) TryFiles(skip func(int) bool) (untried []string, wrong []*FieldError) {
	for _, e := range c.tryFiles() {
		switch {
		case skip(e.Index):
		case errors.Is(e.cause, errNoCredentials):
			untried = append(untried, e.Error())
		default:
			wrong = append(wrong, &e.FieldError)
		}
	}
	return untried, wrong
}

// tryAtStart tries the same. A template that cannot work is a mistake in the
// configuration; a secret that cannot be read may be there by the next attempt.
func (c Config) tryAtStart(log *slog.Logger) error {
	var errs []error
	for _, e := range c.tryFiles() {
		if e.Field == "template_file" {
			errs = append(errs, &e.FieldError)
			continue
		}
		log.Warn("a file that this receiver needs cannot be used; its alerts wait", "receiver", e.Receiver, "key", e.Field, "error", e.Msg)
	}
	return errors.Join(errs...)
}

// fileError is a file that cannot be used, and why.
type fileError struct {
	FieldError
	cause error
}

func (c Config) tryFiles() (out []fileError) {
	v := newVault(c.Credentials)
	for i, r := range c.Receivers {
		tried := r.tryFiles(v)
		for _, field := range slices.Sorted(maps.Keys(tried)) {
			if err := tried[field]; err != nil {
				out = append(out, fileError{FieldError{Receiver: r.Name, Index: i, Field: field, Msg: err.Error()}, err})
			}
		}
	}
	return out
}

// tryFiles reads a receiver's files, by field.
func (r Receiver) tryFiles(v vault) map[string]error {
	c := &client{cfg: r, vault: v, now: time.Now}
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
		_, out["template_file"] = templateFormat(r, v)
	}
	return out
}
