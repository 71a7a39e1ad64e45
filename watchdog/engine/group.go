package engine

import (
	"cmp"
	"slices"
	"time"

	"lifeline/watchdog"
	"lifeline/watchdog/control"
)

// group is the transfers that share one direction of one physical link.
type group struct {
	key       watchdog.ShaperKey // the physical link
	link      *watchdog.Link     // zero when it is not known
	shapeOn   watchdog.ShaperKey // the link of the sockets' route
	shaperOK  bool               // a shaper can be had or stands there
	upper     string             // name of that link
	oneRoute  bool               // all of them leave by shapeOn
	transfers []*watchdog.Transfer
}

func newGroup(key, shapeOn watchdog.ShaperKey, links watchdog.LinkIndex) group {
	upper := links.At(shapeOn.Link)
	return group{
		key: key, link: links.At(key.Link), oneRoute: true,
		shapeOn: shapeOn, shaperOK: upper.ShaperOK[key.Direction], upper: upper.Name,
	}
}

// groups sorts the transfers that may be touched, or whose link is known at
// least, by physical link and direction, to be judged. A controller that has no
// transfers left is stepped too, so that it lets go.
func (e *Engine) groups(s *watchdog.Snapshot, links watchdog.LinkIndex) []judged {
	var out []judged
	of := func(k, shapeOn watchdog.ShaperKey) *judged {
		for i := range out {
			if out[i].key == k {
				return &out[i]
			}
		}
		out = append(out, judged{group: newGroup(k, shapeOn, links)})
		return &out[len(out)-1]
	}
	for i := range s.Transfers {
		t := &s.Transfers[i]
		if t.Foreign && !e.settings.ForeignNetns || t.Link == 0 && t.Control == watchdog.ControlNone {
			continue
		}
		g := of(watchdog.ShaperKey{Link: links.Physical(t.Link), Direction: t.Direction}, watchdog.ShaperKey{Link: t.Link, Direction: t.Direction})
		if g.transfers == nil {
			g.transfers = make([]*watchdog.Transfer, 0, len(s.Transfers))
		}
		g.oneRoute = g.oneRoute && t.Link == g.shapeOn.Link && !t.Foreign
		g.transfers = append(g.transfers, t)
	}
	for k := range e.controllers {
		of(k, k)
	}
	slices.SortFunc(out, func(a, b judged) int {
		return cmp.Or(cmp.Compare(a.key.Link, b.key.Link), cmp.Compare(a.key.Direction, b.key.Direction))
	})
	return out
}

// judged is a group with the controller's answer.
type judged struct {
	group
	in  control.Input
	out control.Output
	cut *sounding // nil unless the link is being sounded

	doubtful bool          // a target answers, and the RTT of its empty path is in doubt
	strained bool          // the delay stays too long
	held     int           // transfers on which limits stand
	dryRun   bool          // what is decided is not enforced
	needless time.Duration // limits hold without a sign that the link needs them
}

// judge steps the controller of one group.
func (e *Engine) judge(s *watchdog.Snapshot, j *judged, links watchdog.LinkIndex, stands watchdog.Outcome) {
	g := &j.group
	j.dryRun = e.settings.DryRun
	dir := g.key.Direction
	ls := e.settingsOf(g)
	c := e.controllers[g.key]
	if c == nil {
		c = control.New(e.controlSettings(ls, dir))
		e.controllers[g.key] = c
	}
	lk := watchdog.LearntKey{Link: g.link.Name, Direction: dir}
	_, shaperOn := stands.Shapers[g.shapeOn]
	heard := e.hear(s, g, links)
	j.in = control.Input{
		Now: s.Mono, Gap: s.Gap,
		Rate: g.link.Rates[dir].Bytes, RateKnown: g.link.Rates[dir].Known,
		Other:      g.link.Rates[1-dir].Bytes,
		Capacity:   cmp.Or(ls.Capacity[dir], g.link.Speed),
		Configured: ls.Capacity[dir] > 0,
		Learnt:     e.learnt[lk],
		Drops:      g.link.Rates[dir].Dropped + g.link.Rates[dir].Missed,
		Delay:      g.link.Delay[dir],
		Management: heard.management(), Alone: heard.alone(), Passes: heard.passes,
		Shaper:   g.oneRoute && g.shaperOK,
		ShaperOn: shaperOn,
		Flows:    e.flowsOf(g, s.Mono, stands),
	}
	j.out, j.needless = e.justify(g, ls, j.in, c.Step(j.in))
	if j.out.Contradicted {
		delete(e.learnt, lk) // by what it claimed, for all that is known
	}
	if j.out.Capacity > 0 && g.link.Name != "" && !j.dryRun { // it cannot tell whose a queue is
		e.learnt[lk] = j.out.Capacity
	}
	if len(g.transfers) == 0 && j.out.Phase == control.Free {
		delete(e.controllers, g.key)
		delete(e.tenures, g.key)
	}
	if c := e.soundings[g.key.Link]; c != nil && ls.Mode[dir] != ModeOff {
		j.doubtful = true
		if c.on {
			j.cut = c
		}
	}
}

