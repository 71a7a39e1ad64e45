package control

import "time"

// Controller steers one direction of one link. It keeps what it learnt between
// steps. It is not safe for concurrent use.
type Controller struct {
	clock        clock
	model        model       // estimates of the link and the path
	saturation   saturation  // whether the link is full
	attribution  attribution // whose queue it is
	law          law         // the budget
	escalation   escalation  // when limits are not enough
	scheduler    scheduler   // who runs
	contradicted bool        // the target's claim was contradicted in this step
}

// New makes a controller. Settings that are zero get their defaults.
func New(set Settings) *Controller {
	return &Controller{
		model: model{
			params: newParams(set),
			flows:  flowTable{records: map[string]*flowRecord{}, newest: -graceEvery, grace: -graceEvery},
		},
		escalation: escalation{allowed: everyone},
	}
}

// Step looks at one sample and decides: estimate, attribute, move the budget, escalate,
// schedule, share, output. Output.Flows is the caller's to keep.
func (c *Controller) Step(in Input) Output {
	m, l := &c.model, &c.law
	in = sanitize(in, m.flows.flows)
	m.flows.flows = in.Flows
	gap := c.clock.advance(&in)
	c.contradicted, l.drained = false, false

	s := m.estimate(in, &c.clock, l.actuation(m))
	e := m.queueing(&s)
	if gap {
		m.forgetRates()
	} else {
		e = c.decide(e)
		m.history.add(moment{at: s.now, bytes: m.rates.bytes, budget: l.rate, newest: e.newest})
	}
	c.share(e)
	return c.output(e)
}

// decide moves the budget and says who runs. It returns what is left of the evidence.
func (c *Controller) decide(e evidence) evidence {
	m := &c.model
	c.saturation.observe(e, m.capacity.best(), m.engage)
	if m.DryRun {
		c.simulate(e)
		return e
	}
	m.learnCapacity(e, c.law.actuation(m), c.attribution.response.carries(m, e))
	if m.Off || len(m.flows.entries) == 0 {
		c.rest(e)
		return e
	}
	if m.blind(e) {
		c.law.openLoop(m, e)
	} else {
		c.law.closeLoop(m, e)
		e = c.attribute(e)
		e = c.moveBudget(e)
	}
	c.escalate(e)
	c.schedule(e)
	return e
}

// moveBudget hands the budget to a shaper or takes it back, and moves it.
func (c *Controller) moveBudget(e evidence) evidence {
	m, l, response := &c.model, &c.law, &c.attribution.response
	l.handOver(m, e, c.saturation.engaged, c.unbacked(e))
	if !response.carries(m, e) {
		e = e.withQueue(0, 0)
	}
	return l.step(m, e, response.foreign)
}

// escalate lets fewer run where limits are not enough.
func (c *Controller) escalate(e evidence) { c.escalation.observe(&c.model, e, c.stuck(e)) }

// schedule says who runs.
func (c *Controller) schedule(e evidence) {
	limit := c.escalation.mostRunning(&c.model.params)
	c.scheduler.schedule(&c.model.flows, c.law.mode, e.now, limit, limit == everyone && c.escalation.untouched())
}

// share divides the budget among those who run.
func (c *Controller) share(e evidence) {
	c.saturation.engage(c.law.mode, e.now, c.law.bound)
	if c.law.mode != idle {
		c.model.share(&c.law, e.now, e.dt)
	}
}

// unbacked says that the delay may be a target's own.
func (c *Controller) unbacked(e evidence) bool {
	return c.attribution.check.unbacked(e.now, c.law.rate)
}

// rest forgets what only matters while there are transfers.
func (c *Controller) rest(e evidence) {
	m := &c.model
	c.law.rest()
	c.attribution.response.rest()
	c.attribution.check = crossCheck{}
	c.escalation = escalation{allowed: everyone}
	c.scheduler = scheduler{}
	m.flows.resumeAll()
	if e.known && len(m.flows.entries) == 0 { // jitter that is there without us is not ours
		m.delay.learnIdle(e.sample, m.engage)
	}
}

// clock is the time of the steps. One that goes back stands still.
type clock struct {
	last  time.Duration
	back  time.Duration // by how much it went back in all
	begun bool
	now   float64 // s
	dt    float64 // s since the last step
}

const (
	longestGap  = 30 * time.Second // between two steps: beyond, nothing in between is known
	longestStep = 1.0              // s that a step counts for
)

// advance moves the clock and says whether the time since the last step means nothing.
func (k *clock) advance(in *Input) (gap bool) {
	elapsed := in.Now - k.last
	gap = in.Gap || k.begun && (elapsed < 0 || elapsed > longestGap)
	k.dt = clamp(seconds(elapsed), 0, longestStep)
	if !k.begun || gap {
		k.dt = 0
	}
	if k.begun && elapsed < 0 {
		k.back += elapsed
	}
	k.last, k.begun = in.Now, true
	k.now = seconds(in.Now - k.back)
	return gap
}
