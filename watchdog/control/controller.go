package control

import "time"

// mode is where the budget's law stands.
type mode uint8

const (
	idle      mode = iota // no transfers
	ramping               // the budget grows until the link answers
	draining              // below capacity until the queue is gone
	cruising              // around what the link bears
	unsighted             // neither delay nor capacity is known: by what passes
	supposing             // limits are said and not set: a dry run
)

// Controller steers one direction of one link. It keeps what it learnt between
// steps. It is not safe for concurrent use.
type Controller struct {
	set            Settings
	target, engage float64 // s

	last  time.Duration
	begun bool
	dt    float64 // s since the last step
	steps uint64

	flows   []Flow // of this step, cleaned
	members []member
	states  map[string]*state

	meter   meter
	delay   delay
	history history
	flight  flight
	cap     capacity

	mode    mode
	budget  budget
	shaper  shaper
	load    load
	cause   cause
	witness witness
	unseen  unseen
	crisis  crisis
	roster  roster
	left    []int64 // scratch
	gone    bool    // a queue has gone in this step because the limits were lowered
	liar    bool    // the target's claim was contradicted in this step
	whole   bool    // all transfers were measured by this step
	newest  float64 // s, when the newest transfer was first seen
	excuse  float64 // s, when new transfers last began to excuse a queue
}

// member is one transfer in one step.
type member struct {
	flow  *Flow
	state *state
	share float64 // bytes/s of the budget; of the last step until it is divided anew
}

// state is what is remembered of a transfer between steps.
type state struct {
	step   uint64  // last step that saw it
	bytes  uint64  // that it had moved by then
	born   float64 // s, first step that saw it
	share  float64 // bytes/s, as last given
	grown  float64 // s, when the share last changed much
	wide   float64 // bytes, what may still come of the windows that it was offered
	used   float64 // bytes, the mean of that over about the second of its rate
	under  float64 // bytes of it in the network, the mean of about a second
	late   float64 // s, its longest RTT of the last second
	demand float64 // bytes/s that it uses of more; 0 when it takes all
	paused bool
	since  float64 // s, start of the present run or pause
}

// New makes a controller. Settings that are zero get their defaults.
func New(set Settings) *Controller {
	if set.Target <= 0 {
		set.Target = 5 * time.Millisecond
	}
	if set.Engage <= 0 {
		set.Engage = 10 * time.Millisecond
	}
	set.Engage = max(set.Engage, set.Target)
	return &Controller{
		set:    set,
		target: seconds(set.Target),
		engage: seconds(set.Engage),
		states: map[string]*state{},
		crisis: crisis{allowed: everyone},
		newest: -excuseEvery, excuse: -excuseEvery,
	}
}

// Step looks at one sample and decides. Output.Flows is the caller's to keep.
func (c *Controller) Step(in Input) Output {
	in = c.clean(in)
	gap := c.advance(&in)
	c.enrol(&in)
	s := c.sense(&in)
	if c.whole { // else what arrived is of different times
		c.history.look(s.now, c.meter.arrived)
	}
	c.watchFlight(&s)
	if gap {
		c.flight = flight{}
		c.history.clear()
		c.meter = meter{bytes: c.meter.bytes, arrived: c.meter.arrived, others: c.meter.others, peak: c.meter.peak}
	} else {
		c.decide(&in, &s)
		c.history.add(moment{s.now, c.meter.bytes, s.ours, c.budget.rate, s.fresh})
	}
	return c.output(&in, &s)
}

// advance moves the clock and says whether the time since the last step means nothing.
func (c *Controller) advance(in *Input) (gap bool) {
	c.steps++
	c.gone, c.liar = false, false
	elapsed := in.Now - c.last
	gap = in.Gap || c.begun && (elapsed < 0 || elapsed > 30*time.Second)
	c.dt = clamp(seconds(elapsed), 0, 1)
	if !c.begun || gap {
		c.dt = 0
	}
	if c.begun && elapsed < 0 {
		c.rewind(seconds(elapsed))
	}
	c.last, c.begun = in.Now, true
	return gap
}

