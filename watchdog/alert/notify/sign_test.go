package notify

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
	"time"

	"lifeline/watchdog/alert/alerttest"
)

// The specification's own example.
func TestSignatureVector(t *testing.T) {
	key, err := parseKey(alerttest.OldKey)
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
	if k, err := parseKey(strings.TrimPrefix(alerttest.NewKey, "whsec_")); err != nil || len(k) != 24 {
		t.Errorf("without its prefix: %d bytes, %v", len(k), err)
	}
}

func FuzzParseKey(f *testing.F) {
	f.Add(alerttest.OldKey)
	f.Add("whsec_")
	f.Fuzz(func(t *testing.T, s string) {
		if k, err := parseKey(s); err == nil && (len(k) < shortestKey || len(k) > longestKey) {
			t.Errorf("%q: %d bytes", s, len(k))
		}
	})
}
