package alert

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"lifeline/watchdog/alert/alerttest"
	"lifeline/watchdog/alert/notify"
	"lifeline/watchdog/alert/spool"
	"lifeline/watchdog/unit"
)

// locked is a log that goroutines write.
type locked struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// Whatever secret a receiver has, it is seen nowhere, not even when the
// receiver says it back: not in the log, the status, the dead letters, the
// history, nor on disk. There is one receiver for each kind of secret, and two
// ways to fail: answers that repeat the request, and no answer at all.
func TestSecretsAreNowhere(t *testing.T) {
	t.Parallel()
	echo := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		code := http.StatusForbidden // into the dead letters
		if r.Header.Get("X-Try") == "again" {
			code = http.StatusBadGateway
		}
		w.Header().Set("Location", r.URL.String())
		w.WriteHeader(code)
		said, _ := json.Marshal(map[string]any{"b": string(body), "h": r.Header, "u": r.URL.String(), "q": r.URL.Query()})
		if r.Header.Get("X-Part") == "body" {
			said = body[:min(len(body), 150)]
		}
		fmt.Fprintf(w, "%s %s", r.URL.Path, said)
	}))
	defer echo.Close()
	const header, pass, token, path, query, routing = `h3ad"er<S`, "p4ss&wo<rd", "t0k3n/t0k3n", "T000-B000-XXXX", "qu3ry/v4lue", "r0ut1ngk3y"
	secrets := []string{header, pass, token, path, query, "qu3ry%2Fv4lue", routing, alerttest.NewKey, strings.TrimPrefix(alerttest.NewKey, "whsec_"), "h3ad", "p4ss", "t0k3n",
		base64.StdEncoding.EncodeToString([]byte("user:" + pass))}
	kinds := map[string]func(r *notify.Receiver, base string){
		"path":  func(r *notify.Receiver, base string) { r.URL = base + "/hook/" + path },
		"query": func(r *notify.Receiver, base string) { r.URL = base + "/hook?x=qu3ry%2Fv4lue" },
		"urlfile": func(r *notify.Receiver, base string) {
			r.URL, r.URLFile = "", alerttest.File(t, "u", base+"/hook/"+path)
		},
		"header": func(r *notify.Receiver, _ string) { r.Headers = map[string]string{"X-Key": header} },
		"hfile": func(r *notify.Receiver, _ string) {
			r.HeaderFiles = map[string]string{"X-Key": alerttest.File(t, "h", header)}
		},
		"basic": func(r *notify.Receiver, _ string) {
			r.BasicUser, r.BasicPassFile = "user", alerttest.File(t, "p", pass)
		},
		"bearer": func(r *notify.Receiver, _ string) { r.BearerFile = alerttest.File(t, "t", token) },
		"sign": func(r *notify.Receiver, _ string) {
			r.SigningFiles = []string{alerttest.File(t, "k", alerttest.NewKey)}
		},
		"badkey": func(r *notify.Receiver, _ string) { r.SigningFiles = []string{alerttest.File(t, "k", token)} },
		"proxy":  func(r *notify.Receiver, _ string) { r.Proxy = "http://user:" + url.PathEscape(pass) + "@127.0.0.1:1" },
		"routing": func(r *notify.Receiver, _ string) {
			r.Type, r.RoutingKeyFile = notify.TypePagerDuty, alerttest.File(t, "r", routing)
			r.Headers = map[string]string{"X-Part": "body"}
		},
		"ping": func(r *notify.Receiver, base string) {
			*r = quick("", notify.TypePing, base+"/"+path)
			r.MinSeverity = "info"
		},
	}
	cfg := DefaultConfig()
	for name, set := range kinds {
		for way, base := range map[string]string{"echo": echo.URL, "again": echo.URL, "dead": "http://127.0.0.1:1"} {
			r := quick("", notify.TypeJSON, base+"/hook")
			set(&r, base)
			r.Name, r.RetryMin, r.RetryMax = name+"-"+way, unit.Of(50*time.Millisecond), unit.Of(time.Second)
			if way == "again" {
				if r.Headers == nil {
					r.Headers = map[string]string{}
				}
				r.Headers["X-Try"] = "again"
			}
			cfg.Receivers = append(cfg.Receivers, r)
		}
	}
	var out locked
	dir := t.TempDir()
	a, err := open(dir, cfg, slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug})), unsyncedDisk)
	if err != nil {
		t.Fatal(err)
	}
	r := run(t, a)
	r.pair(alerttest.Saturated)
	alerttest.Eventually(t, "every receiver has failed", func() bool {
		for _, st := range a.Status().Receivers {
			if st.Failed == 0 {
				return false
			}
		}
		return true
	})
	var dead []spool.DeadLetter
	alerttest.Eventually(t, "18 dead letters: begin and end at 9 receivers that refuse", func() bool {
		dead, err = a.DeadLetters("")
		return err == nil && len(dead) >= 18
	})
	seen := map[string]string{"status": asJSON2(t, a.Status()), "dead letters": asJSON2(t, dead)}
	if h, err := a.History(1); err == nil && len(h) == 1 {
		inc, err := a.Explain(h[0].ID)
		seen["history"] = fmt.Sprint(inc, err)
	}
	_, err = cfg.Check()
	seen["check"] = fmt.Sprint(err)
	r.stop()
	seen["log"] = out.b.String()
	disk, err := os.ReadFile(filepath.Join(dir, spool.File))
	if err != nil {
		t.Fatal(err)
	}
	seen["disk"] = string(disk)
	for where, text := range seen {
		for _, s := range secrets {
			if at := strings.Index(text, s); at >= 0 {
				t.Errorf("%q is in the %s: ...%q...", s, where, text[max(0, at-200):min(len(text), at+60)])
			}
		}
	}
	if !strings.Contains(seen["status"], "[hidden]") || !strings.Contains(seen["log"], "[hidden]") {
		t.Error("nothing was hidden: the test shows nothing")
	}
}

func asJSON2(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
