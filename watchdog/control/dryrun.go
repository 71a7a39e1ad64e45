package control

import "fmt"

// simulate decides what would be done in a dry run. Nothing of it is in force, so
// that neither the link's answer nor its silence is one to our limits: there is no
// ramp, no drain, no verdict on whose the queue is, and no escalation, all of which
// rest on what limits did.
func (c *Controller) simulate(e evidence) {
	m, l := &c.model, &c.law
	m.gauge(e, c.attribution.response.carries(m, e))
	if m.Off || len(m.flows.entries) == 0 {
		c.rest(e)
		return
	}
	l.shaper = shaper{}
	l.mode = simulating
	l.rate = c.simulated(e)
	if m.blind(e) {
		l.mode = openLoop
	} else {
		l.shaper.wanted = c.saturation.saturated && l.shaper.suits(m, e, l.mode, c.unbacked(e))
	}
	c.escalation.simulate(m, e)
	c.schedule(e)
}

// gauge measures what an unlimited link bears while a queue stands: what arrives
// then. Whose the queue is cannot be told, so it is good for saying what would be
// done and for nothing that lasts.
func (m *model) gauge(e evidence, carries bool) {
	k := &m.capacity
	if !e.rateKnown || !e.known || e.queue < m.engage || !carries {
		k.stood = 0
		return
	}
	rate := e.rate
	if m.sending() { // the link's counter knows what went into the queue
		rate = e.flowRate + e.others
	}
	if k.stood += e.dt; k.stood < standingAfter || rate <= 0 {
		return
	}
	if !k.full {
		k.seen, k.full = rate, true
	}
	k.seen += (rate - k.seen) * blend(e.dt, observeTau)
}

// simulated is the budget that would be set, in bytes/s: near the capacity where
// that is known, else the first one, or what has flowed without harm.
func (c *Controller) simulated(e evidence) float64 {
	m, l := &c.model, &c.law
	least := m.capacity.least()
	if m.capacity.trusted() {
		return max(l.tuning(m).head*m.capacity.best()-e.others, least)
	}
	return max(firstRate(m, e), e.ours, least)
}

// simulate says whether everything would be paused: management is out of reach
// over a link that is busy with rsync. Whether that would help is not known, so it
// is neither taken back nor put off.
func (x *escalation) simulate(m *model, e evidence) {
	x.watchManagement(m, e)
	x.all, x.allowed = false, everyone
	if m.Pause && x.shutOut {
		x.all, x.allowed = true, 0
	}
}

// whyDryRun is the clause for logs and status of a dry run.
func (c *Controller) whyDryRun() string {
	switch rate := c.law.rate * 8 / 1e6; {
	case c.escalation.all:
		return "would pause all: management cannot be reached over a link that is busy with rsync"
	case !c.model.capacity.trusted():
		return "would limit the transfers, and let the limits grow until the link answers"
	case c.law.shaper.wanted:
		return fmt.Sprintf("would limit the transfers to %.1f Mbit/s together, by a shaper", rate)
	default:
		return fmt.Sprintf("would limit the transfers to %.1f Mbit/s together", rate)
	}
}
