package notify

import (
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"lifeline/watchdog/files"
)

// CheckFiles reads every file that receivers name and tries every template, but
// for the receivers, by index, that skip names. What cannot be tried outside the
// systemd unit, its credentials, is listed.
func CheckFiles(receivers []Receiver, credentials string, skip func(int) bool) (untried []string, wrong []*FieldError) {
	for _, e := range tryFiles(receivers, credentials) {
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

// CheckTemplates tries the templates before anything starts. One that cannot work
// is a mistake in the configuration; one that does not answer is only told, and
// may be there by the next attempt.
func CheckTemplates(receivers []Receiver, credentials string, log *slog.Logger) error {
	v := newSecretStore(credentials)
	return each(receivers, func(i int, r Receiver) error {
		if r.Type != TypeTemplate {
			return nil
		}
		_, err := templateEncoder(r, v)
		if errors.Is(err, files.ErrNoAnswer) {
			warnFile(log, r.Name, "template_file", err)
			return nil
		}
		if err != nil {
			return &FieldError{Receiver: r.Name, Index: i, Field: "template_file", Msg: err.Error()}
		}
		return nil
	})
}

// WarnFiles says which secrets cannot be used now; they may be there by the next
// attempt. It may take as long as they do, so nothing is to wait for it.
func WarnFiles(receivers []Receiver, credentials string, log *slog.Logger) {
	for _, e := range tryFiles(receivers, credentials) {
		if e.Field != "template_file" {
			warnFile(log, e.Receiver, e.Field, errors.New(e.Msg))
		}
	}
}

func warnFile(log *slog.Logger, receiver, field string, err error) {
	log.Warn("a file that this receiver needs cannot be used; its alerts wait", "receiver", receiver, "key", field, "error", err)
}

// each does something for all receivers at once, and joins the errors in their
// order.
func each(receivers []Receiver, do func(i int, r Receiver) error) error {
	errs := make([]error, len(receivers))
	var all sync.WaitGroup
	for i, r := range receivers {
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

func tryFiles(receivers []Receiver, credentials string) (out []fileError) {
	v := newSecretStore(credentials)
	found := make([][]fileError, len(receivers))
	_ = each(receivers, func(i int, r Receiver) error { // what it finds it leaves in found
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
