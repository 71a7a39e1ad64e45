package control

// attribution says whose the queue is that the delay tells of. It has two tests: the
// queue of a target that no transfer meets is none (crossCheck), and a delay that stays
// when we give way is another's (responseTest).
type attribution struct {
	response responseTest
	check    crossCheck
}

// verdict is what attribution found in one step. The zero value is: nothing new.
type verdict struct {
	unmet        bool             // a claimed queue went, and no transfer had met it
	contradicted bool             // a target claims a queue that no transfer meets
	notOurs      bool             // the delay stayed when we gave way
	rate         float64          // bytes/s: with unmet and contradicted the budget before the claim, with notOurs our rate before we gave way
	capacity     capacityEstimate // what was known of the link then
	outside      externalDelay    // with notOurs: the delay that is another's
}

// attribute lets the two tests see the evidence, puts what they find into force, and
// returns what is left of it.
func (c *Controller) attribute(e evidence) evidence {
	m, l, a := &c.model, &c.law, &c.attribution
	switch v := a.check.observe(m, l, e, c.escalation.outage.roseWithin(e.now, roseBefore)); {
	case v.contradicted:
		e = c.distrust(e, v)
	case v.unmet:
		c.resumeFrom(e, v)
	}
	began := max(m.flows.newest, c.escalation.changed, l.start.begun)
	e, v := a.response.observe(m, l, e, began)
	if v.notOurs {
		m.delay.setAside(v.outside)
		m.capacity.capacityEstimate = v.capacity
		l.resume(resumePart * v.rate)
		c.escalation.reset()
	}
	return e
}

// distrust no longer believes a target that no transfer backs. What it told of the
// path is forgotten, and what was learnt of the link by that.
func (c *Controller) distrust(e evidence, v verdict) evidence {
	c.contradicted = true
	c.model.delay = delayEstimator{}
	c.model.capacity.prior.learnt = 0
	e.known = false
	e = e.withQueue(0, 0)
	c.resumeFrom(e, verdict{rate: v.rate})
	c.attribution = attribution{}
	c.escalation.reset()
	return e
}

// resumeFrom begins again at the rate from before a claim that no transfer backed.
func (c *Controller) resumeFrom(e evidence, v verdict) {
	c.model.capacity.capacityEstimate = v.capacity
	c.law.begin(&c.model, e)
	c.law.rate = max(c.law.rate, v.rate)
}
