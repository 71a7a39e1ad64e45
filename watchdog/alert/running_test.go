package alert

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"lifeline/watchdog"
	"lifeline/watchdog/alert/alerttest"
	"lifeline/watchdog/alert/incident"
	"lifeline/watchdog/alert/notify"
	"lifeline/watchdog/alert/spool"
	"lifeline/watchdog/store"
	"lifeline/watchdog/unit"
)

// quick is a receiver that tests need not wait for.
func quick(name, typ, url string) notify.Receiver {
	r := notify.DefaultReceiver(typ)
	r.Name, r.URL = name, url
	r.Timeout, r.RetryMin, r.RetryMax = unit.Of(5*time.Second), unit.Of(10*time.Millisecond), unit.Of(50*time.Millisecond)
	return r
}

// running is an Alerts whose task runs until the test ends, or stop.
type running struct {
	*Alerts
	t     *testing.T
	stop  func()
	stand []watchdog.Condition
}

func start(t *testing.T, dir string, rs ...notify.Receiver) *running {
	t.Helper()
	cfg := DefaultConfig()
	cfg.Host, cfg.Receivers = "h", rs
	return startWith(t, dir, cfg)
}

func startWith(t *testing.T, dir string, cfg Config) *running {
	t.Helper()
	a, err := open(dir, cfg, alerttest.Silent(), unsyncedDisk)
	if err != nil {
		t.Fatal(err)
	}
	return run(t, a)
}

// unsyncedDisk is one whose writes nobody waits for: a test's machine does not
// lose its power.
var unsyncedDisk = system{openStore: func(path string) (*store.DB, error) {
	db, err := spool.OpenFile(path)
	if err == nil {
		db.NoSync, db.NoGrowSync = true, true
	}
	return db, err
}}

// run runs an Alerts until the test ends, or stop.
func run(t *testing.T, a *Alerts) *running {
	t.Helper()
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
			if o.Name == c.Name && o.Subject == c.Subject {
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
func (r *running) receiver(name string) notify.ReceiverStatus {
	r.t.Helper()
	for _, st := range r.Status().Receivers {
		if st.Name == name {
			return st
		}
	}
	r.t.Fatalf("no receiver %q in the status", name)
	return notify.ReceiverStatus{}
}

// kinds lists the kinds of events.
func kinds(evs []incident.Event) (out []incident.Kind) {
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
