package control

// cutState is the last cut of the rate, and the drain that follows it.
type cutState struct {
	at          float64 // when it was
	depth       float64 // of the top: the rate while draining
	lastQueue   float64 // s of queue when draining was last checked
	checked     float64 // when that was
	growsUntil  float64 // until when the queue may still grow
	queue       float64 // s of queue that it was for
	capacity    float64 // bytes/s of the link that it took for the capacity; 0 for none
	excused     int     // cuts in a row that were for the first bursts of transfers
	unprobed    bool    // it was for a queue that no probe had met, nor anything else shows
	prevTop     float64 // bytes/s, the top before it
	overlapping bool    // it came while another was still draining
	isolated    bool    // it came long after the one before it, on a noisy path
	trigger     float64 // s of delay that made us cut; 0 when something else did
	fromMode    mode    // what we did until then
	fromRate    float64 // bytes/s, the budget until then
	reverted    float64 // when a cut was last taken back
}

const (
	// excusedMost is how many cuts in a row may be for the first bursts of transfers,
	// which say nothing of what the link bears: where transfers begin all the time,
	// some have to.
	excusedMost = 3
	// isolatedAfter is the time in seconds after which a cut stands alone, and
	// isolatedNoise the noise, of the target, that makes it doubtful.
	isolatedAfter = 5.0
	isolatedNoise = 0.2
	// What is let in until a queue has gone, of what the link bears, by how many times the
	// target the queue is.
	longQueue, longestQueue             = 2, 8
	depthShort, depthLong, depthLongest = 0.9, 0.75, 0.5
	// slowTopAbove is the part of the budget that the link has to bear for its top to be
	// found at a crawl and not in a fast ramp.
	slowTopAbove  = 0.9
	worksAfter    = 0.1  // s before which a cut cannot have worked
	worksLoop     = 0.75 // of the feedback delay, likewise
	drainPatience = 1.2  // of the feedback delay, for which the queue may still grow
	checkShaped   = 1.5  // of the feedback delay between two checks, where the capacity is known
	shrinksPart   = 3    // a drain has to shrink the queue by one in so many of what it should
	goneAbove     = 2    // one in so many of the target: a queue that has gone counts from there
)

// drainDepth is the part of what the link bears that is let in until a queue in s has
// gone: the longer the queue, the less.
func drainDepth(queue, target float64) float64 {
	switch {
	case queue > longestQueue*target:
		return depthLongest
	case queue > longQueue*target:
		return depthLong
	}
	return depthShort
}

// cutRate goes below what the link bore when the queue began, long enough for
// the queue to drain.
func (l *law) cutRate(m *model, e evidence) {
	cut := &l.cut
	if m.flows.starting(e.now, e.loop) && cut.excused < excusedMost {
		cut.excused++
	} else {
		cut.excused = 0
	}
	ref := l.top
	if ref == 0 || !m.flows.inGrace(e.now, e.loop) && cut.excused == 0 {
		ref = l.delivered(m, e)
		cut.capacity = ref + e.others
		l.cruise.sure = (l.mode == cruising || l.start.resumed > 0) && ref > slowTopAbove*l.rate
	}
	ref = max(ref, m.capacity.least())
	queue := e.newest + e.loop*clamp(l.rate/ref-1, 0, 1) // it grew since the probes saw it
	depth := drainDepth(queue, m.target)
	if l.shaper.stands {
		l.cruise.confirmTop(ref, e.now, l.doubtsTop(m, e.in.Configured))
	}
	first, from, rate, trigger := l.mode != draining, l.mode, l.rate, cut.trigger
	cut.prevTop, cut.overlapping = l.top, l.mode == draining
	cut.isolated = l.mode == cruising && e.now-cut.at > isolatedAfter && m.delay.noiseNewest > isolatedNoise*m.target
	l.top, l.rate = ref, ref
	l.startDrain(m, e, depth)
	cut.trigger = trigger
	if first {
		cut.trigger, cut.fromMode, cut.fromRate = e.recent, from, rate
	}
	l.rate = max(l.rate, m.capacity.least())
}

