package rsync

import "time"

// meter measures a rate over about the last second from a counter.
type meter struct {
	samples [32]reading
	n, next int
}

// reading is a counter at a moment.
type reading struct {
	at    time.Duration
	bytes uint64
}

const (
	rateSpan  = time.Second
	rateEvery = 40 * time.Millisecond // so that the samples of rateSpan fit
)

// add takes a reading and gives bytes/s since the newest one that is at least
// rateSpan old, or since the first. A counter that went back starts anew.
func (m *meter) add(at time.Duration, bytes uint64) float64 {
	if last, ok := m.at(m.n - 1); ok && (bytes < last.bytes || at < last.at) {
		*m = meter{}
	}
	rate := m.since(reading{at, bytes})
	if last, ok := m.at(m.n - 1); !ok || at-last.at >= rateEvery {
		m.samples[m.next] = reading{at, bytes}
		m.next = (m.next + 1) % len(m.samples)
		m.n = min(m.n+1, len(m.samples))
	}
	return rate
}

// at gives the i-th reading, oldest first.
func (m *meter) at(i int) (reading, bool) {
	if i < 0 || i >= m.n {
		return reading{}, false
	}
	return m.samples[(m.next-m.n+i+len(m.samples))%len(m.samples)], true
}

func (m *meter) since(now reading) float64 {
	for i := m.n - 1; i >= 0; i-- {
		then, _ := m.at(i)
		span := now.at - then.at
		if span >= rateSpan || (i == 0 && span > 0) {
			return float64(now.bytes-then.bytes) / span.Seconds()
		}
	}
	return 0
}
