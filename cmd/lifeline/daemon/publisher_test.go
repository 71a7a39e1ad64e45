package daemon

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"lifeline/watchdog"
	"lifeline/watchdog/control"
	"lifeline/watchdog/engine"
	"lifeline/watchdog/facts"
	"lifeline/watchdog/web"
)

// bareLog writes what is logged without its time.
func bareLog(w *bytes.Buffer) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
}

// fakePublisher publishes a daemon without a network and without alerts.
func fakePublisher(t *testing.T, log *slog.Logger, guard *guardState) *publisher {
	t.Helper()
	store, err := facts.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	p := &publisher{
		version: "1.2.3", log: log, facts: store,
		capabilities: func() []watchdog.Capability { return []watchdog.Capability{{Name: "window", Available: true}} },
		pingMethod:   func() string { return "unprivileged" },
		guard:        func() guardState { return *guard },
		dryRunCounts: func() *web.DryRunCounts { return nil },
		transitions:  transitionLog{log: log},
	}
	return p.begin()
}

// cycle is the report of a cycle at a second.
func cycle(second int64) watchdog.Report {
	return watchdog.Report{Snapshot: watchdog.Snapshot{Wall: time.Unix(second, 0), Management: control.Reachable}}
}

func TestStatusBeforeAndAfterTheFirstCycle(t *testing.T) {
	guard := guardState{}
	p := fakePublisher(t, slog.New(slog.DiscardHandler), &guard)
	if st := p.status(); st.Guard != "none yet: it starts with the first cycle" || st.Version != "1.2.3" || st.Ping != "unprivileged" || !st.At.IsZero() {
		t.Errorf("before: %+v", st)
	}
	select {
	case <-p.first:
		t.Error("a first cycle is told of")
	default:
	}
	guard = guardState{77, errors.New("no cgroup of its own")}
	p.publish(cycle(5))
	<-p.first
	st := p.status()
	if st.GuardPID != 77 || st.Guard != "pid 77 (less safe than it should be: no cgroup of its own)" || st.At.Unix() != 5 || st.Management != "reachable" {
		t.Errorf("after: %+v", st)
	}
	guard.degraded = nil
	p.publish(cycle(6))
	if st := p.status(); st.Guard != "pid 77" || st.At.Unix() != 6 {
		t.Errorf("later: %+v", st)
	}
	if got := guardText(true, guardState{}); got != "not needed in a dry run" {
		t.Errorf("dry run: %q", got)
	}
}

