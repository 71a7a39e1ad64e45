package engine

import (
	"cmp"
	"time"

	"lifeline/watchdog"
	"lifeline/watchdog/control"
)

// linkControl is a group with its controller's answer.
type linkControl struct {
	group
	in  control.Input
	out control.Output
	cut *baseProbe // the link's, while it cuts the transfers; else nil

	baseDoubtful  bool          // a target answers, and the RTT of its empty path is in doubt
	delayPersists bool          // the delay stays too long
	held          int           // transfers on which limits stand
	dryRun        bool          // what is decided is not enforced
	needless      time.Duration // limits hold without a sign that the link needs them
}

// runController steps the controller of one group, and keeps what it learnt.
func (e *Engine) runController(in input, g *group) linkControl {
	c := linkControl{group: *g, dryRun: e.settings.DryRun}
	c.in = e.controlInput(in, g)
	c.out, c.needless = e.endNeedlessHold(g, c.in, e.controller(g).Step(c.in))
	e.learn(g, c.out)
	if len(g.transfers) == 0 && c.out.Phase == control.Free {
		delete(e.controllers, g.key)
		delete(e.limitHolds, g.key)
	}
	if p := e.baseProbes[g.key.Link]; p != nil && g.mode() != ModeOff {
		c.baseDoubtful = true
		if p.on {
			c.cut = p
		}
	}
	c.held = countLimited(g.transfers, in.stands)
	c.delayPersists = e.delayPersists(in, &c)
	return c
}

// controller is that of a group; a new one at first.
func (e *Engine) controller(g *group) *control.Controller {
	c := e.controllers[g.key]
	if c == nil {
		c = control.New(e.controlSettings(g))
		e.controllers[g.key] = c
	}
	return c
}

func (e *Engine) controlSettings(g *group) control.Settings {
	mode := g.mode()
	return control.Settings{
		Direction:  g.key.Direction,
		Off:        mode == ModeOff,
		NoShaper:   mode == ModeSocket,
		ShaperOnly: mode == ModeShaper,
		Target:     e.settings.Target,
		Engage:     e.settings.Engage,
		MaxRunning: e.settings.MaxRunning,
		Share:      e.settings.Share,
		Pause:      e.settings.Pause,
		DryRun:     e.settings.DryRun,
	}
}

// controlInput is what the controller of a group goes by.
func (e *Engine) controlInput(in input, g *group) control.Input {
	dir := g.key.Direction
	rates := g.link.Rates[dir]
	configured := g.settings.Capacity[dir]
	_, shaperOn := in.stands.Shapers[g.shapeOn]
	answers := e.answersOver(in, g)
	return control.Input{
		Now: in.Mono, Gap: in.Gap,
		Rate: rates.Bytes, RateKnown: rates.Known,
		Other:      g.link.Rates[1-dir].Bytes,
		Capacity:   cmp.Or(configured, g.link.Speed),
		Configured: configured > 0,
		Learnt:     e.learnt[g.learntKey()],
		Drops:      rates.Dropped + rates.Missed,
		Delay:      g.link.Delay[dir],
		Management: answers.management(), Alone: answers.onePeerOnly(), Passes: answers.pathClear,
		Shaper:   g.oneRoute && g.shaperOK,
		ShaperOn: shaperOn,
		Flows:    e.flowsOf(in, g),
	}
}

// learn keeps the capacity that a controller found, and forgets what rests on a
// target that was contradicted. A dry run cannot tell whose a queue is, and learns
// nothing.
func (e *Engine) learn(g *group, out control.Output) {
	if out.Contradicted {
		delete(e.learnt, g.learntKey())
	}
	if out.Capacity > 0 && g.link.Name != "" && !e.settings.DryRun {
		e.learnt[g.learntKey()] = out.Capacity
	}
}

// flowsOf are the transfers of a group as the controller sees them, until the
// next step.
func (e *Engine) flowsOf(in input, g *group) []control.Flow {
	first := len(e.flows)
	for _, t := range g.transfers {
		e.flows = append(e.flows, e.flow(in, t))
	}
	return e.flows[first:]
}

// flow is a transfer as the controller sees it.
func (e *Engine) flow(in input, t *watchdog.Transfer) control.Flow {
	remaining := int64(-1)
	if t.File.Size >= 0 && t.File.Pos >= 0 {
		remaining = max(0, t.File.Size-t.File.Pos)
	}
	limit := in.stands.Limits[t.ID]
	f := control.Flow{
		ID: string(t.ID), Rate: t.Rate, Bytes: t.Bytes, Remaining: remaining, Age: t.Age,
		Floor:      windowFloor(t.TCP),
		Limitable:  limitable(t),
		Pausable:   t.Control == watchdog.ControlFull || t.Control == watchdog.ControlPauseOnly,
		Shaped:     limit.Shape,
		Stopped:    in.stands.Stopped[t.ID],
		Unenforced: e.wanted[t.ID] != (watchdog.Limit{}) && limit == (watchdog.Limit{}),
		Stale:      t.Measured > 0 && t.Measured < in.Mono && !t.Idle,
		Idle:       t.Idle,
		Pinned:     e.pins[t.ID],
	}
	if t.TCP.Known {
		f.RTT, f.MinRTT = t.TCP.RTT, t.TCP.MinRTT
		if t.Direction == watchdog.Tx {
			f.Inflight = int64(t.TCP.Unacked) * int64(t.TCP.MSS)
		}
	}
	return f
}

// addTo adds what the controller wants to the desired state.
func (c *linkControl) addTo(d *watchdog.Desired) {
	for _, f := range c.out.Flows {
		l := watchdog.Limit{Window: f.Window, Pacing: f.Pacing, Shape: f.Shape, Pause: f.Pause}
		if l != (watchdog.Limit{}) {
			d.Limits[watchdog.TransferID(f.ID)] = l
		}
	}
	if c.cut != nil {
		c.cutToMinimum(d)
	}
	if c.out.Shaper > 0 {
		d.Shapers[c.shapeOn] = c.out.Shaper
	}
}

// state sums the decision up for status and logs.
func (c *linkControl) state() watchdog.LinkState {
	st := watchdog.LinkState{
		Link: c.key.Link, Name: c.link.Name, Direction: c.key.Direction,
		Phase: c.out.Phase, Rate: c.in.Rate, RateKnown: c.in.RateKnown,
		Capacity: cmp.Or(c.out.Capacity, c.in.Capacity, c.in.Learnt),
		Delay:    c.in.Delay, Moving: c.out.Moving, Shaper: c.out.Shaper, Drained: c.out.Drained, Contradicted: c.out.Contradicted,
		Transfers: len(c.transfers), Why: c.out.Why, Needless: c.needless,
	}
	if c.cut != nil {
		st.BaseProbe, st.PathEmpty = true, c.cut.pathEmpty
		st.Why = "cut for a moment: the RTT of the empty path has only been measured under load"
	}
	limited, paused := c.count()
	if c.dryRun {
		st.Shaper, st.WouldLimit, st.WouldPause, st.WouldShape = 0, limited, paused, c.out.Shaper
		return st
	}
	st.Limited, st.Paused = limited, paused
	return st
}

// count tells how many transfers the decision limits and pauses.
func (c *linkControl) count() (limited, paused int) {
	for i, f := range c.out.Flows {
		if f.Pause {
			paused++
		} else if f.Window > 0 || f.Pacing > 0 || f.Shape || c.cut != nil && limitable(c.transfers[i]) {
			limited++
		}
	}
	return limited, paused
}
