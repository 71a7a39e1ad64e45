package metrics

import (
	"flag"
	"fmt"
	"math"
	"net/http/httptest"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"lifeline/watchdog"
	"lifeline/watchdog/alert"
	"lifeline/watchdog/alert/notify"
	"lifeline/watchdog/alert/spool"
	"lifeline/watchdog/control"
)

var update = flag.Bool("update", false, "rewrite the golden files")

const ms = time.Millisecond

// fake is metrics of a host with something of everything.
func fake() *Metrics {
	m := New(Options{
		Version: "1.2.3", Engage: 10 * ms,
		Capabilities: func() []watchdog.Capability {
			return []watchdog.Capability{{Name: "window", Available: true}, {Name: "shaper-ingress", Why: "no ifb"}}
		},
		Alerts: func() alert.Status {
			return alert.Status{Open: 1, Silences: 2, Spool: spool.Status{Bytes: 4096, Max: 1e8, Unwrit: 3},
				Receivers: []notify.ReceiverStatus{{Name: "ops", Type: "json", Target: "https://ops.example", Pending: 5, Dead: 1, Dropped: 2,
					Sent: 7, Failed: 9, Oldest: time.Unix(900, 0), LastErr: "secret?"}, {Name: "calm"}}}
		},
		Usage: func(pid int) (Usage, error) {
			if pid != 77 {
				return Usage{}, fmt.Errorf("no process %d", pid)
			}
			return Usage{CPU: 1500 * ms, Resident: 8 << 20}, nil
		},
	})
	m.goes = "go1.x"
	return m
}

// report is a cycle in which much is going on. The zeroth cycle has no transfer.
func report(n int) watchdog.Report {
	r := watchdog.Report{
		Took: 2 * ms,
		Snapshot: watchdog.Snapshot{
			Mono: time.Duration(n) * 100 * ms, Wall: time.Unix(1000, 0).Add(time.Duration(n) * 100 * ms),
			Links: []watchdog.Link{
				{Index: 2, Name: "eth0", Kind: "device", Carrier: true, Speed: 125e6,
					Counters: [2]watchdog.Counters{{Bytes: 1000}, {Bytes: 2000}},
					Rates:    [2]watchdog.Rates{{Known: true, Bytes: 6.25e6}, {}},
					Delay:    [2]watchdog.LinkDelay{{Known: true, Queue: 3 * ms}, {}}},
				{Index: 3, Name: "veth9", Kind: "veth", Carrier: true},
			},
			Paths: []watchdog.Path{
				{Target: netip.MustParseAddr("192.0.2.7"), Link: 2, Loss: 0.5},
				{Target: netip.MustParseAddr("192.0.2.8"), Link: 2, Loss: 0.25},
				{Target: netip.MustParseAddr("192.0.2.9"), Link: 2, Loss: math.NaN()},
			},
			Management: control.Reachable,
		},
	}
	if n == 0 {
		return r
	}
	r.Snapshot.Reboot = watchdog.Reboot{Known: true, Verdict: "unsafe", Reason: "rule 7", At: time.Unix(990, 0)}
	r.Snapshot.Errors = []watchdog.ProbeError{{Probe: "rsync: sockets", Err: "x"}}
	r.Snapshot.Transfers = []watchdog.Transfer{
		{ID: "t1", Link: 2, Direction: watchdog.Rx, Age: 20 * ms},
		{ID: "t2", Link: 2, Direction: watchdog.Rx, Age: 20 * ms},
		{ID: "t3", Link: 2, Direction: watchdog.Tx, Age: 20 * ms},
		{ID: "t4", Link: 2, Direction: watchdog.Tx, Control: watchdog.ControlNone},
	}
	r.Decision = watchdog.Decision{
		Links: []watchdog.LinkState{{Link: 2, Name: "eth0", Direction: watchdog.Rx, Phase: control.Engaged, Capacity: 12.5e6,
			Delay: control.Delay{Known: true, Queue: 3 * ms}, Transfers: 2, Limited: 1, Paused: 1}},
		Conditions: []watchdog.Condition{
			{Name: watchdog.LinkSaturated, Subject: watchdog.DirectionSubject("eth0", watchdog.Rx), Severity: watchdog.Warning},
			{Name: watchdog.LinkDown, Subject: watchdog.LinkSubject("eth0"), Severity: watchdog.Critical},
			{Name: watchdog.ProbeBlind, Subject: watchdog.ProbeSubject("path"), Severity: watchdog.Warning},
			{Name: watchdog.ProbeBlind, Subject: watchdog.ProbeSubject("nic"), Severity: watchdog.Warning},
		},
	}
	r.Outcome = watchdog.Outcome{
		Limits:  map[watchdog.TransferID]watchdog.Limit{"t1": {Window: 4096, Shape: true}, "t2": {Window: 4096, Pause: true}},
		Shapers: map[watchdog.ShaperKey]float64{{Link: 2, Direction: watchdog.Rx}: 12e6},
		Failed:  []watchdog.Failure{{Remedy: "pacing", Target: "t3", Err: "x"}},
	}
	if n == 1 {
		r.Decision.Changes = []watchdog.Change{{Condition: r.Decision.Conditions[0], Raised: true}}
	}
	return r
}

