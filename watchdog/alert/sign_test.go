package alert

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

const (
	oldKey = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	newKey = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
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
	r := quick("r", TypeJSON, newRecorder(t, func(h http.Header, body string) { got <- received{h, body} }))
	r.SigningFiles = []string{file(t, "new", newKey+"\n"), file(t, "old", oldKey)}
	a := start(t, t.TempDir(), r)
	a.raise(saturated)
	m := <-got
	for _, key := range []string{oldKey, newKey} { // while the key is being changed
		if !verifies(t, key, []byte(m.body), m.header) {
			t.Errorf("%s is not accepted", key)
		}
	}
	if n := len(strings.Fields(m.header.Get("webhook-signature"))); n != 2 {
		t.Errorf("%d signatures", n)
	}
	var ev Event
	mustDecode(t, []byte(m.body), &ev)
	if m.header.Get("webhook-id") != ev.ID {
		t.Errorf("webhook-id %q, event %q", m.header.Get("webhook-id"), ev.ID)
	}

	alter := func(name string, body string, change func(http.Header)) {
		h := m.header.Clone()
		change(h)
		if verifies(t, newKey, []byte(body), h) {
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

// The specification's own example.
func TestSignatureVector(t *testing.T) {
	key, err := parseKey(oldKey)
	if err != nil {
		t.Fatal(err)
	}
	h := http.Header{}
	sign(h, "msg_p5jXN8AQM9LWM0D4loKWxJek", time.Unix(1614265330, 0), []byte(`{"test": 2432232314}`), [][]byte{key})
	if got, want := h.Get("webhook-signature"), "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestParseKey(t *testing.T) {
	for _, bad := range []string{"", "whsec_", "whsec_!!!", "whsec_" + base64.StdEncoding.EncodeToString(make([]byte, 23)),
		"whsec_" + base64.StdEncoding.EncodeToString(make([]byte, 65))} {
		if _, err := parseKey(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
	if k, err := parseKey(strings.TrimPrefix(newKey, "whsec_")); err != nil || len(k) != 24 {
		t.Errorf("without its prefix: %d bytes, %v", len(k), err)
	}
}

func FuzzParseKey(f *testing.F) {
	f.Add(oldKey)
	f.Add("whsec_")
	f.Fuzz(func(t *testing.T, s string) {
		if k, err := parseKey(s); err == nil && (len(k) < shortestKey || len(k) > longestKey) {
			t.Errorf("%q: %d bytes", s, len(k))
		}
	})
}
