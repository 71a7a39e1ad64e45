package control

import "math"

// witness holds what a target claims against what the transfers meet. A queue of
// ours is one that some transfer stands in: its segments take longer than over the
// empty path (sending), or its window yields less than it could (receiving, by
// Little's law: window over rate is the time that a byte is under way, at the most). A target that
// is late when we are fast, and in time when we give way, while no transfer meets
// anything like it, does not tell of a queue of ours.
type witness struct {
	claim   float64 // s, the longest queue that it claims in this episode; 0 between them
	lasts   float64 // s, of the episode
	last    float64 // when it last claimed one
	rose    bool    // our rate had just risen when the episode began
	mute    float64 // s of claims behind a shaper
	spells  int     // episodes that ended as we gave way, and were not backed
	against float64 // s for which it claimed what no transfer met, since one last did
	met     float64 // s, the longest queue that a transfer may have met lately
	backed  float64 // bytes/s of ours at which the transfers last met the queue as well; 0 when never
	before  earlier
}

// earlier is what is gone back to when a claim is found to be none.
type earlier struct {
	known  bool
	budget float64  // bytes/s
	cap    capacity // of the link
}

const (
	claimLeast   = 0.6      // of the target: no claim below
	backedBy     = 0.3      // of a claim, by which it is backed
	wentBy       = 0.5      // likewise, where it has just gone
	roseBefore   = 3.0      // s
	rxAgainstFor = 2.0      // s, likewise for receivers, whose least windows may be too much for a claim to go
	muteFor      = 3.0      // s of claims behind a shaper, after which it goes so that the transfers can tell
	againstFor   = 0.8      // s of claims that nobody met
	carries      = 0.05     // of what passes: who has less has no part in a queue
	ratedAfter   = 1.2      // s, until the rate of a transfer, a mean over a second, is of its present run
	claimedFor   = 10.0     // s for which a claim is remembered
	birthBytes   = 64 << 10 // what Linux offers before anything has come
)

func (w *witness) shift(by float64) { w.last += by }

// weigh takes one step and says whether the target is contradicted now. While nobody
// gets in it is believed.
func (w *witness) weigh(c *Controller, in *Input, s *signal) bool {
	met, tells := c.metQueue(s, max(w.claim, s.queue))
	w.met = met
	w.listen(c, s)
	if !s.sees || s.passive || in.Delay.Overdue || !tells || in.Management == Unreachable {
		return false
	}
	if s.queue < claimLeast*c.target {
		if w.claim > 0 && w.before.known && !w.back(s, w.claim, wentBy) {
			w.spells++
			c.goBack(in, s) // it claims the same again, or never did
		}
		w.claim, w.lasts = 0, 0
		return false
	}
	if w.claim == 0 {
		b := &c.crisis.blame
		w.rose = b.rises && s.now-b.rose < roseBefore
	}
	w.claim, w.lasts = max(w.claim, s.queue), w.lasts+s.dt
	if s.queue < c.engage && w.claim >= c.engage { // it goes, and what is left of it tells nothing
		return false
	}
	if w.back(s, s.queue, backedBy) || s.queue < c.engage || w.lasts < 2*s.rtt { // they hear of it an RTT later
		return false
	}
	if !w.before.known {
		w.before = earlier{known: true, budget: c.budget.rate, cap: c.cap}
	}
	w.last = s.now
	w.against += s.dt
	return w.against >= againstFor && w.spells > 0 || c.set.Direction == Rx && w.rose && w.against >= rxAgainstFor
}

// listen adds up what is claimed while a shaper keeps the transfers from telling.
func (w *witness) listen(c *Controller, s *signal) {
	if w.mute > 0 && s.now-w.last > claimedFor {
		w.mute = 0
	}
	if c.shaper.stands && s.sees && !s.passive && s.queue >= c.engage {
		w.mute, w.last = w.mute+s.dt, s.now
	}
}

// back notes that the transfers may have met a part of what is claimed.
func (w *witness) back(s *signal, claim, part float64) bool {
	if w.met < part*claim {
		return false
	}
	*w = witness{rose: w.rose, claim: w.claim, lasts: w.lasts, met: w.met, last: w.last, backed: s.ours}
	return true
}

// metQueue is the longest queue in seconds that any of the transfers that matter may
// have stood in. It tells nothing where one of them cannot tell.
func (c *Controller) metQueue(s *signal, claim float64) (longest float64, tells bool) {
	total := 0.0
	for i := range c.members {
		m := &c.members[i]
		m.state.wide = max(m.state.wide, float64(c.window(m)))
		m.state.used += (m.state.wide - m.state.used) * blend(s.dt, 0.5)
		m.state.under += (float64(m.flow.Inflight) - m.state.under) * blend(s.dt, 0.5)
		m.state.late = max(seconds(m.flow.RTT), m.state.late*math.Exp(-s.dt))
		total += m.flow.Rate
	}
	for i := range c.members {
		m := &c.members[i]
		if m.flow.Rate <= carries*total || !runs(m) || c.set.Direction == Rx && s.now-m.state.since < ratedAfter {
			continue
		}
		met, ok := c.meets(m, claim)
		if !ok {
			return 0, false
		}
		longest, tells = max(longest, met), true
	}
	return longest, tells
}

// meets is the longest queue in seconds that one transfer may have stood in within
// the last second. A least RTT that was learnt in a queue is put right when that goes.
// Delayed acknowledgements make long RTTs at low rates as well: then two segments
// are under way, and no more. Where the claimed queue would hold no more than that
// of a transfer, it cannot tell.
func (c *Controller) meets(m *member, claim float64) (queue float64, tells bool) {
	f := m.flow
	if c.set.Direction == Tx {
		late, segment := m.state.late-seconds(f.MinRTT), float64(f.Floor)/2
		tells := f.RTT > 0 && f.MinRTT > 0 && m.state.under > 0 && !f.Shaped && !c.shaper.stands
		if late < backedBy*claim {
			return late, tells
		}
		return min(late, (m.state.under-2*segment)/f.Rate), tells && claim*f.Rate > 3*segment
	}
	return m.state.used/f.Rate - min(seconds(f.MinRTT), c.delay.base), f.Limitable && !f.Loose && !c.shaper.stands
}

// lacks says that a target claims a queue which no transfer was seen to meet at
// about this rate. No shaper stands on that, as behind one they cannot tell.
func (w *witness) lacks(c *Controller, s *signal) bool {
	claims := w.claim > 0 || s.now-w.last < claimedFor
	return claims && (w.against > 0 || w.mute > muteFor || c.budget.rate < 0.5*w.backed)
}

// contradict no longer believes a target that no transfer backs. What it told of the
// path is forgotten, and what was learnt of the link by that.
func (c *Controller) contradict(in *Input, s *signal) {
	c.liar = true
	c.delay = delay{}
	s.queue, s.fresh, s.sees = 0, 0, false
	c.witness.before.cap, in.Learnt = capacity{}, 0
	c.goBack(in, s)
	c.cause = cause{}
	c.crisis.acquit()
	c.witness = witness{}
}

// goBack begins again at the rate from before a claim that no transfer backed.
func (c *Controller) goBack(in *Input, s *signal) {
	e := &c.witness.before
	c.cap = e.cap
	c.begin(in, s)
	c.budget.rate = max(c.budget.rate, e.budget)
}