// startDrain drains the queue at a rate below the top, or below the present rate when
// no top is known.
func (l *law) startDrain(m *model, e evidence, depth float64) {
	l.rate = depth * max(l.top, l.rate)
	l.cruise.age, l.start.resumed = 0, 0
	cut := &l.cut
	cut.trigger, cut.at, cut.depth, cut.lastQueue = 0, e.now, depth, e.newest
	cut.queue = max(0, e.recent-m.delay.offset(m.delay.noiseNewest)) // e.newest may be what no probe has met
	cut.checked, cut.growsUntil = e.now, e.now+drainPatience*e.loop
	l.mode = draining
}

// drain waits for the queue to go, and cuts again when it grows for long or
// does not shrink by at least a third of what it should.
func (l *law) drain(m *model, e evidence) {
	cut := &l.cut
	empty := e.newest < m.drainedBelow()
	cut.unprobed = cut.unprobed && e.known && empty
	switch {
	case e.now-cut.at < max(worksAfter, worksLoop*e.loop) && !m.noisy(): // cannot have worked yet, whatever the probes say
	case cut.unprobed:
		cut.unprobed, cut.capacity = false, 0
		l.start.refuted, l.start.waited = e.now, hintsFor
		l.mode, l.top = ramping, cut.prevTop
	case empty && l.top == 0:
		l.mode = ramping
	case empty || !e.known:
		l.endDrain(m, e)
	default:
		l.checkDrain(m, e)
	}
}

// endDrain goes on around what the link bears, or as before where the queue was none.
func (l *law) endDrain(m *model, e evidence) {
	l.mode = cruising
	l.cruise.entered, l.settled = e.now, e.now+e.loop
	if l.concludeCut(m, e) {
		l.drained = e.known && !e.passive && l.cut.queue > m.target/goneAbove
		l.rate = max(l.tuning(m).head*l.top, m.capacity.least())
	}
}

// checkDrain cuts again where the queue does not shrink.
func (l *law) checkDrain(m *model, e evidence) {
	cut := &l.cut
	since := e.now - cut.checked
	wait, seen := e.loop, since
	if l.shaper.wanted && !m.noisy() { // the capacity is known: what is seen now is a loop old
		wait, seen = checkShaped*e.loop, since-e.loop
	}
	switch {
	case e.newest > cut.lastQueue && e.now < cut.growsUntil: // the old rate still shows
		cut.lastQueue, cut.checked = e.newest, e.now
	case since < max(worksAfter, wait):
	case e.newest > cut.lastQueue-(1-cut.depth)*seen/shrinksPart:
		l.cutRate(m, e)
	default:
		cut.lastQueue, cut.checked = e.newest, e.now
	}
}

// concludeCut learns from a queue that has drained, and says whether it was one. A
// cut that came later than what drained it can have worked is taken back (as F-RTO
// undoes a timeout, RFC 5682): the queue went by the cut before it, or was none. On a
// noisy path it takes two cuts in short order to believe; and what comes back soon
// was real.
func (l *law) concludeCut(m *model, e evidence) (real bool) {
	cut := &l.cut
	if cut.wasNoise(m, e) {
		l.top, l.rate, cut.capacity = cut.prevTop, cut.fromRate, 0
		l.mode = cut.fromMode
		return false
	}
	if cut.prevTop > 0 && e.now-cut.reverted > isolatedAfter && (e.now-cut.at < e.loop || cut.isolated) {
		cut.reverted = e.now
		l.top = max(l.top, cut.prevTop)
		cut.capacity = 0
		if cut.overlapping {
			cut.capacity = cut.prevTop + e.others
		}
	}
	if cut.capacity > 0 && !m.capacity.measuredLately(e.now) {
		if m.flightTells(e.rtt, l.shaper.wanted) {
			cut.capacity = max(cut.capacity, m.history.passed(e.now)+e.others)
		}
		m.capacity.observe(cut.capacity, e.dt, l.windowed(m))
	}
	cut.capacity = 0
	return true
}

// wasNoise says that what the cut was for was no queue, on a noisy path.
func (cut *cutState) wasNoise(m *model, e evidence) bool {
	return cut.trigger > 0 && m.noisy() &&
		(tooSoon(e.sample, e.loop, cut.at) || cut.trigger < m.delay.offset(m.delay.noiseNewest)+m.drainedBelow())
}
