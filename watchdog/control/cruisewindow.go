package control

import "math"

// cruiseWindow holds the queue between half the target and the target. Unlike
// a rate, a total window makes a queue in proportion, so that there is a point
// of rest and no sawtooth.
func (c *Controller) cruiseWindow(in *Input, s *signal) {
	b := &c.budget
	if b.shown > c.target && s.now >= b.settled && s.sees && !s.passive && s.queue < b.shown/2 {
		c.gone, b.shown = true, 0
	}
	if s.fresh > 0 || !s.busy || c.cap.full && b.rate > 0.9*(c.best(in)-s.others) {
		b.empty = s.now
	}
	switch {
	case s.now < b.settled:
	case s.sees && s.queue > c.target && c.atFloor(): // nothing left to cut
	case s.sees && s.queue > c.target:
		c.cutWindow(in, s)
	case s.sees && s.now-b.empty > max(1.5, 4*s.loop): // what ended the ramp was none
		c.mode, b.empty = ramping, s.now
	case s.busy && !c.deaf(s) && (!s.sees || s.fresh < 0.5*c.target):
		b.rate *= math.Exp(c.windowGain(in, s) * s.dt)
	}
}

// windowGain is the growth per second of the windows: fast where the link is
// known to bear more, else so slow that within one loop the queue grows by a
// quarter of the target.
func (c *Controller) windowGain(in *Input, s *signal) float64 {
	most := min(0.3, 0.1/max(s.rtt, 1e-3))
	if c.cap.full && c.budget.rate < 0.95*(c.best(in)-s.others) {
		return most
	}
	return min(most, 0.25*c.target/(s.loop*(s.rtt+c.target)))
}

// cutWindow shrinks the windows in proportion to the delay that they make.
// Offered windows are never withdrawn, so it waits until the old ones are used.
func (c *Controller) cutWindow(in *Input, s *signal) {
	b := &c.budget
	b.shown = max(b.shown, s.fresh)
	path := s.rtt + c.delay.foreign
	ratio := clamp((path+0.5*c.target)/(path+s.fresh), 0.5, 0.97)
	b.rate = max(b.rate*ratio, c.least(in))
	b.settled = s.now + max(0.2, s.loop+2*(s.fresh+s.rtt))
	b.top = b.rate
}

// floors is the budget at which every transfer is at its floor, bytes/s: less
// would change nothing and take time to come back from. A shaper has none.
func (c *Controller) floors() float64 {
	if c.shaper.stands {
		return 0
	}
	sum := 0.0
	for i := range c.members {
		m := &c.members[i]
		if m.flow.Limitable && runs(m) && !c.sleeps(m) {
			sum += c.floorShare(m.flow)
		}
	}
	return sum
}

// floorShare is the part of the budget that its smallest window or pacing rate
// is worth to a transfer, bytes/s.
func (c *Controller) floorShare(f *Flow) float64 {
	if c.set.Direction == Tx {
		return leastPacing * wire
	}
	return float64(f.Floor) * wire / (pathRTT(f, c.delay.base) + c.delay.foreign + c.target)
}

// atFloor says that no transfer can be limited further.
func (c *Controller) atFloor() bool {
	if c.shaper.stands || c.mode == idle || c.mode == unsighted {
		return false
	}
	n := 0
	for i := range c.members {
		m := &c.members[i]
		if !m.flow.Limitable || !runs(m) || c.sleeps(m) {
			continue
		}
		if m.share > 1.05*c.floorShare(m.flow) {
			return false
		}
		n++
	}
	return n > 0
}

// ownMost is the longest queue in seconds that our windows can make at the
// present rate of the link; infinite where some transfer has none.
func (c *Controller) ownMost(s *signal) float64 {
	if c.set.Direction != Rx || !s.rateKnown || s.rate <= 0 {
		return math.Inf(1)
	}
	sum := 0.0
	for i := range c.members {
		m := &c.members[i]
		switch {
		case !runs(m), c.sleeps(m):
		case !m.flow.Limitable:
			return math.Inf(1)
		default:
			sum += float64(c.window(m)) * wire
		}
	}
	return sum / s.rate
}

// mostWindow is the largest window that TCP can announce (RFC 7323); from
// there on a limit is none.
const mostWindow = 1 << 30

// window is the receive window of a transfer in bytes: its share over its own
// path's RTT and the queue that we tolerate. With a shaper that queue is in the
// shaper, and should its rate be wrong the windows still bound what can stand in
// the bottleneck.
func (c *Controller) window(m *member) int64 {
	w := m.share / wire * (pathRTT(m.flow, c.delay.base) + c.delay.foreign + c.target)
	return max(m.flow.Floor, int64(min(w, mostWindow)))
}
