// Package host looks at what is not a link but decides whether links can be
// served: the receive backlog of the CPUs.
package host

import (
	"fmt"
	"time"

	"github.com/prometheus/procfs"

	"lifeline/watchdog"
)

// softnetEvery bounds the cost on hosts with many CPUs; drops of the backlog
// are judged over seconds.
const softnetEvery = 2 * time.Second

// Softnet samples the receive backlog of all CPUs (/proc/net/softnet_stat).
type Softnet struct {
	proc procfs.FS
	at   time.Duration
	last map[uint32]procfs.SoftnetStat // by CPU; nil before the first sample
	rate watchdog.Softnet
}

// NewSoftnet reads below root, "/proc" on a live host.
func NewSoftnet(root string) (*Softnet, error) {
	proc, err := procfs.NewFS(root)
	if err != nil {
		return nil, fmt.Errorf("softnet: %w", err)
	}
	return &Softnet{proc: proc}, nil
}

// Sample gives the rates at now, which is monotonic time. They are renewed
// every two seconds, and not Known before the second look, after a counter fell
// and after an error.
func (s *Softnet) Sample(now time.Duration) (watchdog.Softnet, []watchdog.ProbeError) {
	if s.last != nil && now >= s.at && now-s.at < softnetEvery {
		return s.rate, nil
	}
	stats, err := s.proc.NetSoftnetStat()
	if err != nil {
		s.last, s.rate = nil, watchdog.Softnet{}
		return s.rate, []watchdog.ProbeError{{Probe: watchdog.ProbeSoftnet, Err: err.Error()}}
	}
	s.rate = softnetRates(s.last, stats, (now - s.at).Seconds())
	s.at, s.last = now, make(map[uint32]procfs.SoftnetStat, len(stats))
	for _, c := range stats {
		s.last[c.Index] = c
	}
	return s.rate, nil
}

// softnetRates sums what the CPUs present in both looks gained, per second.
func softnetRates(last map[uint32]procfs.SoftnetStat, stats []procfs.SoftnetStat, seconds float64) watchdog.Softnet {
	if last == nil || seconds <= 0 {
		return watchdog.Softnet{}
	}
	r := watchdog.Softnet{}
	for _, c := range stats {
		old, ok := last[c.Index]
		if !ok {
			continue // a CPU that has just come online
		}
		if c.Dropped < old.Dropped || c.TimeSqueezed < old.TimeSqueezed {
			return watchdog.Softnet{}
		}
		r.Known = true
		r.Dropped += float64(c.Dropped-old.Dropped) / seconds
		r.TimeSqueeze += float64(c.TimeSqueezed-old.TimeSqueezed) / seconds
	}
	return r
}
