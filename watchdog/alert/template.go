package alert

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"text/template"
	"time"

	"lifeline/watchdog"
)

// mostRendered bounds what a template may write.
const mostRendered = 1 << 20

// templateFormat reads and tries an operator's template. An event for which it
// writes nothing but white space is not sent.
func templateFormat(r Receiver, v vault) (format, error) {
	text, err := v.read(r.TemplateFile)
	if err != nil {
		return nil, err
	}
	t, err := template.New(r.Name).Funcs(templateFuncs).Option("missingkey=error").Parse(string(text))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", r.TemplateFile, err)
	}
	f := func(ev Event) ([]byte, string, error) {
		b, err := render(t, ev)
		return b, r.ContentType, err
	}
	for _, ev := range samples() {
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
	"phrase": phrase,
	"time":   func(t time.Time) string { return t.Format(time.RFC3339) },
}

// bounded is a buffer that refuses too much.
type bounded struct{ bytes.Buffer }

func (b *bounded) Write(p []byte) (int, error) {
	if b.Len()+len(p) > mostRendered {
		return 0, fmt.Errorf("it writes more than %d bytes", mostRendered)
	}
	return b.Buffer.Write(p)
}

// render runs a template over an event.
func render(t *template.Template, ev Event) (_ []byte, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = errors.New("the template panicked")
		}
	}()
	if ev.Incident == nil {
		ev.Incident = &IncidentRef{} // so that a template need not ask
	}
	if ev.Dropped == nil {
		ev.Dropped = &DropCount{}
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

// samples are one event of each kind, for trying templates.
func samples() []Event {
	at := time.Date(2025, 1, 2, 3, 4, 5, 0, time.UTC)
	c := ConditionState{Condition: watchdog.LinkSaturated, Subject: "eth0 rx", Severity: watchdog.Warning,
		Status: StatusFiring, Since: at, Evidence: "a \"sample\"\nwith <odd> characters"}
	ref := &IncidentRef{ID: "20250102-030405000-0000", Sequence: 1, Started: at, Cause: Cause{c.Condition, c.Subject, c.Evidence}}
	base := Event{Version: PayloadVersion, ID: ref.ID + "-1", At: at, Host: "sample", Severity: c.Severity,
		Summary: "sample: link eth0 rx saturated", Incident: ref, Conditions: []ConditionState{c}, Test: true}
	var out []Event
	for _, k := range []Kind{Firing, Updated, Reminder, Resolved} {
		ev := base
		ev.Kind = k
		out = append(out, ev)
	}
	out[1].Reasons = []Reason{SeverityChanged}
	out[3].Conditions = []ConditionState{c}
	out[3].Conditions[0].Status, out[3].Conditions[0].Ended = StatusResolved, at
	plain := Event{Version: PayloadVersion, ID: "sample", At: at, Host: "sample", Severity: watchdog.Info, Summary: "sample"}
	beat, lost := plain, plain
	beat.Kind, lost.Kind = Heartbeat, Dropped
	lost.Dropped = &DropCount{1, at, at}
	return append(out, beat, lost)
}
