package control

import (
	"math"
	"slices"
)

// leastPacing is the lowest pacing rate in bytes/s. The kernel sends up to 64 KB
// at once and then waits as long as that takes at the rate, which must be less
// than a timeout of rsync.
const leastPacing = 8000

// leastJudged is the share in bytes/s below which a second says nothing of what a
// sender could use: two of the bursts of 64 KB that the kernel sends at once.
const leastJudged = 2 * 64 << 10

// divide shares the budget among the transfers that it reaches.
func (c *Controller) divide(s *signal) {
	left, weights := c.budget.rate, 0.0
	ref := 0.0
	if c.set.Share == ShareSmallFirst {
		ref = c.medianRemaining()
	}
	for i := range c.members {
		m := &c.members[i]
		m.share = -1
		switch {
		case !m.flow.Limitable || !runs(m):
			m.share = 0
		case m.flow.Pinned.Rate > 0:
			m.share = m.flow.Pinned.Rate
			left -= min(m.share, max(m.flow.Rate*1.2, m.share/8))
		case c.sleeps(m):
			m.share = c.floorShare(m.flow)
		default:
			c.follow(s, m)
			weights += weight(m.flow, ref)
		}
	}
	left = max(left, 0)
	for range 6 {
		if !c.lift(&left, &weights, ref) {
			break
		}
	}
	for range 6 {
		if !c.fill(&left, &weights, ref) {
			break
		}
	}
	spare := c.spare(left)
	for i := range c.members {
		m := &c.members[i]
		if m.share < 0 {
			m.share = left * weight(m.flow, ref) / weights
		} else if m.state.demand > 0 && m.share == m.state.demand {
			m.share += spare
		}
		c.record(s, m)
	}
}

// sleeps says that a transfer moves nothing, and not because of us: it gets what it can
// begin with, of which nothing is taken off the others, however many there are.
func (c *Controller) sleeps(m *member) bool {
	return m.flow.Idle && !m.flow.Stopped && c.mode != draining && c.mode != supposing
}

// spare is what each of the transfers that seem to want little gets on top, in
// bytes/s, where nobody else is there to take what they leave: what a transfer that
// is paced uses may be what its bursts let it use. Windows know no bursts.
func (c *Controller) spare(left float64) float64 {
	if c.set.Direction != Tx {
		return 0
	}
	modest := 0
	for i := range c.members {
		switch m := &c.members[i]; {
		case m.share < 0:
			return 0
		case m.state.demand > 0 && m.share == m.state.demand:
			modest++
		}
	}
	return left / float64(max(modest, 1))
}

// lift gives those their floor whose share would be less: they take that much
// anyway, and the others have to do with the rest.
func (c *Controller) lift(left, weights *float64, ref float64) bool {
	if c.shaper.stands {
		return false
	}
	found := false
	per := *left / max(*weights, 1e-9)
	for i := range c.members {
		m := &c.members[i]
		if m.share >= 0 {
			continue
		}
		w := weight(m.flow, ref)
		if floor := c.floorShare(m.flow); floor > per*w {
			m.share = floor
			*left -= floor
			*weights -= w
			found = true
		}
	}
	*left, *weights = max(*left, 0), max(*weights, 1e-9)
	return found
}

// fill gives those their demand that want less than their share, and says
// whether there were any.
func (c *Controller) fill(left, weights *float64, ref float64) bool {
	found := false
	per := *left / max(*weights, 1e-9)
	for i := range c.members {
		m := &c.members[i]
		w := weight(m.flow, ref)
		if m.share < 0 && m.state.demand > 0 && m.state.demand < per*w {
			m.share = m.state.demand
			*left -= m.share
			*weights -= w
			found = true
		}
	}
	*left, *weights = max(*left, 0), max(*weights, 1e-9)
	return found
}

// follow learns what a transfer uses of its share. Its rate is a mean over a
// second, so only a share that has stood for longer can be compared.
func (c *Controller) follow(s *signal, m *member) {
	st := m.state
	rate := m.flow.Rate * wire
	switch {
	case c.mode == draining, c.mode == supposing: // says nothing
	case c.mode == unsighted: // what makes it slow may be a queue that nobody sees
		st.demand = 0
	case st.share == 0 || s.now-st.grown < 2:
		st.demand = 0
	case rate < 0.7*st.share:
		want := max(1.3*rate, 0.1*st.share)
		if c.windowed() {
			want = max(want, c.floorShare(m.flow))
		} else if c.set.Direction == Tx {
			want = max(want, leastJudged)
		}
		if st.demand == 0 {
			st.demand = st.share
		}
		st.demand += (want - st.demand) * blend(s.dt, 1)
	case rate > 0.9*st.share:
		st.demand = 0
	}
}

// record remembers the share and when it changed much.
func (c *Controller) record(s *signal, m *member) {
	st := m.state
	if m.share > 1.3*st.share || st.paused {
		st.grown = s.now
	}
	st.share = m.share
}

// weight is a transfer's part in sharing, between 1/4 and 4: with small-first,
// the square root of how much less than the median is left, so that small ones
// end soon and large ones never starve.
func weight(f *Flow, ref float64) float64 {
	if ref <= 0 || f.Remaining < 0 {
		return 1
	}
	return clamp(math.Sqrt(ref/max(float64(f.Remaining), 1)), 0.25, 4)
}

// medianRemaining is the median of what is known to be left, 0 when nothing is.
func (c *Controller) medianRemaining() float64 {
	c.left = c.left[:0]
	for i := range c.members {
		if r := c.members[i].flow.Remaining; r > 0 {
			c.left = append(c.left, r)
		}
	}
	if len(c.left) == 0 {
		return 0
	}
	slices.Sort(c.left)
	return float64(c.left[len(c.left)/2])
}
