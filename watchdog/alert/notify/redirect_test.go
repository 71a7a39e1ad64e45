package notify

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"lifeline/watchdog/alert/alerttest"
)

func TestRedirects(t *testing.T) {
	elsewhere := alerttest.NewInbox(t)
	here := alerttest.NewInbox(t)
	var to string
	code := 0
	mux := http.NewServeMux()
	mux.HandleFunc("/hook", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, to, code) })
	mux.Handle("/new", here)
	srv := httptest.NewServer(mux)
	defer srv.Close()
	for _, c := range []struct {
		name  string
		code  int
		to    string
		taken bool
	}{
		{"same host, keeps the body", 307, srv.URL + "/new", true},
		{"same host, permanent", 308, "/new", true},
		{"same host, would become a GET", 302, "/new", false},
		{"another host", 307, elsewhere.URL, false},
		{"another host, permanent", 308, elsewhere.URL, false},
		{"in a circle", 307, "/hook", false},
	} {
		to, code = c.to, c.code
		r := testReceiver(TypeJSON, srv.URL+"/hook")
		cl := &client{cfg: r, now: time.Now}
		err := cl.post(t.Context(), request{id: "x", body: []byte(`{"version":"1"}`), contentType: jsonType})
		if (err == nil) != c.taken {
			t.Errorf("%s: %v", c.name, err)
		}
		if err != nil && asDeliveryError(err).verdict != retryAll {
			t.Errorf("%s: fate %d, want it to be tried again", c.name, asDeliveryError(err).verdict)
		}
	}
	if n := elsewhere.Requests(); n != 0 {
		t.Errorf("%d requests went to another host", n)
	}
}

// Nothing that was to go over TLS goes without, and nothing from one port to
// another.
func TestRedirectOutOfTLS(t *testing.T) {
	plain := alerttest.NewInbox(t)
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, plain.URL, http.StatusTemporaryRedirect)
	}))
	defer srv.Close()
	r := testReceiver(TypeJSON, srv.URL)
	r.SkipVerify = true
	err := attempt(t, r)
	if err == nil || !strings.Contains(err.Error(), "redirected elsewhere; not followed") || plain.Requests() != 0 {
		t.Errorf("%v, %d requests without TLS", err, plain.Requests())
	}
}