// The log has what changed, and nothing of a cycle in which nothing did.
func TestTransitionsAreLogged(t *testing.T) {
	var log bytes.Buffer
	p := fakePublisher(t, bareLog(&log), &guardState{})
	full := watchdog.Condition{Name: watchdog.LinkSaturated, Subject: watchdog.DirectionSubject("eth0", watchdog.Rx), Severity: watchdog.Warning, Evidence: "12 ms"}
	busy := func(phase control.Phase, changes ...watchdog.Change) watchdog.Report {
		r := cycle(5)
		r.Decision.Links = []watchdog.LinkState{{Link: 2, Name: "eth0", Direction: watchdog.Rx, Phase: phase, Transfers: 3, Why: "because"}}
		r.Decision.Changes = changes
		return r
	}
	small := busy(control.Engaged)
	small.Outcome.SmallBursts = true
	milder := full
	milder.Severity = watchdog.Info
	for _, r := range []watchdog.Report{
		busy(control.Engaged, watchdog.Change{Condition: full, Raised: true}), busy(control.Engaged), small, small,
		busy(control.Free, watchdog.Change{Condition: milder, Raised: true, Was: watchdog.Warning}, watchdog.Change{Condition: milder}),
	} {
		p.publish(r)
	}
	want := `level=WARN msg="condition raised" condition=LinkSaturated subject="eth0 rx" severity=warning evidence="12 ms"
level=INFO msg=control link=eth0 direction=rx phase=engaged transfers=3 limited=0 paused=0 capacity=unknown why=because
level=INFO msg="bursts of TCP" small=true setting=net.ipv4.tcp_tso_rtt_log
level=INFO msg="condition changed" condition=LinkSaturated subject="eth0 rx" severity=info evidence="12 ms"
level=INFO msg="condition cleared" condition=LinkSaturated subject="eth0 rx" severity=info evidence="12 ms"
level=INFO msg=control link=eth0 direction=rx phase=free transfers=3 limited=0 paused=0 capacity=unknown why=because
level=INFO msg="bursts of TCP" small=false setting=net.ipv4.tcp_tso_rtt_log
`
	if d := cmp.Diff(want, log.String()); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

// Capacities go to the facts now and then, and nothing does while none is learnt.
func TestCapacitiesAreSaved(t *testing.T) {
	p := fakePublisher(t, slog.New(slog.DiscardHandler), &guardState{})
	var saved map[string]float64
	p.remember = func(name string, v any) error {
		if name != capacitiesFact {
			t.Errorf("saved as %q", name)
		}
		saved = v.(map[string]float64)
		return nil
	}
	key := watchdog.LearntKey{Link: "eth0", Direction: watchdog.Tx}
	for _, c := range []struct {
		at           int64
		learnt, want float64
	}{{100, 0, 0}, {101, 5, 5}, {131, 6, 5}, {132, 7, 7}} {
		r := cycle(c.at)
		if c.learnt > 0 {
			r.Learnt = map[watchdog.LearntKey]float64{key: c.learnt}
		}
		p.publish(r)
		if saved["eth0 tx"] != c.want {
			t.Errorf("at %d: %v, want %v", c.at, saved, c.want)
		}
	}
}

// A request for a rate is answered by the cycle that acts on it, or in time that it
// was not.
func TestPinIsAnswered(t *testing.T) {
	store, err := facts.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		p := &publisher{facts: store, log: slog.New(slog.DiscardHandler), guard: func() guardState { return guardState{} },
			dryRunCounts: func() *web.DryRunCounts { return nil }, transitions: transitionLog{log: slog.New(slog.DiscardHandler)}}
		p.begin()
		requests, wake := make(chan engine.PinRequest, 1), make(chan struct{}, 1)
		pin := p.pinner(requests, wake)
		r := cycle(5)
		r.Snapshot.Transfers = []watchdog.Transfer{{ID: "t1", Control: watchdog.ControlFull}}
		p.publish(r)

		if _, err := pin("t2", control.Pin{Pause: true}); !errors.Is(err, web.ErrNoTransfer) {
			t.Errorf("of an unknown transfer: %v", err)
		}
		if _, err := pin("t1", control.Pin{Pause: true}); err != nil || (<-requests).ID != "t1" {
			t.Errorf("a pause: %v", err)
		}
		<-wake
		go func() {
			<-requests
			p.publish(r) // a cycle that had begun before
			r.Decision.RateRequests = map[watchdog.TransferID]watchdog.RateRequest{"t1": {Rate: 1e6}}
			r.Outcome.Limits = map[watchdog.TransferID]watchdog.Limit{"t1": {Rate: 1e6}}
			p.publish(r)
		}()
		if x, err := pin("t1", control.Pin{Rate: 1e6}); err != nil || x.InForce.Rate != 1e6 {
			t.Errorf("a rate: %+v, %v", x, err)
		}
		begin := time.Now()
		if _, err := pin("t1", control.Pin{Rate: 2e6}); err == nil || time.Since(begin) != grantTime {
			t.Errorf("a rate that no cycle acts on: %v after %s", err, time.Since(begin))
		}
		if _, err := pin("t1", control.Pin{Pause: true}); err == nil { // the request before is not taken yet
			t.Error("a loop that takes nothing is not told of")
		}
	})
}

func TestPinnable(t *testing.T) {
	pause, rate := control.Pin{Pause: true}, control.Pin{Rate: 1}
	for _, c := range []struct {
		control     watchdog.Controllable
		pause, rate string // the beginning of what is refused
	}{
		{watchdog.ControlFull, "", ""}, {watchdog.ControlLimitOnly, "it is never paused: why", ""},
		{watchdog.ControlPauseOnly, "", "it is never limited: why"}, {watchdog.ControlNone, "it is never paused: why", "it is never limited: why"},
	} {
		ts := []watchdog.Transfer{{ID: "t1", Control: c.control, Why: "why"}}
		for pin, want := range map[control.Pin]string{pause: c.pause, rate: c.rate, {}: ""} {
			got := ""
			if err := pinnable(ts, "t1", pin); err != nil {
				got = err.Error()
			}
			if got != want {
				t.Errorf("%v, %+v: %q, want %q", c.control, pin, got, want)
			}
		}
	}
}

// Nobody is greeted by a daemon that ends before its first cycle.
func TestGreeting(t *testing.T) {
	p := fakePublisher(t, slog.New(slog.DiscardHandler), &guardState{pid: 7})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out bytes.Buffer
	if err := p.greet(ctx, &out); err != nil || out.Len() > 0 {
		t.Errorf("%v: %s", err, &out)
	}
}
