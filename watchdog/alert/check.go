package alert

import (
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"lifeline/watchdog/files"
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

// tryTemplates tries the templates before anything starts. One that cannot work
// is a mistake in the configuration; one that does not answer is only told, and
// may be there by the next attempt.
func (c Config) tryTemplates(log *slog.Logger) error {
	v := newVault(c.Credentials)
	return c.each(func(i int, r Receiver) error {
		if r.Type != TypeTemplate {
			return nil
		}
		_, err := templateFormat(r, v)
		if errors.Is(err, files.ErrNoAnswer) {
			c.tell(log, r.Name, "template_file", err)
			return nil
		}
		if err != nil {
			return &FieldError{Receiver: r.Name, Index: i, Field: "template_file", Msg: err.Error()}
		}
		return nil
	})
}

// tellFiles says which secrets cannot be used now; they may be there by the next
// attempt. It may take as long as they do, so nothing is to wait for it.
func (c Config) tellFiles(log *slog.Logger) {
	for _, e := range c.tryFiles() {
		if e.Field != "template_file" {
			c.tell(log, e.Receiver, e.Field, errors.New(e.Msg))
		}
	}
}

func (c Config) tell(log *slog.Logger, receiver, field string, err error) {
	log.Warn("a file that this receiver needs cannot be used; its alerts wait", "receiver", receiver, "key", field, "error", err)
}

// each does something for all receivers at once, and joins the errors in their
// order.
func (c Config) each(do func(i int, r Receiver) error) error {
	errs := make([]error, len(c.Receivers))
	var all sync.WaitGroup
	for i, r := range c.Receivers {
		all.Go(func() { errs[i] = do(i, r) })
	}
	all.Wait()
	return errors.Join(errs...)
}

// fileError is a file that cannot be used, and why.
type fileError struct {
	FieldError
	cause error
}

func (c Config) tryFiles() (out []fileError) {
	v := newVault(c.Credentials)
	found := make([][]fileError, len(c.Receivers))
	_ = c.each(func(i int, r Receiver) error { // what it finds it leaves in found
		tried := r.tryFiles(v)
		for _, field := range slices.Sorted(maps.Keys(tried)) {
			if err := tried[field]; err != nil {
				found[i] = append(found[i], fileError{FieldError{Receiver: r.Name, Index: i, Field: field, Msg: err.Error()}, err})
			}
		}
		return nil
	})
	return slices.Concat(found...)
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
