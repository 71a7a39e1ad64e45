package control

import "math"

// crossCheck holds what a target claims against what the transfers meet. A queue of
// ours is one that some transfer stands in: its segments take longer than over the
// empty path (sending), or its window yields less than it could (receiving, by
// Little's law: window over rate is the time that a byte is under way, at the most). A
// target that is late when we are fast, and in time when we give way, while no transfer
// meets anything like it, does not tell of a queue of ours.
type crossCheck struct {
	claim        float64 // s, the longest queue that it claims in this episode; 0 between them
	lasts        float64 // s, of the episode
	last         float64 // when it last claimed one
	rose         bool    // our rate had just risen when the episode began
	unverifiable float64 // s of claims behind a shaper
	episodes     int     // that ended as we gave way, and were not backed
	against      float64 // s for which it claimed what no transfer met, since one last did
	met          float64 // s, the longest queue that a transfer may have met lately
	backed       float64 // bytes/s of ours at which the transfers last met the queue as well; 0 when never
	before       beforeClaim
}

// beforeClaim is what is gone back to when a claim is found to be none.
type beforeClaim struct {
	known    bool
	rate     float64 // bytes/s, the budget
	capacity capacityEstimate
}

const (
	claimLeast      = 0.6  // of the target: no claim below
	backedBy        = 0.3  // of a claim, by which it is backed
	goneBackedBy    = 0.5  // likewise, where it has just gone
	backedRate      = 0.5  // of the rate at which it was backed: below, it has to be backed again
	roseBefore      = 3.0  // s
	rxAgainstFor    = 2.0  // s, as againstFor for receivers, whose least windows may be too much for a claim to go
	unverifiableFor = 3.0  // s of claims behind a shaper, after which it goes so that the transfers can tell
	againstFor      = 0.8  // s of claims that nobody met
	ofTraffic       = 0.05 // of what passes: who has less has no part in a queue
	ratedAfter      = 1.2  // s, until the rate of a transfer, a mean over a second, is of its present run
	claimedFor      = 10.0 // s for which a claim is remembered
	exposureTau     = 0.5  // s, of what a transfer has under way
	rttTau          = 1.0  // s, in which its longest RTT is forgotten
)

// observe takes one step. While nobody gets in the target is believed. roseLately says
// that our rate has just risen.
func (x *crossCheck) observe(m *model, l *law, e evidence, roseLately bool) verdict {
	m.trackExposure(e)
	met, tells := m.longestMet(e, max(x.claim, e.queue), l.shaper.stands)
	x.met = met
	x.countUnverifiable(e, m.engage, l.shaper.stands)
	if !tells || !claims(e) {
		return verdict{}
	}
	if e.queue < claimLeast*m.target {
		return x.endEpisode(e)
	}
	if x.claim == 0 {
		x.rose = roseLately
	}
	x.claim, x.lasts = max(x.claim, e.queue), x.lasts+e.dt
	if e.queue < m.engage && x.claim >= m.engage { // it goes, and what is left of it tells nothing
		return verdict{}
	}
	if x.isBacked(e, e.queue, backedBy) || e.queue < m.engage || x.lasts < 2*e.rtt { // they hear of it an RTT later
		return verdict{}
	}
	if !x.before.known {
		x.before = beforeClaim{known: true, rate: l.rate, capacity: m.capacity.capacityEstimate}
	}
	x.last = e.now
	x.against += e.dt
	return verdict{contradicted: x.disproves(m.sending()), rate: x.before.rate}
}

// claims says that the delay is a target's word, and somebody gets in.
func claims(e evidence) bool {
	return e.known && !e.passive && !e.in.Delay.Overdue && e.in.Management != Unreachable
}

// disproves says that enough speaks against the target.
func (x *crossCheck) disproves(sending bool) bool {
	return x.against >= againstFor && x.episodes > 0 || !sending && x.rose && x.against >= rxAgainstFor
}

