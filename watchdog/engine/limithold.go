package engine

import (
	"fmt"
	"time"

	"lifeline/watchdog/control"
)

// limitHold is how long limits have held the transfers of one link and direction
// without a sign that it needs them. A limit has no longest hold as a pause has:
// what holds a full link and ends by the clock opens it again. So its hold is
// justified anew all the time, and one that nothing has justified for long,
// whatever made the controller keep it, ends.
type limitHold struct {
	since    time.Duration // monotonic; valid while needless
	needless bool
}

const (
	// neededQueue is the least queue that justifies limits, as a part of the target.
	// Whoever steers by the link's answer looks for its bound again and again,
	// and meets a queue there within a minute (TestHoldsShowTheirNeed in control).
	neededQueue = 0.2
	// neededUse is the utilisation that does, and neededDrops the packets/s.
	neededUse   = 0.9
	neededDrops = 10
)

// limitsNeeded tells whether a link shows that it needs limits, or whether that
// cannot be known. A capacity that was learnt is no evidence: what is learnt too low
// is always full.
func limitsNeeded(in control.Input, target time.Duration) bool {
	switch {
	case in.Gap || !in.Delay.Known || !in.RateKnown:
		return true
	case in.Drops > neededDrops, in.Management == control.Unreachable && !in.Passes:
		return true
	case in.Capacity > 0 && in.Rate >= neededUse*in.Capacity:
		return true
	}
	return float64(in.Delay.Queue) >= neededQueue*float64(target)
}

// step takes one decision and gives the time without a sign.
func (h *limitHold) step(in control.Input, phase control.Phase, target time.Duration) time.Duration {
	if phase != control.Engaged || in.Now < h.since || limitsNeeded(in, target) {
		*h = limitHold{}
		return 0
	}
	if !h.needless {
		*h = limitHold{since: in.Now, needless: true}
	}
	return in.Now - h.since
}

// endNeedlessHold begins the controller of a link anew when its limits have outlived
// their reason. What was learnt of the capacity is in doubt then and forgotten: from
// a small first budget it grows until the link answers. It gives the answer that
// counts, and for how long limits have been needless.
func (e *Engine) endNeedlessHold(g *group, in control.Input, out control.Output) (control.Output, time.Duration) {
	h := e.limitHolds[g.key]
	if h == nil {
		h = &limitHold{}
		e.limitHolds[g.key] = h
	}
	held := h.step(in, out.Phase, e.settings.Target)
	if e.settings.LimitHold <= 0 || held < e.settings.LimitHold {
		return out, held
	}
	*h = limitHold{}
	delete(e.learnt, g.learntKey())
	in.Learnt = 0
	c := control.New(e.controlSettings(g))
	e.controllers[g.key] = c
	out = c.Step(in)
	out.Why = fmt.Sprintf("begun anew: limits held the transfers for %s without a sign that the link needs them", held.Round(time.Second))
	return out, 0
}
