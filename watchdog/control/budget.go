package control

import "math"

// budget is the total rate of the transfers. Sending, it is divided into
// pacing rates; receiving, into windows of rate x (path RTT + target), so that
// a budget equal to the capacity makes a queue of about the target.
type budget struct {
	begun    float64 // when the first ramp began
	rate     float64 // bytes/s
	top      float64 // bytes/s of ours that the link bore when it last was too much; 0 when never
	spared   int     // cuts in a row that were for the bursts of births
	sure     bool    // top was found at a crawl and not in a fast ramp
	met      bool    // a queue was met while the shaper stood
	proof    proof   // of the top
	age      float64 // s of use since then
	again    float64 // s for which a ramp goes on from a top that was once right; 0 in a first ramp
	undo     float64 // top before the last cut
	twice    bool    // which came while another was still draining
	trigger  float64 // s of raw delay that made us cut; 0 when something else did
	from     mode    // what we did until then
	held     float64 // bytes/s, the budget until then
	undone   float64 // when a cut was last taken back
	lone     bool    // which came long after the one before it, on a noisy path
	noted    float64 // bytes/s of the link that the last cut took for its capacity; 0 for none
	cut      float64 // when that was
	depth    float64 // of top: the rate while draining
	before   float64 // s of queue when draining was last checked
	shown    float64 // s of queue that the last cut was for
	checked  float64 // when that was
	patience float64 // until when the queue may still grow
	entered  float64 // when the last drain ended
	settled  float64 // when the last change should be visible
	empty    float64 // when there last was a queue, or no use for more
	quiet    float64 // when the limits last bound
	waited   float64 // s for which this ramp has waited on hints
	hush     float64 // s, the least hint of this ramp plus one; 0 before the first
	heeded   bool    // the present hint has been answered with a lower rate
	alarmed  bool    // the last cut was for a queue that no probe had met, nor anything else shows
	refuted  float64 // when none had met it either by the end of its drain
}

func (b *budget) shift(by float64) {
	b.undone, b.entered, b.empty = b.undone+by, b.entered+by, b.empty+by
	b.proof.until += by
	b.refuted += by
	b.begun, b.cut, b.checked, b.patience, b.settled, b.quiet = b.begun+by, b.cut+by, b.checked+by, b.patience+by, b.settled+by, b.quiet+by
}

// windowed says that windows are what limits, so that the queue follows the
// budget in proportion and not as its integral.
func (c *Controller) windowed() bool {
	return c.set.Direction == Rx && !c.shaper.stands
}

// begin sets the first budget: half of what the link is known to bear, else
// little, but never less than what has flowed without harm. A queue that is
// there already comes from transfers that have run for a while, and then shows
// what the link bears; or from the burst of new ones, and then shows nothing.
func (c *Controller) begin(in *Input, s *signal) {
	b := &c.budget
	*b = budget{rate: c.first(in, s), begun: s.now, quiet: s.now, cut: s.now - loneFor, undone: s.now - loneFor, refuted: s.now - refutedFor}
	c.mode = ramping
	switch {
	case !s.sees || s.fresh < c.ramped():
		b.rate = max(b.rate, min(s.ours, s.paid))
	case s.paid > 2*b.rate && c.windowed():
		c.mode, b.top, b.rate = cruising, s.paid, s.paid
		b.settled = s.now + s.loop
	case s.paid > 2*b.rate:
		b.top, b.rate = s.paid, s.paid
		c.sink(s, 0.75)
	}
	b.rate = max(b.rate, c.least(in))
}

// first is the budget to begin with, in bytes/s.
func (c *Controller) first(in *Input, s *signal) float64 {
	if c.trusted(in) {
		return 0.5 * max(0, c.best(in)-s.others)
	}
	return startRate
}

// steer moves the budget by one step.
func (c *Controller) steer(in *Input, s *signal) {
	if s.busy {
		c.budget.quiet = s.now
	}
	if !c.carries(in, s) && c.mode != unsighted {
		s.queue, s.fresh = 0, 0
	}
	switch {
	case c.mode == ramping:
		c.ramp(in, s)
	case c.mode == draining:
		c.drain(in, s)
	case c.mode == cruising && c.windowed():
		c.cruiseWindow(in, s)
	case c.mode == cruising:
		c.cruiseRate(in, s)
	}
	c.bound(in, s)
}

