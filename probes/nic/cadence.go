package nic

import "time"

const (
	burst     = 100 // packets at once, after stillness, that look like a driver's update
	quietTwo  = 2   // samples without a change that make stillness
	sureAfter = 3   // updates at the same distance, until it is one of the driver
)

// cadence finds out whether a driver renews its counters only from time to
// time, as some do once a second. Sampled more often, such a link would seem
// to stand still and then to move at ten times its rate.
type cadence struct {
	changed time.Duration // when the counters last moved
	quiet   int           // samples since then
	gap     time.Duration // between the last two bursts
	bursts  int           // that came at about this distance
	period  time.Duration // of the driver; 0 when it counts at once
}

// still notes a sample without a change and tells whether the last rates hold
// on, because the driver has not looked yet.
func (c *cadence) still(now time.Duration) bool {
	c.quiet++
	return c.period > 0 && now-c.changed < 2*c.period
}

// moved notes a change by some packets, dt after the sample before, and gives
// the time in which they came. It is not known while updates and bursts of
// traffic cannot be told apart.
func (c *cadence) moved(now, dt time.Duration, packets uint64) (over time.Duration, known bool) {
	gap := now - c.changed
	isBurst := c.quiet >= quietTwo && packets >= burst
	switch {
	case isBurst && c.bursts > 0 && near(gap, c.gap):
		c.bursts++
	case isBurst:
		c.bursts = 1
	case c.period == 0 || gap < c.period/2:
		c.bursts, c.period = 0, 0
	}
	if isBurst {
		c.gap = gap
	}
	if c.bursts >= sureAfter {
		c.period = c.gap
	}
	c.changed, c.quiet = now, 0
	if c.period > 0 {
		return gap, true
	}
	return dt, c.bursts < 2
}

// near tells whether two distances differ by a third at most.
func near(a, b time.Duration) bool { return 3*max(a, b) <= 4*min(a, b) }
