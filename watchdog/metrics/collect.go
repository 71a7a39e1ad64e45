package metrics

import (
	"maps"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"lifeline/watchdog"
	"lifeline/watchdog/control"
)

var directions = []watchdog.Direction{watchdog.Rx, watchdog.Tx}

// Describe lists every family (prometheus.Collector).
func (m *Metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, f := range families() {
		ch <- f.desc
	}
}

// Collect makes the metrics of the latest cycle and of all cycles so far
// (prometheus.Collector).
func (m *Metrics) Collect(ch chan<- prometheus.Metric) {
	s := scrape{out: ch}
	m.mu.Lock()
	s.known, s.rtts = maps.Clone(m.totals.links), maps.Clone(m.totals.rtts)
	m.mu.Unlock()
	s.put(buildInfo, 1, m.options.Version, m.goes)
	s.put(dryRun, bit(m.options.DryRun))
	for _, c := range m.options.Capabilities() {
		s.put(capability, bit(c.Available), c.Name)
	}
	for _, c := range m.totals.collectors() {
		for _, metric := range collected(c) {
			ch <- metric
		}
	}
	if cycle := m.latest.Load(); cycle != nil {
		s.cycle = *cycle
		s.put(cycleAt, seconds(cycle.Snapshot.Wall))
		s.links()
		s.transfers()
		s.conditions()
		s.host()
		m.guard(s)
	}
	if m.options.Alerts != nil {
		s.alerts(m.options.Alerts())
	}
}

// scrape makes metrics of one cycle.
type scrape struct {
	out   chan<- prometheus.Metric
	cycle Cycle
	known map[int]bool                 // links worth showing, by ifindex
	rtts  map[int]prometheus.Histogram // by ifindex
}

// put sends one value. The labels are in the order of the family's.
func (s scrape) put(f family, v float64, labels ...string) {
	kind := prometheus.GaugeValue
	if f.kind == counter {
		kind = prometheus.CounterValue
	}
	s.out <- prometheus.MustNewConstMetric(f.desc, kind, v, labels...)
}

// host tells of management and of the next reboot.
func (s scrape) host() {
	for _, r := range []control.Reach{control.ReachUnknown, control.Reachable, control.Unreachable} {
		s.put(management, bit(s.cycle.Snapshot.Management == r), r.String())
	}
	reboot := s.cycle.Snapshot.Reboot
	known := false
	for _, v := range []string{"safe", "unsafe"} {
		holds := reboot.Known && reboot.Verdict == v
		known = known || holds
		s.put(verdict, bit(holds), v)
	}
	s.put(verdict, bit(!known), "unknown")
	if reboot.Known {
		s.put(verdictAt, seconds(reboot.At))
	}
}

// guard tells of the guard process.
func (m *Metrics) guard(s scrape) {
	pid := s.cycle.GuardPID
	s.put(guardUp, bit(pid != 0))
	if pid == 0 {
		return
	}
	u, err := m.options.Usage(pid)
	if err != nil {
		return // it ended since that cycle: the next one tells
	}
	s.put(guardCPU, u.CPU.Seconds())
	s.put(guardMemory, float64(u.Resident))
}

func bit(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// seconds is a time since the epoch.
func seconds(t time.Time) float64 { return float64(t.UnixNano()) / 1e9 }
