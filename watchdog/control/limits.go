package control

import "math"

const (
	// mostWindow is the largest window in bytes that TCP can announce (RFC 7323); from
	// there on a limit is none.
	mostWindow = 1 << 30
	// leastPacing is the lowest pacing rate in bytes/s. The kernel sends up to 64 KB
	// at once and then waits as long as that takes at the rate, which must be less
	// than a timeout of rsync.
	leastPacing = 8000
	// floorBelow is the share, of a transfer's floor, below which it is at its floor.
	floorBelow = 1.05
)

// window is the receive window of a transfer in bytes: its share over its own
// path's RTT and the queue that we tolerate. With a shaper that queue is in the
// shaper, and should its rate be wrong the windows still bound what can stand in
// the bottleneck.
func (m *model) window(f *flowEntry) int64 {
	w := f.share / wire * (pathRTT(f.flow, m.delay.base) + m.delay.external + m.target)
	return max(f.flow.Floor, int64(min(w, mostWindow)))
}

// pacing is the pacing rate of a transfer in bytes/s of TCP payload.
func pacing(share float64) float64 { return max(share/wire, leastPacing) }

// floorShare is the part of the budget that its smallest window or pacing rate
// is worth to a transfer, bytes/s.
func (m *model) floorShare(f *Flow) float64 {
	if m.sending() {
		return leastPacing * wire
	}
	return float64(f.Floor) * wire / (pathRTT(f, m.delay.base) + m.delay.external + m.target)
}

// floors is the budget at which every transfer is at its floor, bytes/s: less
// would change nothing and take time to come back from. A shaper has none.
func (m *model) floors(state mode, shaped bool) float64 {
	if shaped {
		return 0
	}
	sum := 0.0
	for i := range m.flows.entries {
		f := &m.flows.entries[i]
		if f.flow.Limitable && f.runs() && !f.idles(state) {
			sum += m.floorShare(f.flow)
		}
	}
	return sum
}

// atFloor says that no transfer can be limited further.
func (m *model) atFloor(state mode, shaped bool) bool {
	if shaped || state == idle || state == openLoop {
		return false
	}
	n := 0
	for i := range m.flows.entries {
		f := &m.flows.entries[i]
		if !f.flow.Limitable || !f.runs() || f.idles(state) {
			continue
		}
		if f.share > floorBelow*m.floorShare(f.flow) {
			return false
		}
		n++
	}
	return n > 0
}

// longestOwnQueue is the longest queue in seconds that our windows can make at the
// present rate of the link; infinite where some transfer has none.
func (m *model) longestOwnQueue(e evidence, state mode) float64 {
	if m.sending() || !e.rateKnown || e.rate <= 0 {
		return math.Inf(1)
	}
	sum := 0.0
	for i := range m.flows.entries {
		f := &m.flows.entries[i]
		switch {
		case !f.runs(), f.idles(state):
		case !f.flow.Limitable:
			return math.Inf(1)
		default:
			sum += float64(m.window(f)) * wire
		}
	}
	return sum / e.rate
}
