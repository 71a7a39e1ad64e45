package control

import "math"

// unseen is the law where no delay can be measured and no capacity is known: no
// target answers, or the last one fell silent while limits hold. The rate at which
// the link stands is the evidence that is left. The budget grows while what passes
// follows it. Windows that make a queue of the target at the rate of the budget
// make a little more where the link is full, and then no more of them is used.
//
// What passes may stay behind because of somebody else's queue, where a window
// is worth less. So limits are let go step by step, and held again where a step let
// nothing more pass.
type unseen struct {
	budget float64 // bytes/s, at the last step that was taken
	passed float64 // bytes/s of ours then
	at     float64 // when
	until  float64 // s, no step before
	wait   float64 // s, length of the last such wait
}

const (
	letGo      = 0.05 // per second: how fast limits are let go that nothing asks for
	goneFor    = 40.0 // times what passes: beyond that no limit is left that counts
	stepLeast  = 2.0  // s that a step lasts at least
	stepBudget = 1.3  // what it adds to the budget
	stepPassed = 1.1  // and what has to pass more, for the next
	stepFirst  = 30.0 // s until it is tried again
	stepMost   = 600.0
)

// grope moves the budget by one step.
func (c *Controller) grope(in *Input, s *signal) {
	b, u := &c.budget, &c.unseen
	if c.mode != unsighted {
		c.mode = unsighted
		*u = unseen{budget: b.rate, passed: c.passing(s), at: s.now, until: s.now + deafFor}
	}
	switch passed := c.passing(s); {
	case in.Drops > dropsMany:
		c.holdUnseen(s, passed)
	case c.set.Direction == Tx && u.wait > 0 && s.now < u.until: // all that is paced passes
	case passed > 0.85*b.rate:
		b.rate *= math.Exp(c.gropeGain(s) * s.dt)
		*u = unseen{budget: b.rate, passed: passed, at: s.now, until: max(u.until, s.now+stepLeast), wait: u.wait}
	case passed < 0.5*u.passed: // by somebody else's doing: the steps begin anew
		u.budget, u.passed, u.at = b.rate, passed, s.now
	case s.now < u.until || passed == 0:
	case b.rate < stepBudget*u.budget || s.now-u.at < stepLeast:
		b.rate = max(b.rate, min(b.rate*math.Exp(letGo*s.dt), goneFor*s.peak))
	case passed > stepPassed*u.passed:
		u.budget, u.passed, u.at = b.rate, passed, s.now
	default:
		c.holdUnseen(s, passed)
	}
	if best := c.best(in); best > 0 { // by the NIC's speed
		b.rate = min(b.rate, c.tuning().head*best-s.others)
	}
	b.rate = max(b.rate, c.least(in), c.floors())
}

// holdUnseen goes back to where the last step began, or below what passed where
// a rate above it would fill the queue.
func (c *Controller) holdUnseen(s *signal, passed float64) {
	b, u := &c.budget, &c.unseen
	b.rate = min(b.rate, u.budget)
	if c.set.Direction == Tx {
		b.rate = min(b.rate, 0.9*passed)
	}
	u.wait = clamp(2*u.wait, stepFirst, stepMost)
	u.budget, u.passed, u.at, u.until = b.rate, passed, s.now, s.now+u.wait
}

// passing is what passes of ours in bytes/s: by the link where that is counted, else by
// the transfers themselves.
func (c *Controller) passing(s *signal) float64 {
	if !s.rateKnown {
		return s.paid
	}
	return s.ours
}

// gropeGain is the growth per second while all that is allowed passes. A rate fills
// a queue as its integral, so that it grows more carefully than windows.
func (c *Controller) gropeGain(s *signal) float64 {
	if c.windowed() {
		return min(0.7/s.loop, 3)
	}
	return 0.5
}

// sight goes on with the present budget, now that the delay can be measured. A
// queue that stands is drained first.
func (c *Controller) sight(in *Input, s *signal) {
	held := c.budget.rate
	c.begin(in, s)
	if !s.sees || s.fresh < c.ramped() {
		c.budget.rate = max(c.budget.rate, min(held, s.peak))
	}
}
