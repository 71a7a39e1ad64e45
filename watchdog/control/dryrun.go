package control

import "fmt"

// suppose decides what would be done in a dry run. Nothing of it is in force, so
// that neither the link's answer nor its silence is one to our limits: there is no
// ramp, no drain, no verdict on whose the queue is, and no escalation, all of which
// rest on what limits did.
func (c *Controller) suppose(in *Input, s *signal) {
	c.gauge(in, s)
	if c.set.Off || len(c.members) == 0 {
		c.rest(s)
		return
	}
	c.shaper = shaper{}
	c.mode = supposing
	c.budget.rate = c.supposed(in, s)
	if c.blind(in, s) {
		c.mode = unsighted
	} else {
		c.shaper.wanted = c.load.saturated && c.suitsShaper(in, s)
	}
	c.supposeCrisis(in, s)
	c.roster.staff(c, in, s)
}

// gauge measures what an unlimited link bears while a queue stands: what arrives
// then. Whose the queue is cannot be told, so it is good for saying what would be
// done and for nothing that lasts.
func (c *Controller) gauge(in *Input, s *signal) {
	k := &c.cap
	if !s.rateKnown || !s.sees || s.queue < c.engage || !c.carries(in, s) {
		k.stood = 0
		return
	}
	rate := s.rate
	if c.set.Direction == Tx { // the link's counter knows what went into the queue
		rate = s.paid + s.others
	}
	if k.stood += s.dt; k.stood < standsAfter || rate <= 0 {
		return
	}
	if !k.full {
		k.seen, k.full = rate, true
	}
	k.seen += (rate - k.seen) * blend(s.dt, 2)
}

// supposed is the budget that would be set, in bytes/s: near the capacity where
// that is known, else the first one, or what has flowed without harm.
func (c *Controller) supposed(in *Input, s *signal) float64 {
	if c.trusted(in) {
		return max(c.tuning().head*c.best(in)-s.others, c.least(in))
	}
	return max(c.first(in, s), s.ours, c.least(in))
}

// supposeCrisis says whether everything would be paused: management is out of reach
// over a link that is busy with rsync. Whether that would help is not known, so it
// is neither taken back nor put off.
func (c *Controller) supposeCrisis(in *Input, s *signal) {
	k := &c.crisis
	k.look(c, in, s)
	k.all, k.allowed = false, everyone
	if c.set.Pause && k.shut {
		k.all, k.allowed = true, 0
	}
}

// wouldWhy is the clause for logs and status of a dry run.
func (c *Controller) wouldWhy(in *Input) string {
	switch {
	case c.crisis.all:
		return "would pause all: management cannot be reached over a link that is busy with rsync"
	case !c.trusted(in):
		return "would limit the transfers, and let the limits grow until the link answers"
	case c.shaper.wanted:
		return fmt.Sprintf("would limit the transfers to %.1f Mbit/s together, by a shaper", c.budget.rate*8/1e6)
	}
	return fmt.Sprintf("would limit the transfers to %.1f Mbit/s together", c.budget.rate*8/1e6)
}