// excuseEvery is the time in seconds within which new transfers excuse a queue
// only once.
const excuseEvery = 3.0

// excused says that a queue may be the burst of new transfers, which no limit
// has met yet: it says nothing of what the link bears.
func (c *Controller) excused(s *signal) bool { return s.now-c.excuse < 0.4+s.loop }

// birthing says that the first bursts of transfers may still be on the way: the
// delay rises and falls with them.
func (c *Controller) birthing(s *signal) bool { return s.now-c.newest < 0.4+s.loop }

// ramped is the queue in seconds that ends a ramp.
func (c *Controller) ramped() float64 { return 0.6*c.target + 2*c.delay.jitter }

// ramp grows the budget exponentially, as slow start does, but no faster than
// the delay can tell of it in time.
func (c *Controller) ramp(in *Input, s *signal) {
	b, probed := &c.budget, s.fresh
	if own := max(c.swelling(s), c.inFlight(s)); own > max(s.fresh, c.ramped()) {
		s.fresh, s.loop = own, min(s.loop, hintLag/2+s.rtt+own)
	}
	end := c.ramped()
	if b.again > 0 && !c.noisy() {
		end = min(end, c.tuning().knee)
	}
	long := s.sees && s.fresh > end
	switch {
	case long && c.excused(s):
		return
	case long && !c.windowed() && c.birthing(s):
		b.top, b.alarmed = 0, probed <= end
		c.sink(s, drainDepth(s.fresh, c.target))
		return
	case long && c.windowed():
		c.mode, b.top, b.settled, b.empty = cruising, b.rate, s.now, s.now
		c.cruiseWindow(in, s)
		return
	case long:
		sent := b.rate
		c.cutRate(in, s)
		b.alarmed = probed <= end && b.top >= sent // all that was sent has passed, too
		return
	case c.deaf(s) || b.again > 0 && !c.noisy() && s.fresh > end/2:
		return
	}
	if c.hinted(in, s) {
		b.waited += s.dt
		if !b.heeded { // once: what goes in from now on is held and no measure
			b.rate, b.heeded = max(min(b.rate, c.wentIn(s, s.now-hintLag)), 0.5*b.rate, c.least(in)), true
		}
		return
	}
	b.rate *= math.Exp(c.gain(in, s) * s.dt)
	if b.again == 0 && c.trusted(in) { // learnt since the ramp began
		b.rate = max(b.rate, c.first(in, s))
	}
	if b.again > 0 {
		b.again += s.dt
	}
	best := c.best(in)
	if best > 0 && b.again == 0 && b.rate >= c.tuning().head*best-s.others {
		c.mode, b.top, b.age = cruising, max(best-s.others, c.least(in)), 0
		b.settled = s.now + s.loop
	}
}

// swelling is the queue in seconds that the transfers' own RTTs tell of while
// we send: the least of them, and only while it rises quickly, for they also
// fall slowly after a burst. Late in a ramp it is younger than what probes say.
func (c *Controller) swelling(s *signal) float64 {
	if c.set.Direction != Tx || c.shaper.wanted || c.refuted(s) {
		return 0
	}
	least := math.Inf(1)
	for i := range c.members {
		f := c.members[i].flow
		if f.Limitable && runs(&c.members[i]) && !c.sleeps(&c.members[i]) && f.MinRTT > 0 && f.RTT > 0 {
			least = min(least, seconds(f.RTT-f.MinRTT))
		}
	}
	d := &c.delay
	rises := least > 1.5*d.own+1e-3
	if s.now-d.owned > 0.08 {
		d.own, d.owned = least, s.now
	}
	if !rises || math.IsInf(least, 1) {
		return 0
	}
	return least
}

// refuted says that the transfers' own evidence, their RTTs and what they have in
// flight, is not believed; the ramp is careful meanwhile.
func (c *Controller) refuted(s *signal) bool { return s.now-c.budget.refuted < refutedFor }

// refutedFor is for how many seconds that is so after a queue that they told of was
// met by no probe: while many begin on a busy machine, acknowledgements wait for a
// processor, and do so again a moment later.
const refutedFor = 1.5

// deaf says that the delay was lost a moment ago. It may come back with a full
// queue, so nothing grows meanwhile.
func (c *Controller) deaf(s *signal) bool {
	return !s.sees && c.delay.ever && s.now-c.delay.seen < deafFor
}

