package control

import "time"

const (
	// steadyTick is the time between two steps when nothing moves fast, idleTick
	// without transfers.
	steadyTick = 100 * time.Millisecond
	idleTick   = time.Second
	// The least time between two steps in seconds while a ramp grows, and while a
	// queue drains: probes tell of its end no sooner.
	rampTick  = 0.03
	drainTick = 0.05
	// fastFor is for how many seconds a ramp is stepped fast.
	fastFor = 3.0
	// slowGrowth is how fast the rate may grow above the top, per second, while
	// probes are up to 0.3 s apart: at 1 % they miss 1 ms of queue.
	slowGrowth = 0.01
	// restJitter is the variability of the delay, as one part in so many of the target,
	// up to which a step may be left out.
	restJitter = 10
)

// output turns the state into limits.
func (c *Controller) output(e evidence) Output {
	m, l := &c.model, &c.law
	out := Output{
		Capacity:     m.capacity.remembered(),
		Saturated:    c.saturation.saturated,
		ShutOut:      c.escalation.all || c.escalation.shutOut,
		NotOurs:      c.attribution.response.foreign,
		Drained:      l.drained,
		Contradicted: c.contradicted,
		Phase:        c.phase(),
		Moving:       c.moves(e),
		Tick:         c.tick(e),
		Flows:        c.limits(),
	}
	out.Rest = l.mode == idle || !out.Moving && (out.Phase == Engaged || out.Phase == Probing) &&
		e.running >= len(m.flows.entries) && c.rests(e)
	if l.mode != idle && l.shaper.wanted {
		out.Shaper = max(l.rate, leastRate)
	}
	out.Why = c.why(&out, e)
	return out
}

// limits are those of each transfer.
func (c *Controller) limits() []FlowLimit {
	m, l := &c.model, &c.law
	if len(m.flows.entries) == 0 {
		return nil
	}
	limits := make([]FlowLimit, len(m.flows.entries))
	for i := range m.flows.entries {
		f := &m.flows.entries[i]
		to := &limits[i]
		to.ID = f.flow.ID
		if l.mode != idle && f.flow.Limitable {
			c.limit(f, to)
		}
		m.pin(f, to)
		if f.rec.paused && f.flow.Pausable && !m.Off {
			to.Pause = true
		}
	}
	return limits
}

// limit writes what the budget means for one transfer. A paused one keeps the
// smallest limits, so that it comes back quietly.
func (c *Controller) limit(f *flowEntry, to *FlowLimit) {
	m, l := &c.model, &c.law
	to.Shape = l.shaper.wanted
	carried := l.shaper.stands && f.flow.Shaped
	switch {
	case carried && m.ShaperOnly:
	case !m.sending():
		if w := m.window(f); w < mostWindow {
			to.Window = w
		}
	case !carried:
		to.Pacing = pacing(f.share)
	}
}

// pin writes an operator's own wish over ours.
func (m *model) pin(f *flowEntry, to *FlowLimit) {
	p := f.flow.Pinned
	if p.Pause && f.flow.Pausable {
		to.Pause = true
	}
	switch {
	case p.Rate == 0 || !f.flow.Limitable:
	case m.sending():
		to.Pacing = max(p.Rate, leastPacing)
	default:
		w := p.Rate * pathRTT(f.flow, m.delay.base)
		to.Window = max(f.flow.Floor, int64(min(w, mostWindow-1)))
	}
}

// phase names where we stand.
func (c *Controller) phase() Phase {
	switch l := &c.law; {
	case c.model.DryRun && (l.mode == simulating || c.escalation.all):
		return Watching
	case c.escalation.all:
		return PauseAll
	case l.mode == idle:
		return Free
	case c.attribution.response.foreign:
		return Backoff
	case l.mode == openLoop:
		return Blind
	case c.escalation.allowed < everyone:
		return Fewer
	case c.saturation.engaged:
		return Engaged
	}
	return Probing
}

// moves says that the limits are what holds the transfers, and that they are
// on their way to what the link bears.
func (c *Controller) moves(e evidence) bool {
	m, l := &c.model, &c.law
	switch l.mode {
	case ramping, openLoop:
		return e.binding
	case draining:
		return true
	case cruising:
		return l.shaper.wanted && !l.shaper.stands || (l.probesUp(m, e.in.Configured) || l.growth(m) > slowGrowth) && e.binding
	case idle, simulating:
	}
	return false
}

// rests says that the limits stand about where they belong and change slowly. Not
// so where the capacity is in doubt: what is seen is then the step's own effect.
func (c *Controller) rests(e evidence) bool {
	m, l := &c.model, &c.law
	return l.mode == cruising && l.growth(m) <= slowGrowth && !l.unmet(e.in.Configured) && !l.cruise.uncertain(m) &&
		m.delay.variability() < m.target/restJitter
}

// tick is how soon the next step is wanted: soon while the budget moves fast,
// but not for long, because each step costs.
func (c *Controller) tick(e evidence) time.Duration {
	m, l := &c.model, &c.law
	fast := func(least float64) time.Duration {
		return time.Duration(clamp(e.rtt/4, least, seconds(steadyTick)) * float64(time.Second))
	}
	switch {
	case l.mode == idle:
		return idleTick
	case l.probesUp(m, e.in.Configured) && e.binding && e.now-l.shaper.since < fastFor:
		return probeTick
	case l.mode == ramping && l.start.resumed == 0 && e.now-l.start.begun < fastFor:
		return fast(rampTick)
	case l.mode == draining && e.now-l.cut.at < fastFor/2:
		return fast(drainTick)
	}
	return steadyTick
}

// why is the clause for logs and status.
func (c *Controller) why(out *Output, e evidence) string {
	switch out.Phase {
	case PauseAll:
		return "management cannot be reached over a link that is busy with rsync"
	case Fewer:
		if e.known && e.queue > c.model.target {
			return "limits are at their floor and the delay still stands"
		}
		return "limits at their floor were not enough; more run when the delay has stayed short"
	case Backoff:
		return "the delay stayed when the transfers gave way"
	case Watching:
		return c.whyDryRun()
	case Blind:
		return "neither delay nor capacity is known: limits follow what passes"
	case Engaged:
		return c.whyEngaged()
	case Probing:
		return "limits grow until the link answers"
	case Free:
		if c.model.Off {
			return "switched off"
		}
		if out.Saturated {
			return "saturated, but not by rsync"
		}
	}
	return "no transfers"
}

// whyEngaged is that clause while limits hold the link.
func (c *Controller) whyEngaged() string {
	switch l := &c.law; {
	case l.mode == draining:
		return "draining the queue"
	case l.shaper.stands:
		return "the shaper holds the link"
	}
	return "limits hold the link"
}
