package engine

import (
	"fmt"
	"time"

	"lifeline/watchdog"
	"lifeline/watchdog/control"
)

// tenure is how long limits have held the transfers of one link and direction
// without a sign that it needs them. A limit has no longest hold as a pause has:
// what holds a full link and ends by the clock opens it again. So its hold is
// justified anew all the time, and one that nothing has justified for long,
// whatever made the controller keep it, ends.
type tenure struct {
	since time.Duration // monotonic
	runs  bool
}

const (
	// sign is the least queue that justifies limits, as a part of the target.
	// Whoever steers by the link's answer looks for its bound again and again,
	// and meets a queue there within a minute (TestHoldsShowTheirNeed in control).
	sign = 0.2
	// nearlyFull is the utilisation that does, and drops the packets/s.
	nearlyFull = 0.9
	manyDrops  = 10
)

// needed tells whether a link shows that it needs limits, or whether that cannot
// be known. A capacity that was learnt is no evidence: what is learnt too low is
// always full.
func needed(in control.Input, target time.Duration) bool {
	switch {
	case in.Gap || !in.Delay.Known || !in.RateKnown:
		return true
	case in.Drops > manyDrops, in.Management == control.Unreachable && !in.Passes:
		return true
	case in.Capacity > 0 && in.Rate >= nearlyFull*in.Capacity:
		return true
	}
	return float64(in.Delay.Queue) >= sign*float64(target)
}

// step takes one decision and gives the time without a sign.
func (t *tenure) step(in control.Input, phase control.Phase, target time.Duration) time.Duration {
	if phase != control.Engaged || in.Now < t.since || needed(in, target) {
		*t = tenure{}
		return 0
	}
	if !t.runs {
		*t = tenure{in.Now, true}
	}
	return in.Now - t.since
}

// justify begins the controller of a link anew when its limits have outlived
// their reason. What was learnt of the capacity is in doubt then and forgotten:
// from a small first budget it grows until the link answers.
func (e *Engine) justify(g *group, ls LinkSettings, in control.Input, out control.Output) (control.Output, time.Duration) {
	t := e.tenures[g.key]
	if t == nil {
		t = &tenure{}
		e.tenures[g.key] = t
	}
	held := t.step(in, out.Phase, e.settings.Target)
	if e.settings.LimitHold <= 0 || held < e.settings.LimitHold {
		return out, held
	}
	*t = tenure{}
	delete(e.learnt, watchdog.LearntKey{Link: g.link.Name, Direction: g.key.Direction})
	in.Learnt = 0
	c := control.New(e.controlSettings(ls, g.key.Direction))
	e.controllers[g.key] = c
	out = c.Step(in)
	out.Why = fmt.Sprintf("begun anew: limits held the transfers for %s without a sign that the link needs them", held.Round(time.Second))
	return out, 0
}
