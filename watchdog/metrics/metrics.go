package metrics

import (
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"lifeline/watchdog"
	"lifeline/watchdog/alert"
)

// Options are what the metrics are made of beside the cycles. The functions are
// called by each scrape and wait for nothing.
type Options struct {
	Version      string
	DryRun       bool
	Engage       time.Duration // queueing delay at which limits set in
	Capabilities func() []watchdog.Capability
	Alerts       func() alert.Status          // nil when alerting is not at work
	Usage        func(pid int) (Usage, error) // of the guard
}

// Usage is what a process has used.
type Usage struct {
	CPU      time.Duration // user and system, since its start
	Resident int64         // bytes
}

// Cycle is one cycle of the loop.
type Cycle struct {
	watchdog.Report
	GuardPID int // 0 without a guard
}

// Metrics collects cycles. Its methods may be called from any goroutine.
type Metrics struct {
	options Options
	goes    string // version of Go
	latest  atomic.Pointer[Cycle]

	mu     sync.Mutex // held for as long as it takes to add or to copy some numbers
	totals *totals
}

// New makes metrics without a cycle.
func New(o Options) *Metrics {
	return &Metrics{options: o, goes: runtime.Version(), totals: newTotals(o.Engage, o.DryRun)}
}

// Record adds one cycle. The cycle's slices and maps are not to be changed after it.
func (m *Metrics) Record(t Cycle) {
	m.mu.Lock()
	m.totals.add(&t.Report)
	m.mu.Unlock()
	m.latest.Store(&t)
}

// Answered adds the round-trip time of one probe over a link, by ifindex.
func (m *Metrics) Answered(link int, rtt time.Duration) {
	m.mu.Lock()
	m.totals.answered(link, rtt)
	m.mu.Unlock()
}

const (
	mostScrapes = 4               // at once; more are told to come again
	scrapeTime  = 5 * time.Second // for one scrape
)

// Handler serves the metrics, with those of this process, from a registry of
// its own.
func (m *Metrics) Handler() http.Handler {
	r := prometheus.NewRegistry()
	r.MustRegister(m, collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{
		ErrorHandling:       promhttp.ContinueOnError,
		MaxRequestsInFlight: mostScrapes,
		Timeout:             scrapeTime,
		// Compressing costs more than the loopback or a LAN gains by it.
		DisableCompression: true,
	})
}
