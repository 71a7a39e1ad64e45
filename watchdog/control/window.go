package control

import "math"

// cruiseWindow holds the queue between half the target and the target. Unlike
// a rate, a total window makes a queue in proportion, so that there is a point
// of rest and no sawtooth.
func (c *Controller) cruiseWindow(in *Input, s *signal) {
	b := &c.budget
	switch {
	case s.now < b.settled:
	case s.sees && s.queue > c.target:
		c.cutWindow(in, s)
	case s.busy && (!s.sees || s.fresh < 0.5*c.target):
		b.rate *= math.Exp(min(0.3, 0.1/max(s.rtt, 1e-3)) * s.dt)
	}
}

// cutWindow shrinks the windows in proportion to the delay that they make.
// Offered windows are never withdrawn, so it waits until the old ones are used.
func (c *Controller) cutWindow(in *Input, s *signal) {
	b := &c.budget
	path := s.rtt + c.delay.foreign
	ratio := clamp((path+0.5*c.target)/(path+s.fresh), 0.5, 0.97)
	b.rate = max(b.rate*ratio, c.least(in))
	b.settled = s.now + max(0.2, s.loop+2*(s.fresh+s.rtt))
	b.top = b.rate
}

// floors is the budget at which every window is at its floor, bytes/s: less
// would change nothing and take time to come back from.
func (c *Controller) floors() float64 {
	sum := 0.0
	for i := range c.members {
		m := &c.members[i]
		if m.flow.Limitable && runs(m) {
			sum += float64(m.flow.Floor) / (pathRTT(m.flow, c.delay.base) + c.target)
		}
	}
	return sum
}

// atFloor says that no transfer can be limited further.
func (c *Controller) atFloor() bool {
	if !c.windowed() || c.mode == idle || c.mode == lifted {
		return false
	}
	n := 0
	for i := range c.members {
		m := &c.members[i]
		if !m.flow.Limitable || !runs(m) {
			continue
		}
		if c.window(m) > m.flow.Floor {
			return false
		}
		n++
	}
	return n > 0
}

// mostWindow is the largest window that TCP can announce (RFC 7323); from
// there on a limit is none.
const mostWindow = 1 << 30

// shaperQueue is the delay in seconds that windows allow inside our own shaper.
const shaperQueue = 0.020

// window is the receive window of a transfer in bytes: its share over its own
// path's RTT and the queue that we tolerate. Behind a shaper the queue is in
// the shaper, so that there is room for more.
func (c *Controller) window(m *member) int64 {
	queue := c.target
	if c.shaper.stands {
		queue = shaperQueue
	}
	w := m.share * (pathRTT(m.flow, c.delay.base) + queue)
	return max(m.flow.Floor, int64(min(w, mostWindow)))
}
