package notify

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"text/template"
	"time"

	"lifeline/watchdog/alert/incident"
)

// maxRendered bounds what a template may write.
const maxRendered = 1 << 20

// templateEncoder reads and tries an operator's template. An event for which it
// writes nothing but white space is not sent.
func templateEncoder(r Receiver, v secretStore) (encoder, error) {
	text, err := v.read(r.TemplateFile)
	if err != nil {
		return nil, err
	}
	t, err := template.New(r.Name).Funcs(templateFuncs).Option("missingkey=error").Parse(string(text))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", r.TemplateFile, err)
	}
	f := func(ev incident.Event) ([]byte, string, error) {
		b, err := render(t, ev)
		return b, r.ContentType, err
	}
	for _, ev := range incident.SampleEvents() {
		b, _, err := f(ev)
		if err != nil {
			return nil, fmt.Errorf("%s: tried with a sample of kind %q: %w", r.TemplateFile, ev.Kind, err)
		}
		if b != nil && strings.HasPrefix(r.ContentType, jsonType) && !json.Valid(b) {
			return nil, fmt.Errorf("%s: tried with a sample of kind %q: it does not write JSON, as content_type says; write texts with {{json .Summary}}",
				r.TemplateFile, ev.Kind)
		}
	}
	return f, nil
}

var templateFuncs = template.FuncMap{
	"json": func(v any) (string, error) {
		b, err := json.Marshal(v)
		return string(b), err
	},
	"upper":  strings.ToUpper,
	"lower":  strings.ToLower,
	"phrase": incident.Describe,
	"time":   func(t time.Time) string { return t.Format(time.RFC3339) },
}

// bounded is a buffer that refuses too much.
type bounded struct{ bytes.Buffer }

func (b *bounded) Write(p []byte) (int, error) {
	if b.Len()+len(p) > maxRendered {
		return 0, fmt.Errorf("it writes more than %d bytes", maxRendered)
	}
	return b.Buffer.Write(p)
}

// render runs a template over an event.
func render(t *template.Template, ev incident.Event) (_ []byte, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = errors.New("the template panicked")
		}
	}()
	if ev.Incident == nil {
		ev.Incident = &incident.Ref{} // so that a template need not ask
	}
	if ev.Dropped == nil {
		ev.Dropped = &incident.DropCount{}
	}
	var out bounded
	if err := t.Execute(&out, ev); err != nil {
		return nil, err
	}
	if len(bytes.TrimSpace(out.Bytes())) == 0 {
		return nil, nil
	}
	return out.Bytes(), nil
}
