package web

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	mostVisitors = 256              // connections at once; beyond that the slowest goes
	listenAgain  = 15 * time.Second // after a failure: the address may come, the port be given back
)

// Page is what other programs watch the daemon by, as a task: metrics and
// health over HTTP. It can be read and nothing else.
type Page struct {
	Listen  string   // address and port
	Hosts   []string // names by which it is asked, in lower case, beside its addresses and localhost
	Metrics http.Handler
	Health  *Health
	Log     *slog.Logger

	again   time.Duration // 0: listenAgain
	patient time.Duration // with slow clients; 0: the server's own times

	mu     sync.Mutex
	status PageStatus
}

// PageStatus is where the page is.
type PageStatus struct {
	Listen  string `json:"listen"`            // as configured; empty: switched off
	Address string `json:"address,omitempty"` // where it is served
	Err     string `json:"error,omitempty"`   // why it is not
}

// String names the task.
func (p *Page) String() string { return "page" }

// Status tells where the page is.
func (p *Page) Status() PageStatus {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.status
}

func (p *Page) note(address string, err error) (news bool) {
	s := PageStatus{Listen: p.Listen, Address: address}
	if err != nil {
		s.Err = err.Error()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	news = p.status != s
	p.status = s
	return news
}

// Run serves until ctx ends. Where it cannot listen the daemon goes on without:
// a link that is kept alive unseen is better than one that is not.
func (p *Page) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		l, err := p.open()
		if p.note(addressOf(l), err) && err != nil {
			p.Log.Error("metrics and health are not served; trying again", "error", err, "every", p.pause())
		}
		if err == nil {
			p.serve(ctx, l)
			continue
		}
		select {
		case <-ctx.Done():
		case <-time.After(p.pause()):
		}
	}
	return nil
}

func (p *Page) pause() time.Duration { return cmp.Or(p.again, listenAgain) }

func addressOf(l net.Listener) string {
	if l == nil {
		return ""
	}
	return l.Addr().String()
}

// open listens.
func (p *Page) open() (net.Listener, error) {
	l, err := net.Listen("tcp", p.Listen)
	if err != nil {
		return nil, explainListen(p.Listen, err)
	}
	p.Log.Info("metrics and health are served", "address", l.Addr())
	if public(l.Addr().String()) {
		p.Log.Warn("other hosts can read the metrics: there is no password, so let the firewall choose who may", "address", l.Addr())
	}
	return l, nil
}

// public tells whether other hosts may reach an address.
func public(address string) bool {
	a, err := netip.ParseAddrPort(address)
	return err != nil || !a.Addr().IsLoopback()
}

// explainListen says what to do.
func explainListen(address string, err error) error {
	advice := `give [web] listen another address, or "" for none`
	switch {
	case errors.Is(err, unix.EADDRINUSE):
		advice = "another program has this port (`ss -ltnp` names it): " + advice
	case errors.Is(err, unix.EADDRNOTAVAIL):
		advice = "this host has no such address now: " + advice
	case errors.Is(err, unix.EACCES):
		advice = "ports below 1024 need CAP_NET_BIND_SERVICE: " + advice
	}
	return fmt.Errorf("%w: %s", err, advice)
}

// serve answers until ctx ends or the listener fails.
func (p *Page) serve(ctx context.Context, l net.Listener) {
	srv, door := newServer(onlyHosts(p.Hosts, p.handler()), l, mostVisitors, p.patient)
	srv.SetKeepAlivesEnabled(false) // an idle connection would hold a place for nothing
	srv.ErrorLog = slog.NewLogLogger(p.Log.Handler(), slog.LevelDebug)
	stop := context.AfterFunc(ctx, func() { srv.Close() })
	defer stop()
	if err := srv.Serve(door); ctx.Err() == nil {
		p.note("", err)
		p.Log.Error("metrics and health are no longer served; trying again", "error", err)
	}
}

const index = `Lifeline. What there is here:
/metrics  for Prometheus
/healthz  whether the control loop runs
/readyz   whether it sees and may limit
`

// handler answers GET and HEAD.
func (p *Page) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", p.Metrics)
	mux.HandleFunc("GET /healthz", check(p.Health.Alive))
	mux.HandleFunc("GET /readyz", check(p.Health.Ready))
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { plain(w, http.StatusOK, index) })
	return mux
}

// check answers 200 or, with the reason, 503.
func check(f func(time.Time) error) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if err := f(time.Now()); err != nil {
			plain(w, http.StatusServiceUnavailable, err.Error()+"\n")
			return
		}
		plain(w, http.StatusOK, "ok\n")
	}
}

func plain(w http.ResponseWriter, code int, text string) {
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(code)
	_, _ = io.WriteString(w, text) // the client is gone: nobody to tell
}