// settingsOf are the operator's for the physical link, else for the one that is
// seen in routes.
func (e *Engine) settingsOf(g *group) LinkSettings { return e.settings.Link(g.link.Name, g.upper) }

func (e *Engine) controlSettings(ls LinkSettings, dir watchdog.Direction) control.Settings {
	return control.Settings{
		Direction:  dir,
		Off:        ls.Mode[dir] == ModeOff,
		NoShaper:   ls.Mode[dir] == ModeSocket,
		ShaperOnly: ls.Mode[dir] == ModeShaper,
		Target:     e.settings.Target,
		Engage:     e.settings.Engage,
		MaxRunning: e.settings.MaxRunning,
		Share:      e.settings.Share,
		Pause:      e.settings.Pause,
		DryRun:     e.settings.DryRun,
	}
}

// flowsOf are the transfers of a group as the controller sees them, until the
// next step.
func (e *Engine) flowsOf(g *group, now time.Duration, stands watchdog.Outcome) []control.Flow {
	first := len(e.flows)
	for _, t := range g.transfers {
		e.flows = append(e.flows, e.flow(t, now, stands))
	}
	return e.flows[first:]
}

// flow is a transfer as the controller sees it.
func (e *Engine) flow(t *watchdog.Transfer, now time.Duration, stands watchdog.Outcome) control.Flow {
	remaining := int64(-1)
	if t.File.Size >= 0 && t.File.Pos >= 0 {
		remaining = max(0, t.File.Size-t.File.Pos)
	}
	f := control.Flow{
		ID: string(t.ID), Rate: t.Rate, Bytes: t.Bytes, Remaining: remaining, Age: t.Age,
		Floor:     windowFloor(t.TCP),
		Limitable: t.Control == watchdog.ControlFull || t.Control == watchdog.ControlLimitOnly,
		Pausable:  t.Control == watchdog.ControlFull || t.Control == watchdog.ControlPauseOnly,
		Shaped:    stands.Limits[t.ID].Shape,
		Stopped:   stands.Stopped[t.ID],
		Loose:     e.wanted[t.ID] != (watchdog.Limit{}) && stands.Limits[t.ID] == (watchdog.Limit{}),
		Stale:     t.Measured > 0 && t.Measured < now && !t.Idle,
		Idle:      t.Idle,
		Pinned:    e.pins[t.ID],
	}
	if t.TCP.Known {
		f.RTT, f.MinRTT = t.TCP.RTT, t.TCP.MinRTT
		if t.Direction == watchdog.Tx {
			f.Inflight = int64(t.TCP.Unacked) * int64(t.TCP.MSS)
		}
	}
	return f
}

// windowFloor is the smallest receive window, in bytes, that keeps a
// connection moving: two segments, and one unit of the announced window scale
// below which the kernel would round it to nothing.
func windowFloor(t watchdog.TCP) int64 {
	mss := t.MSS
	if mss <= 0 {
		mss = 1460
	}
	return max(2*int64(mss), int64(1)<<min(t.RcvWscale, 14))
}

// want adds the controller's limits to the desired state.
func (j *judged) want(d *watchdog.Desired) {
	for _, f := range j.out.Flows {
		l := watchdog.Limit{Window: f.Window, Pacing: f.Pacing, Shape: f.Shape, Pause: f.Pause}
		if l != (watchdog.Limit{}) {
			d.Limits[watchdog.TransferID(f.ID)] = l
		}
	}
	if j.cut != nil {
		j.silence(d)
	}
	if j.out.Shaper > 0 {
		d.Shapers[j.shapeOn] = j.out.Shaper
	}
}

// state sums the decision up for status and logs.
func (j *judged) state() watchdog.LinkState {
	st := watchdog.LinkState{
		Link: j.key.Link, Name: j.link.Name, Direction: j.key.Direction,
		Phase: j.out.Phase, Rate: j.in.Rate, RateKnown: j.in.RateKnown,
		Capacity: cmp.Or(j.out.Capacity, j.in.Capacity, j.in.Learnt),
		Delay:    j.in.Delay, Moving: j.out.Moving, Shaper: j.out.Shaper, Drained: j.out.Drained, Contradicted: j.out.Contradicted,
		Transfers: len(j.transfers), Why: j.out.Why, Needless: j.needless,
	}
	if j.cut != nil {
		st.Sounding, st.Quiet = true, j.cut.quiet
		st.Why = "cut for a moment: the RTT of the empty path has only been measured under load"
	}
	limited, paused := j.count()
	if j.dryRun {
		st.Shaper, st.WouldLimit, st.WouldPause, st.WouldShape = 0, limited, paused, j.out.Shaper
		return st
	}
	st.Limited, st.Paused = limited, paused
	return st
}

// count tells how many transfers the decision limits and pauses.
func (j *judged) count() (limited, paused int) {
	for i, f := range j.out.Flows {
		if f.Pause {
			paused++
		} else if f.Window > 0 || f.Pacing > 0 || f.Shape || j.cut != nil && silenced(j.transfers[i]) {
			limited++
		}
	}
	return limited, paused
}
