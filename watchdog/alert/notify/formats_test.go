package notify

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lifeline/watchdog/alert/alerttest"
	"lifeline/watchdog/alert/incident"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares what a format makes of the story with testdata.
func golden(t *testing.T, name string, f encoder) {
	t.Helper()
	var b bytes.Buffer
	for _, ev := range alerttest.Story() {
		body, contentType, err := f(ev)
		if err != nil {
			t.Fatalf("%s: %v", ev.Kind, err)
		}
		fmt.Fprintf(&b, "== %s (%s)\n", ev.Kind, contentType)
		var pretty bytes.Buffer
		if json.Indent(&pretty, body, "", "  ") == nil {
			body = pretty.Bytes()
		}
		b.Write(body)
		b.WriteByte('\n')
	}
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Errorf("%s (-want +got; -update writes it anew):\n%s", name, diff)
	}
}

func TestJSONFormat(t *testing.T) { golden(t, "json", encodeJSON) }

func TestSlackFormat(t *testing.T) { golden(t, "slack", encodeSlack) }

func TestWebhookFormat(t *testing.T) { golden(t, "webhook", webhookEncoder(labelledReceiver)) }

var labelledReceiver = Receiver{Name: "hook", Labels: map[string]string{"site": "fra1", "job": "backup"}}

func TestPagerDutyFormat(t *testing.T) {
	r := testReceiver(TypePagerDuty, "https://events.example")
	r.RoutingKeyFile = alerttest.File(t, "key", "R0UT1NGKEY")
	golden(t, "pagerduty", pagerDutyEncoder(&client{cfg: r, now: time.Now}))
}

func TestTemplateFormat(t *testing.T) {
	r := testReceiver(TypeTemplate, "https://example.com")
	r.TemplateFile = alerttest.File(t, "tmpl", `{"text": {{json .Summary}}, "state": "{{.Kind}}", "id": "{{.Incident.ID}}", "at": "{{time .At}}",
 "what": [{{range $n, $c := .Conditions}}{{if $n}}, {{end}}{{json (phrase $c)}}{{end}}]}
`)
	f, err := templateEncoder(r, secretStore{})
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "template", f)
}

func TestTemplateMistakes(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"syntax":          {"{{.Summary", "unclosed action"},
		"no such field":   {`{"a": {{json .Sumary}}}`, "Sumary"},
		"no JSON":         {`{"a": "{{.Summary}}" "b"}`, "does not write JSON"},
		"unescaped":       {`{"a": "{{(index .Conditions 0).Evidence}}"}`, "kind"},
		"endless":         {`{{range $i := 2000000000}}xxxxxxxxxxxxxxxxxxxxxxxxxx{{end}}`, "more than"},
		"endless, silent": {`{{define "x"}}{{template "x" .}}{{end}}{{template "x" .}}`, "exceeded maximum template depth"},
	} {
		r := testReceiver(TypeTemplate, "https://example.com")
		r.TemplateFile = alerttest.File(t, "tmpl", c.text)
		if _, err := templateEncoder(r, secretStore{}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	r := testReceiver(TypeTemplate, "https://example.com")
	r.TemplateFile = alerttest.File(t, "tmpl", `{{if eq .Kind "firing"}}{"x": 1}{{end}}`)
	f, err := templateEncoder(r, secretStore{})
	if err != nil {
		t.Fatal(err)
	}
	if b, _, err := f(incident.Event{Kind: incident.Resolved}); b != nil || err != nil {
		t.Errorf("an empty text is sent: %q, %v", b, err)
	}
}

// Our JSON is what our schema says, and the schema notices what is not.
func TestSchema(t *testing.T) {
	var schema map[string]any
	alerttest.MustDecode(t, incident.Schema, &schema)
	closed(schema) // what we write now has no field that the schema does not name
	for _, ev := range append(alerttest.Story(), incident.SampleEvents()...) {
		b, _, err := encodeJSON(ev)
		if err != nil {
			t.Fatal(err)
		}
		var v any
		alerttest.MustDecode(t, b, &v)
		if err := conforms(schema, schema, v, "event"); err != nil {
			t.Errorf("%s: %v", ev.Kind, err)
		}
	}
	for _, bad := range []string{`{}`, `{"version":"2"}`, `[]`,
		`{"version":"1","id":"x","kind":"odd","at":"2025-01-01T00:00:00Z","host":"h","severity":"info","summary":"s"}`,
		`{"version":"1","id":"x","kind":"firing","at":"yesterday","host":"h","severity":"info","summary":"s"}`,
		`{"version":"1","id":"x","kind":"firing","at":"2025-01-01T00:00:00Z","host":"h","severity":"info","summary":"s","more":1}`,
	} {
		var v any
		alerttest.MustDecode(t, []byte(bad), &v)
		if conforms(schema, schema, v, "event") == nil {
			t.Errorf("the schema allows %s", bad)
		}
	}
}

// closed makes a schema refuse fields that it does not name. The one that is
// shipped lets them be: receivers may not break when one is added.
func closed(schema map[string]any) {
	if _, ok := schema["properties"]; ok {
		schema["additionalProperties"] = false
	}
	for _, v := range schema {
		if sub, ok := v.(map[string]any); ok {
			closed(sub)
		}
	}
}

// Names and values are kept apart. That the digest is Prometheus' own is seen
// with a real Alertmanager.
func TestFingerprint(t *testing.T) {
	a := Fingerprint(map[string]string{"alertname": "Test", "instance": "h"})
	if b := Fingerprint(map[string]string{"alertname": "Testi", "nstance": "h"}); a == b || len(a) != 16 {
		t.Errorf("%s, %s", a, b)
	}
}

func TestSlackEscapes(t *testing.T) {
	b, _, err := encodeSlack(incident.Event{Kind: incident.Firing, Summary: "<!channel> & <http://x|y>", Incident: &incident.Ref{}})
	var m slackMessage
	alerttest.MustDecode(t, b, &m)
	if err != nil || strings.ContainsAny(m.Text, "<>") || !strings.Contains(m.Text, "&lt;!channel&gt; &amp;") {
		t.Errorf("%s, %v", b, err)
	}
}

// FuzzTemplate holds that no template can panic or hang the daemon.
func FuzzTemplate(f *testing.F) {
	f.Add(`{{.Summary}}`)
	f.Add(`{{range .Conditions}}{{.Evidence | json}}{{end}}`)
	f.Add(`{{index .Conditions 7}}`)
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "range") && strings.ContainsAny(text, "0123456789") {
			return // may loop for long; an operator's own affair
		}
		path := filepath.Join(dir, "t")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := templateEncoder(Receiver{Name: "t", TemplateFile: path}, secretStore{})
		_ = err // any error will do
	})
}