// endEpisode looks back at a claim that has gone.
func (x *crossCheck) endEpisode(e evidence) (v verdict) {
	if x.claim > 0 && x.before.known && !x.isBacked(e, x.claim, goneBackedBy) {
		x.episodes++
		v = verdict{unmet: true, rate: x.before.rate, capacity: x.before.capacity} // it claims the same again, or never did
	}
	x.claim, x.lasts = 0, 0
	return v
}

// countUnverifiable adds up what is claimed while a shaper keeps the transfers from
// telling.
func (x *crossCheck) countUnverifiable(e evidence, engage float64, shaped bool) {
	if x.unverifiable > 0 && e.now-x.last > claimedFor {
		x.unverifiable = 0
	}
	if shaped && e.known && !e.passive && e.queue >= engage {
		x.unverifiable, x.last = x.unverifiable+e.dt, e.now
	}
}

// isBacked notes that the transfers may have met a part of what is claimed.
func (x *crossCheck) isBacked(e evidence, claim, part float64) bool {
	if x.met < part*claim {
		return false
	}
	*x = crossCheck{rose: x.rose, claim: x.claim, lasts: x.lasts, met: x.met, last: x.last, backed: e.ours}
	return true
}

// unbacked says that a target claims a queue which no transfer was seen to meet at
// about this rate. No shaper stands on that, as behind one they cannot tell.
func (x *crossCheck) unbacked(now, rate float64) bool {
	lately := x.claim > 0 || now-x.last < claimedFor
	return lately && (x.against > 0 || x.unverifiable > unverifiableFor || rate < backedRate*x.backed)
}

// trackExposure follows what each transfer has under way, and for how long.
func (m *model) trackExposure(e evidence) {
	for i := range m.flows.entries {
		f := &m.flows.entries[i]
		r := f.rec
		r.offered = max(r.offered, float64(m.window(f)))
		r.meanWindow += (r.offered - r.meanWindow) * blend(e.dt, exposureTau)
		r.inflight += (float64(f.flow.Inflight) - r.inflight) * blend(e.dt, exposureTau)
		r.rtt = max(seconds(f.flow.RTT), r.rtt*math.Exp(-e.dt/rttTau))
	}
}

// longestMet is the longest queue in seconds that any of the transfers that matter may
// have stood in. It tells nothing where one of them cannot tell.
func (m *model) longestMet(e evidence, claim float64, shaped bool) (longest float64, tells bool) {
	total := 0.0
	for i := range m.flows.entries {
		total += m.flows.entries[i].flow.Rate
	}
	for i := range m.flows.entries {
		f := &m.flows.entries[i]
		if f.flow.Rate <= ofTraffic*total || !f.runs() || !m.sending() && e.now-f.rec.since < ratedAfter {
			continue
		}
		met, ok := m.mayHaveMet(f, claim, shaped)
		if !ok {
			return 0, false
		}
		longest, tells = max(longest, met), true
	}
	return longest, tells
}

// mayHaveMet is the longest queue in seconds that one transfer may have stood in within
// the last second. A least RTT that was learnt in a queue is put right when that goes.
// Delayed acknowledgements make long RTTs at low rates as well: then two segments
// are under way, and no more. Where the claimed queue would hold no more than that
// of a transfer, it cannot tell.
func (m *model) mayHaveMet(t *flowEntry, claim float64, shaped bool) (queue float64, tells bool) {
	f := t.flow
	if !m.sending() {
		return t.rec.meanWindow/f.Rate - min(seconds(f.MinRTT), m.delay.base), f.Limitable && !f.Unenforced && !shaped
	}
	inflated, segment := t.rec.rtt-seconds(f.MinRTT), float64(f.Floor)/2
	tells = f.RTT > 0 && f.MinRTT > 0 && t.rec.inflight > 0 && !f.Shaped && !shaped
	if inflated < backedBy*claim {
		return inflated, tells
	}
	return min(inflated, (t.rec.inflight-2*segment)/f.Rate), tells && claim*f.Rate > 3*segment
}
