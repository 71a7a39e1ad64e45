package control

import "math"

const (
	// kneeWindow is the queue, of the target, that windows aim at, and below which they
	// grow.
	kneeWindow = 0.5
	// Windows that fill so much of the capacity are not asked why no queue shows; so
	// many seconds or feedback delays without one: what ended the ramp was none.
	filledAbove           = 0.9
	noQueueFor, noQueueIn = 1.5, 4
	// Growth per second, and per RTT; where the capacity is near, by a part of the
	// target within one loop.
	windowGainMost = 0.3
	windowGainRTT  = 0.1
	windowNear     = 0.95 // of the capacity
	windowStep     = 0.25 // of the target
	// A cut is to between these parts, and works when the old windows are used.
	windowCutMost, windowCutLeast = 0.5, 0.97
	windowSettles                 = 0.2 // s
	// windowGone: below one in so many of the queue that was cut for, that has gone.
	windowGone = 2
)

// cruiseWindow holds the queue between half the target and the target. Unlike
// a rate, a total window makes a queue in proportion, so that there is a point
// of rest and no sawtooth.
func (l *law) cruiseWindow(m *model, e evidence) {
	l.noteQueue(m, e)
	switch long := e.known && e.queue > m.target; {
	case e.now < l.settled:
	case long:
		if !m.atFloor(l.mode, l.shaper.stands) { // else nothing is left to cut
			l.cutWindow(m, e)
		}
	case e.known && e.now-l.cruise.lastQueue > max(noQueueFor, noQueueIn*e.loop): // what ended the ramp was none
		l.mode, l.cruise.lastQueue = ramping, e.now
	case e.binding && !m.delay.signalLost(e) && (!e.known || e.newest < kneeWindow*m.target):
		l.rate *= math.Exp(l.windowGain(m, e) * e.dt)
	}
}

// noteQueue notes whether the queue of the last cut has gone, and when there last was
// one, or no use for more.
func (l *law) noteQueue(m *model, e evidence) {
	if l.cut.queue > m.target && e.now >= l.settled && e.known && !e.passive && e.queue < l.cut.queue/windowGone {
		l.drained, l.cut.queue = true, 0
	}
	if e.newest > 0 || !e.binding || m.capacity.full && l.rate > filledAbove*(m.capacity.best()-e.others) {
		l.cruise.lastQueue = e.now
	}
}

// windowGain is the growth per second of the windows: fast where the link is
// known to bear more, else so slow that within one loop the queue grows by a
// quarter of the target.
func (l *law) windowGain(m *model, e evidence) float64 {
	most := min(windowGainMost, windowGainRTT/max(e.rtt, 1e-3))
	if m.capacity.full && l.rate < windowNear*(m.capacity.best()-e.others) {
		return most
	}
	return min(most, windowStep*m.target/(e.loop*(e.rtt+m.target)))
}

// cutWindow shrinks the windows in proportion to the delay that they make.
// Offered windows are never withdrawn, so it waits until the old ones are used.
func (l *law) cutWindow(m *model, e evidence) {
	l.cut.queue = max(l.cut.queue, e.newest)
	path := e.rtt + m.delay.external
	ratio := clamp((path+kneeWindow*m.target)/(path+e.newest), windowCutMost, windowCutLeast)
	l.rate = max(l.rate*ratio, m.capacity.least())
	l.settled = e.now + max(windowSettles, e.loop+2*(e.newest+e.rtt))
	l.top = l.rate
}
