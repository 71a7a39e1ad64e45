package alert

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"lifeline/watchdog"
)

// inbox is a receiver of type "json" on loopback.
type inbox struct {
	*httptest.Server
	mu      sync.Mutex
	events  []Event // taken
	headers []http.Header
	asked   int                              // requests
	answer  func(n int, ev Event) (code int) // nil: 204
}

func newInbox(t *testing.T) *inbox {
	b := &inbox{}
	b.Server = httptest.NewServer(b)
	t.Cleanup(b.Close)
	return b
}

func (b *inbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	raw, err := io.ReadAll(r.Body)
	var ev Event
	if err == nil {
		err = json.Unmarshal(raw, &ev)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked++
	code := http.StatusNoContent
	if err != nil {
		code = http.StatusTeapot // breaks the test that sent it
	} else if b.answer != nil {
		code = b.answer(b.asked, ev)
	}
	if code < 300 {
		b.events = append(b.events, ev)
		b.headers = append(b.headers, r.Header)
	}
	w.WriteHeader(code)
}

// got is what was taken so far.
func (b *inbox) got() []Event {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]Event(nil), b.events...)
}

func (b *inbox) requests() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.asked
}

// set changes how the inbox answers.
func (b *inbox) set(answer func(n int, ev Event) int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.answer = answer
}

// always answers with one code.
func always(code int) func(int, Event) int { return func(int, Event) int { return code } }

// quick is a receiver that tests need not wait for.
func quick(name, typ, url string) Receiver {
	r := DefaultReceiver(typ)
	r.Name, r.URL = name, url
	r.Timeout, r.RetryMin, r.RetryMax = 5*time.Second, 10*time.Millisecond, 50*time.Millisecond
	return r
}

// running is an Alerts whose task runs until the test ends, or stop.
type running struct {
	*Alerts
	t     *testing.T
	stop  func()
	stand []watchdog.Condition
}

func start(t *testing.T, dir string, rs ...Receiver) *running {
	t.Helper()
	cfg := DefaultConfig()
	cfg.Host, cfg.Receivers = "h", rs
	return startWith(t, dir, cfg)
}

func startWith(t *testing.T, dir string, cfg Config) *running {
	t.Helper()
	a, err := Open(dir, cfg, silent())
	if err != nil {
		t.Fatal(err)
	}
	return run(t, a)
}

// run runs an Alerts until the test ends, or stop.
func run(t *testing.T, a *Alerts) *running {
	t.Helper()
	if db := a.spool.db.Load(); db != nil {
		db.NoSync, db.NoGrowSync = true, true
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	r := &running{Alerts: a, t: t}
	r.stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("run: %v", err)
			}
		case <-time.After(20 * time.Second):
			t.Error("run does not end")
		}
	})
	t.Cleanup(r.stop)
	return r
}

// raise and clear are one turn of the control loop.
func (r *running) raise(cs ...watchdog.Condition) {
	var changes []watchdog.Change
	now := time.Now()
	for _, c := range cs {
		c.Since = now
		r.stand = append(r.stand, c)
		changes = append(changes, watchdog.Change{Condition: c, Raised: true})
	}
	r.Take(now, r.stand, changes)
}

func (r *running) clear(cs ...watchdog.Condition) {
	var changes []watchdog.Change
	for _, c := range cs {
		for i, o := range r.stand {
			if keyOf(o) == keyOf(c) {
				r.stand = append(r.stand[:i], r.stand[i+1:]...)
				break
			}
		}
		changes = append(changes, watchdog.Change{Condition: c})
	}
	r.Take(time.Now(), r.stand, changes)
}

// pair is a whole incident.
func (r *running) pair(c watchdog.Condition) {
	r.raise(c)
	r.clear(c)
}

// receiver gives the status of one receiver.
func (r *running) receiver(name string) ReceiverStatus {
	r.t.Helper()
	for _, st := range r.Status().Receivers {
		if st.Name == name {
			return st
		}
	}
	r.t.Fatalf("no receiver %q in the status", name)
	return ReceiverStatus{}
}

// kinds lists the kinds of events.
func kinds(evs []Event) (out []Kind) {
	for _, ev := range evs {
		out = append(out, ev.Kind)
	}
	return out
}

// newRecorder is a receiver that takes everything and shows it.
func newRecorder(t *testing.T, show func(h http.Header, body string)) string {
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		raw, err := io.ReadAll(r.Body)
		if err == nil {
			show(r.Header, string(raw))
		}
	}))
	t.Cleanup(srv.Close)
	return srv.URL
}
