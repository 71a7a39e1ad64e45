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
// schedule (all in decide), share, output. Output.Flows is the caller's to keep.
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
	c.saturation.engage(l.mode, s.now, l.bound)
	if l.mode != idle {
		m.share(l, s.now, s.dt)
	}
	return c.output(e)
}

// decide moves every part by one step.
func (c *Controller) decide(e evidence) evidence {
	m, l := &c.model, &c.law
	c.saturation.observe(e, m.capacity.best(), m.engage)
	if m.DryRun {
		c.simulate(e)
		return e
	}
	m.learnCapacity(e, l.actuation(m), c.attribution.response.carries(m, e))
	switch {
	case m.Off || len(m.flows.entries) == 0:
		c.rest(e)
		return e
	case m.blind(e):
		if l.mode == idle {
			l.begin(m, e)
		}
		l.shaper = shaper{}
		l.blind.step(m, l, e)
	default:
		e = c.control(e)
	}
	c.escalation.observe(m, e, c.stuck(e))
	c.schedule(e)
	return e
}

// control attributes the delay and moves the budget by what is left of it.
func (c *Controller) control(e evidence) evidence {
	m, l := &c.model, &c.law
	if l.mode == idle {
		l.begin(m, e)
	}
	if l.mode == openLoop {
		l.closeLoop(m, e)
	}
	e = c.attribute(e)
	l.handOver(m, e, c.saturation.engaged, c.unbacked(e))
	if !c.attribution.response.carries(m, e) {
		e = e.withQueue(0, 0)
	}
	return l.step(m, e, c.attribution.response.foreign)
}

// unbacked says that the delay may be a target's own.
func (c *Controller) unbacked(e evidence) bool {
	return c.attribution.check.unbacked(e.now, c.law.rate)
}

// schedule says who runs.
func (c *Controller) schedule(e evidence) {
	limit := c.escalation.mostRunning(&c.model.params)
	c.scheduler.schedule(&c.model.flows, c.law.mode, e.now, limit, limit == everyone && c.escalation.untouched())
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
