package alert

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"lifeline/watchdog/alert/alerttest"
	"lifeline/watchdog/alert/incident"
	"lifeline/watchdog/alert/notify"
)

// verifies tells whether the official verifier accepts a request.
func verifies(t *testing.T, key string, body []byte, h http.Header) bool {
	t.Helper()
	v, err := standardwebhooks.NewWebhook(key)
	if err != nil {
		t.Fatal(err)
	}
	return v.Verify(body, h) == nil
}

func TestOfficialVerifierAccepts(t *testing.T) {
	type received struct {
		header http.Header
		body   string
	}
	got := make(chan received, 10)
	r := quick("r", notify.TypeJSON, newRecorder(t, func(h http.Header, body string) { got <- received{h, body} }))
	r.SigningFiles = []string{alerttest.File(t, "new", alerttest.NewKey+"\n"), alerttest.File(t, "old", alerttest.OldKey)}
	a := start(t, t.TempDir(), r)
	a.raise(alerttest.Saturated)
	m := <-got
	for _, key := range []string{alerttest.OldKey, alerttest.NewKey} { // while the key is being changed
		if !verifies(t, key, []byte(m.body), m.header) {
			t.Errorf("%s is not accepted", key)
		}
	}
	if n := len(strings.Fields(m.header.Get("webhook-signature"))); n != 2 {
		t.Errorf("%d signatures", n)
	}
	var ev incident.Event
	alerttest.MustDecode(t, []byte(m.body), &ev)
	if m.header.Get("webhook-id") != ev.ID {
		t.Errorf("webhook-id %q, event %q", m.header.Get("webhook-id"), ev.ID)
	}

	alter := func(name string, body string, change func(http.Header)) {
		h := m.header.Clone()
		change(h)
		if verifies(t, alerttest.NewKey, []byte(body), h) {
			t.Errorf("%s is accepted", name)
		}
	}
	alter("another body", m.body+" ", func(http.Header) {})
	alter("another id", m.body, func(h http.Header) { h.Set("webhook-id", "x") })
	alter("another time", m.body, func(h http.Header) { h.Set("webhook-timestamp", "1") })
	alter("no signature", m.body, func(h http.Header) { h.Del("webhook-signature") })
	if verifies(t, "whsec_"+base64.StdEncoding.EncodeToString(make([]byte, 24)), []byte(m.body), m.header) {
		t.Error("another key is accepted")
	}
}