// rewind moves every remembered time with a clock that went back.
func (c *Controller) rewind(by float64) {
	for _, st := range c.states {
		st.born, st.grown, st.since = st.born+by, st.grown+by, st.since+by
	}
	c.delay.seen, c.delay.changed, c.delay.owned = c.delay.seen+by, c.delay.changed+by, c.delay.owned+by
	c.newest += by
	c.excuse += by
	c.flight.shift(by)
	if c.cap.measured > 0 { // else it never was
		c.cap.measured += by
	}
	c.budget.shift(by)
	c.shaper.shift(by)
	c.load.shift(by)
	c.cause.shift(by)
	c.witness.shift(by)
	c.crisis.shift(by)
	c.roster.shift(by)
}

// enrol matches the transfers with what is remembered of them, and forgets
// those that ended.
func (c *Controller) enrol(in *Input) {
	c.members = c.members[:0]
	c.whole = true
	now := seconds(in.Now)
	for i := range in.Flows {
		f := &in.Flows[i]
		st := c.states[f.ID]
		if st == nil {
			st = &state{born: now, since: now, grown: now, wide: birthBytes, used: birthBytes}
			c.states[f.ID] = st
			c.newest = now
			if now-c.excuse > excuseEvery {
				c.excuse = now
			}
		}
		if st.step > 0 && f.Bytes > st.bytes {
			c.meter.arrived += float64(f.Bytes - st.bytes)
			st.wide -= float64(f.Bytes - st.bytes)
		}
		st.step, st.bytes = c.steps, f.Bytes
		if c.set.DryRun { // what would be paused runs all the same
			st.paused = false
		}
		c.whole = c.whole && !f.Stale
		c.members = append(c.members, member{flow: f, state: st, share: st.share})
	}
	if len(c.states) == len(c.members) {
		return
	}
	for id, st := range c.states {
		if st.step != c.steps {
			delete(c.states, id)
		}
	}
}

// decide moves the state machine by one step.
func (c *Controller) decide(in *Input, s *signal) {
	c.load.watch(in, s, c.best(in), c.engage)
	if c.set.DryRun {
		c.suppose(in, s)
		return
	}
	c.learn(in, s)
	switch {
	case c.set.Off || len(c.members) == 0:
		c.rest(s)
		return
	case c.blind(in, s):
		if c.mode == idle {
			c.begin(in, s)
		}
		c.shaper = shaper{}
		c.grope(in, s)
		c.crisis.judge(c, in, s)
		c.roster.staff(c, in, s)
		return
	case c.mode == idle:
		c.begin(in, s)
	}
	if c.mode == unsighted {
		c.sight(in, s)
	}
	if c.witness.weigh(c, in, s) {
		c.contradict(in, s)
	}
	c.cause.judge(c, in, s)
	c.handover(in, s)
	c.steer(in, s)
	c.crisis.judge(c, in, s)
	c.roster.staff(c, in, s)
}

// rest forgets what only matters while there are transfers.
func (c *Controller) rest(s *signal) {
	c.mode = idle
	c.budget = budget{}
	c.shaper = shaper{}
	c.cause.rest()
	c.witness = witness{}
	c.crisis = crisis{allowed: everyone}
	c.roster = roster{}
	for _, st := range c.states {
		st.paused = false
	}
	if s.sees && len(c.members) == 0 { // jitter that is there without us is not ours
		c.delay.innocent(s, 5, c.engage)
	}
}

// blind says that there is nothing to steer by: neither delay nor capacity, for the
// speed of a NIC says nothing of what is behind it. A
// delay that is missing because management cannot be reached is no reason to
// let go, and a short silence of the probe is not blindness.
func (c *Controller) blind(in *Input, s *signal) bool {
	if s.sees || c.trusted(in) || in.Management == Unreachable {
		return false
	}
	return !c.delay.ever || s.now-c.delay.seen > 5
}
