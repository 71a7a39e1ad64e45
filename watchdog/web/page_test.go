package web

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"lifeline/watchdog"
)

// log collects what is logged.
type log struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// open serves a page for the length of a test; address waits for it.
func open(t *testing.T, p *Page) *log {
	t.Helper()
	l := &log{}
	p.Log = slog.New(slog.NewTextHandler(l, nil))
	if p.Metrics == nil {
		p.Metrics = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "metrics") })
	}
	if p.Health == nil {
		p.Health = NewHealth(time.Now())
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("page: %v", err)
		}
	})
	return l
}

func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if cond() {
			return
		}
	}
	t.Fatalf("not in time: %s", what)
}

func address(t *testing.T, p *Page) string {
	t.Helper()
	eventually(t, "the page is served", func() bool { return p.Status().Address != "" })
	return p.Status().Address
}

func ask(t *testing.T, method, url string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://"+url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

func TestPage(t *testing.T) {
	p := &Page{Listen: "127.0.0.1:0"}
	open(t, p)
	at := address(t, p)
	for _, c := range []struct {
		method, path string
		code         int
		body         string
	}{
		{"GET", "/metrics", 200, "metrics\n"},
		{"HEAD", "/metrics", 200, ""},
		{"GET", "/healthz", 200, "ok\n"},
		{"GET", "/readyz", 503, "starting: the first cycle is not done yet\n"},
		{"GET", "/", 200, index},
		{"GET", "/v1/status", 404, "404 page not found\n"},
		{"POST", "/metrics", 405, "Method Not Allowed\n"},
		{"DELETE", "/healthz", 405, "Method Not Allowed\n"},
	} {
		if code, body := ask(t, c.method, at+c.path); code != c.code || body != c.body {
			t.Errorf("%s %s: %d %q, want %d %q", c.method, c.path, code, body, c.code, c.body)
		}
	}
	p.Health.Cycle(time.Now(), watchdog.Report{})
	if code, body := ask(t, "GET", at+"/readyz"); code != 200 {
		t.Errorf("ready: %d %q", code, body)
	}
}

func TestHealth(t *testing.T) {
	start := time.Unix(1000, 0)
	h := NewHealth(start)
	says := func(err error, want string) {
		t.Helper()
		if got := fmt.Sprint(err); !strings.Contains(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	}
	says(h.Alive(start), "nil")
	says(h.Ready(start), "first cycle")
	says(h.Alive(start.Add(time.Minute)), "hangs: no cycle has ended for 1m0s (since the start)")
	h.Cycle(start, watchdog.Report{})
	says(h.Ready(start.Add(time.Second)), "nil")
	says(h.Alive(start.Add(11*time.Second)), "11s (since the last cycle)")
	says(h.Ready(start.Add(11*time.Second)), "hangs")
	for want, r := range map[string]watchdog.Report{
		"nil":                   {Snapshot: watchdog.Snapshot{Errors: []watchdog.ProbeError{{Probe: "path", Err: "unreachable"}}}, Outcome: watchdog.Outcome{Failed: []watchdog.Failure{{Remedy: "window", Err: "x"}}}},
		"probe nic: no netlink": {Snapshot: watchdog.Snapshot{Errors: []watchdog.ProbeError{{Probe: "nic", Err: "no netlink"}}}},
		"probe rsync: sockets":  {Snapshot: watchdog.Snapshot{Errors: []watchdog.ProbeError{{Probe: "rsync: sockets", Err: "x"}}}},
		"guard: cannot start":   {Outcome: watchdog.Outcome{Failed: []watchdog.Failure{{Remedy: "guard", Err: "cannot start"}}}},
		"ledger: disk is full":  {Outcome: watchdog.Outcome{Failed: []watchdog.Failure{{Remedy: "ledger", Err: "disk is full"}}}},
	} {
		h.Cycle(start, r)
		says(h.Ready(start), want)
		says(h.Alive(start), "nil")
	}
}

// The port of somebody else is told with its mend, and taken once it is free.
func TestPortInUse(t *testing.T) {
	other, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Page{Listen: other.Addr().String(), again: 10 * time.Millisecond}
	l := open(t, p)
	eventually(t, "the error is shown", func() bool { return p.Status().Err != "" })
	if err := p.Status().Err; !strings.Contains(err, "another program has this port") || !strings.Contains(err, "[web] listen") || !strings.Contains(err, p.Listen) {
		t.Errorf("%q", err)
	}
	time.Sleep(50 * time.Millisecond) // some more tries
	if n := strings.Count(l.String(), "not served"); n != 1 {
		t.Errorf("logged %d times:\n%s", n, l)
	}
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	if code, _ := ask(t, "GET", address(t, p)+"/metrics"); code != 200 || p.Status().Err != "" {
		t.Errorf("%d, %+v", code, p.Status())
	}
}

func TestListenErrorsNameTheMend(t *testing.T) {
	for address, want := range map[string]string{
		"192.0.2.1:9731": "no such address now",
		"127.0.0.1:x":    "[web] listen",
	} {
		_, err := (&Page{Listen: address}).open()
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", address, err, want)
		}
	}
}

func TestOnlyLoopbackIsPrivate(t *testing.T) {
	for address, want := range map[string]bool{"127.0.0.1:1": false, "[::1]:1": false, "127.9.9.9:1": false,
		"0.0.0.0:1": true, "[::]:1": true, "192.0.2.1:1": true, "10.0.0.1:1": true} {
		if got := public(address); got != want {
			t.Errorf("%s: %v", address, got)
		}
	}
}

// Clients that never finish their request, and those that never read the
// answer, are cut off; others are answered.
func TestPageCutsSlowClientsOff(t *testing.T) {
	p := &Page{Listen: "127.0.0.1:0"}
	open(t, p)
	at := address(t, p)
	var slow []net.Conn
	for range mostVisitors + 8 { // more than there is room for
		c, err := net.Dial("tcp", at)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		fmt.Fprint(c, "GET /metrics HTTP/1.1\r\nX: ")
		slow = append(slow, c)
	}
	if code, _ := ask(t, "GET", at+"/healthz"); code != 200 {
		t.Errorf("%d", code)
	}
	if err := slow[0].SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(slow[0]); err != nil {
		t.Errorf("a slow client is still served: %v", err)
	}
}