// deafFor is for how many seconds a lost delay is waited for.
const deafFor = 10.0

// A hint is about as old as a smoothed RTT takes to follow, and a ramp waits
// for the probes to confirm hints for so long in all, in seconds.
const (
	hintLag   = 0.06
	hintsFor  = 0.8
	hintAbove = 0.002 // s, beyond the ramp's bound: delayed acknowledgements of a crowd
)

// trustsHints says that the senders' own RTT may hold this ramp back.
func (c *Controller) trustsHints(in *Input) bool {
	return in.Delay.HintKnown && c.set.Direction == Tx && c.budget.waited < hintsFor
}

// hinted says that the senders' own RTT shows a queue that no probe has seen
// yet.
func (c *Controller) hinted(in *Input, s *signal) bool {
	if !c.trustsHints(in) {
		return false
	}
	b, hint := &c.budget, seconds(in.Delay.Hint)
	if b.hush == 0 || hint < b.hush-1 { // it falls for long after the burst of a birth
		b.hush = hint + 1
	}
	if hint <= b.hush-1+c.ramped()+hintAbove {
		b.heeded = false
		return false
	}
	return !c.excused(s)
}

// gain is the ramp's growth per second. A rate that grows by the factor
// exp(g t) past the capacity has filled a queue of about g t^2 / 2 seconds
// when the news of it arrives after t; a window cannot do that. A ramp that
// goes on from what was the capacity once begins at a crawl.
func (c *Controller) gain(in *Input, s *signal) float64 {
	most := min(math.Log(1.1)/0.02, math.Log(1.25)/max(s.rtt, 1e-3))
	switch {
	case c.cause.foreign && c.budget.again == 0: // going back to where we were is no experiment
		return min(most, 2)
	case c.windowed():
		return min(most, 0.7/s.loop)
	case c.budget.again > 0:
		queue := min(0.003*(1+c.budget.again), 0.02)
		if c.shaper.stands { // windows of a crowd move into the link's queue at once
			queue = min(0.002*(1+c.budget.again), 0.006)
		}
		if c.budget.rate < 0.9*c.cap.most {
			queue = 0.02
		}
		loop := s.loop
		if c.shaper.stands && s.rtt <= shortPath { // what is in flight says nothing then, and steps are seldom
			loop += seconds(steadyTick)
		}
		return min(most, 2*queue/(loop*loop))
	case c.trustsHints(in):
		return min(most, 2*(0.01+s.rtt/2)/((hintLag+s.rtt)*(hintLag+s.rtt)))
	}
	queue := 0.025
	if c.refuted(s) { // only probes tell of one now
		queue = 0.01
	}
	return min(most, 2*(queue+s.rtt/2)/(s.loop*s.loop))
}

// bound keeps the budget within what is used or known to be borne, so that
// nothing saves up a burst, and above what keeps every transfer going.
func (c *Controller) bound(in *Input, s *signal) {
	b := &c.budget
	room := 1.4 + 2*min(s.rtt, 0.2) // what is used is known an RTT later
	if c.shaper.stands {            // what is allowed and not used yet comes at once, and then the queue is long
		room = 1.06 + 2*min(s.rtt, 0.2)
	}
	use := max(room*s.peak, startRate)
	if best := c.best(in); best > 0 {
		head := c.tuning().head * best
		if c.trusted(in) {
			use = max(use, head-s.others)
		}
		switch {
		case in.Configured || !s.sees:
			use = min(use, head-s.others)
		case c.shaper.stands && c.cap.full && !c.noisy() && !c.climbs(in): // more is known within a second, when it passes
			use = min(use, max(beyondSeen*best-s.others, startRate))
		case c.windowed() && c.cap.full: // the queue that this makes is the target
			use = min(use, max(best-s.others, s.peak))
		}
	}
	least := max(c.least(in), c.floors())
	if c.tellsFlight(s) && s.now-c.newest < passesFor { // the burst of births drains, however long it is
		least = max(least, 0.5*c.passes(s))
	}
	b.rate = clamp(b.rate, least, max(use, least))
}

// beyondSeen is how far a shaper's rate may be above what the link was seen to bear.
const beyondSeen = 1.05

// least is the budget that rsync keeps in any case, in bytes/s.
func (c *Controller) least(in *Input) float64 {
	return max(leastRate, leastShare*c.best(in))
}
