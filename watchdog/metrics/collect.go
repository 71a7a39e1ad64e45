package metrics

import (
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

// Collect makes the metrics of the latest turn and of all turns so far
// (prometheus.Collector).
func (m *Metrics) Collect(ch chan<- prometheus.Metric) {
	m.mu.Lock()
	t := m.totals.clone()
	m.mu.Unlock()
	s := scrape{out: ch, totals: t}
	s.put(buildInfo, 1, m.options.Version, m.goes)
	s.put(dryRun, bit(m.options.DryRun))
	for _, c := range m.options.Capabilities() {
		s.put(capability, bit(c.Available), c.Name)
	}
	s.sums()
	if turn := m.latest.Load(); turn != nil {
		s.turn = *turn
		s.put(turnAt, seconds(turn.Snapshot.Wall))
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

// scrape makes metrics of one turn and of copies of the totals.
type scrape struct {
	out    chan<- prometheus.Metric
	turn   Turn
	totals totals
}

// put sends one value. The labels are in the order of the family's.
func (s scrape) put(f family, v float64, labels ...string) {
	kind := prometheus.GaugeValue
	if f.kind == counter {
		kind = prometheus.CounterValue
	}
	s.out <- prometheus.MustNewConstMetric(f.desc, kind, v, labels...)
}

// putHistogram sends one histogram.
func (s scrape) putHistogram(f family, h histogram, labels ...string) {
	all, by := h.cumulative()
	s.out <- prometheus.MustNewConstHistogram(f.desc, all, h.sum, by, labels...)
}

// sums are the totals that need no turn to be told.
func (s scrape) sums() {
	t := s.totals
	s.putHistogram(turnTime, t.turns)
	for _, d := range directions {
		s.putHistogram(timeToLimit, t.timeToLimit[d], d.String())
		s.putHistogram(timeToProtect, t.timeToProtect[d], d.String())
		for _, m := range mechanisms {
			n := float64(t.imposed[limitKey{d, m}])
			if m == mechPause {
				s.put(pausesTotal, n, d.String())
			} else {
				s.put(limitsTotal, n, d.String(), m)
			}
		}
	}
	for _, c := range watchdog.ConditionNames() {
		s.put(transitions, float64(t.transitions[transitionKey{c, true}]), string(c), "raised")
		s.put(transitions, float64(t.transitions[transitionKey{c, false}]), string(c), "cleared")
	}
	for probe, n := range t.probeErrors {
		s.put(probeErrors, float64(n), probe)
	}
	for remedy, n := range t.failures {
		s.put(failures, float64(n), remedy)
	}
}

// host tells of management and of the next reboot.
func (s scrape) host() {
	for _, r := range []control.Reach{control.ReachUnknown, control.Reachable, control.Unreachable} {
		s.put(management, bit(s.turn.Snapshot.Management == r), r.String())
	}
	reboot := s.turn.Snapshot.Reboot
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
	pid := s.turn.GuardPID
	s.put(guardUp, bit(pid != 0))
	if pid == 0 {
		return
	}
	u, err := m.options.Usage(pid)
	if err != nil {
		return // it ended since that turn: the next one tells
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
