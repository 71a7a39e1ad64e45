package watchdog

import (
	"fmt"
	"time"

	"lifeline/watchdog/control"
)

// tenure is how long limits have held the transfers of one link and direction
// without a sign that it needs them. A limit has no longest hold as a pause has:
// what holds a full link and ends by the clock opens it again. So its hold is
// justified anew all the time, and one that no queue, no utilisation and no
// drops have justified for long, whatever made the controller keep it, ends.
type tenure struct {
	since time.Duration // monotonic
	runs  bool
}

// step takes one decision and gives the time without a sign.
func (t *tenure) step(now time.Duration, gap bool, out control.Output) time.Duration {
	if gap || now < t.since || out.Phase != control.Engaged || out.Saturated {
		*t = tenure{}
		return 0
	}
	if !t.runs {
		*t = tenure{now, true}
	}
	return now - t.since
}

// justify begins the controller of a link anew when its limits have outlived
// their reason: from its first, small budget it grows until the link answers.
func (e *Engine) justify(k ShaperKey, ls LinkSettings, in control.Input, out control.Output) (control.Output, time.Duration) {
	t := e.tenures[k]
	if t == nil {
		t = &tenure{}
		e.tenures[k] = t
	}
	held := t.step(in.Now, in.Gap, out)
	if e.settings.LimitHold <= 0 || held < e.settings.LimitHold {
		return out, held
	}
	*t = tenure{}
	c := control.New(e.controlSettings(ls, k.Direction))
	e.controllers[k] = c
	out = c.Step(in)
	out.Why = fmt.Sprintf("begun anew: limits held the transfers for %s without a sign that the link needs them", held.Round(time.Second))
	return out, 0
}