func registry(t *testing.T, m *Metrics) *prometheus.Registry {
	t.Helper()
	r := prometheus.NewPedanticRegistry()
	if err := r.Register(m); err != nil {
		t.Fatal(err)
	}
	return r
}

func exposition(t *testing.T, m *Metrics) string {
	t.Helper()
	rec := httptest.NewRecorder()
	m.Handler().ServeHTTP(rec, httptest.NewRequest("GET", "/metrics", nil))
	var b strings.Builder
	for line := range strings.Lines(rec.Body.String()) {
		if !strings.Contains(line, "process_") { // these are this test's own
			b.WriteString(line)
		}
	}
	if rec.Code != 200 {
		t.Fatalf("status %d: %s", rec.Code, rec.Body)
	}
	return b.String()
}

func TestExposition(t *testing.T) {
	m := fake()
	for n := range 3 {
		m.Record(Cycle{report(n), 77})
		m.Answered(2, 700*time.Microsecond)
	}
	got := exposition(t, m)
	const golden = "testdata/exposition.txt"
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
	for _, secret := range []string{"192.0.2", "ops.example", "secret", "t1", "rule 7"} {
		if strings.Contains(got, secret) {
			t.Errorf("%q is told", secret)
		}
	}
}

// Names, units and help texts are as Prometheus wants them, before the first
// cycle and after it.
func TestLint(t *testing.T) {
	m := fake()
	for range 2 {
		problems, err := testutil.GatherAndLint(registry(t, m))
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range problems {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
		m.Record(Cycle{report(1), 77})
	}
	if l, err := promlint.New(strings.NewReader(exposition(t, m))).Lint(); err != nil || len(l) > 0 {
		t.Errorf("the exposition: %v, %v", l, err)
	}
}

// The series of what is gone are gone.
func TestVanishedLinkIsGone(t *testing.T) {
	m := fake()
	m.Record(Cycle{report(1), 77})
	m.Answered(2, ms)
	if !strings.Contains(exposition(t, m), `"eth0"`) {
		t.Fatal("the link is not shown")
	}
	r := report(2)
	r.Snapshot.Links = r.Snapshot.Links[1:]
	r.Decision.Links = nil
	m.Record(Cycle{r, 0})
	if got := exposition(t, m); strings.Contains(got, "eth0") || strings.Contains(got, "lifeline_guard_cpu") {
		t.Errorf("still there:\n%s", got)
	}
	if len(m.totals.rtts) > 0 || len(m.totals.links) > 0 {
		t.Errorf("still remembered: %v, %v", m.totals.rtts, m.totals.links)
	}
}

func TestStrangeLinks(t *testing.T) {
	m := fake()
	r := report(0)
	r.Snapshot.Links[0].Name = "\xff\xfe"
	r.Snapshot.Links[1].Name, r.Snapshot.Links[1].Kind = "\xff\xfe", "device" // renamed between two looks
	for i := range 2 * mostLinks {
		r.Snapshot.Links = append(r.Snapshot.Links, watchdog.Link{Index: 10 + i, Name: fmt.Sprint("eth", i), Kind: "device"})
	}
	m.Record(Cycle{r, 77})
	if n := testutil.CollectAndCount(m, "lifeline_link_carrier"); n != mostLinks-1 {
		t.Errorf("%d links", n)
	}
	if !strings.Contains(exposition(t, m), fmt.Sprintf("lifeline_links_omitted %d", mostLinks+2)) {
		t.Error("what is omitted is not told")
	}
}

// A scrape that nobody reads does not hold up the loop, nor another scrape.
func TestScrapeHoldsNobodyUp(t *testing.T) {
	m := fake()
	m.Record(Cycle{report(0), 77})
	stuck := make(chan prometheus.Metric)
	done := make(chan struct{})
	go func() { defer close(done); m.Collect(stuck) }()
	<-stuck // it is in the midst of it
	m.Record(Cycle{report(1), 77})
	m.Answered(2, ms)
	if !strings.Contains(exposition(t, m), "lifeline_turn_duration_seconds_count 2") {
		t.Error("the second cycle is not shown")
	}
	for {
		select {
		case <-stuck:
			continue
		case <-done:
		}
		return
	}
}

// BenchmarkTake is what a cycle pays.
func BenchmarkTake(b *testing.B) {
	m := fake()
	r := busy()
	b.ReportAllocs()
	for range b.N {
		m.Record(Cycle{r, 77})
	}
}

// BenchmarkScrape is what a scrape costs, without the network.
func BenchmarkScrape(b *testing.B) {
	m := fake()
	m.Record(Cycle{busy(), 77})
	h := m.Handler()
	b.ReportAllocs()
	for range b.N {
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/metrics", nil))
	}
}

// busy is a cycle with 1,000 transfers on 10 links.
func busy() watchdog.Report {
	r := report(1)
	for i := range 9 {
		l := r.Snapshot.Links[0]
		l.Index, l.Name = 10+i, fmt.Sprint("eth", 10+i)
		r.Snapshot.Links = append(r.Snapshot.Links, l)
	}
	for i := range 1000 {
		id := watchdog.TransferID(fmt.Sprint("t", 100+i))
		r.Snapshot.Transfers = append(r.Snapshot.Transfers, watchdog.Transfer{ID: id, Link: 2})
		r.Outcome.Limits[id] = watchdog.Limit{Window: 4096}
	}
	return r
}
