package control

import "math"

// everyone is the number of transfers that may run when no need says fewer.
const everyone = math.MaxInt

// escalation is what is done when limits are not enough: fewer transfers run, or none.
type escalation struct {
	allowed     int     // transfers that may run; everyone when there is no need
	all         bool    // everything is paused
	allSince    float64 // when that began
	over        float64 // s at the floor with the delay too long
	calm        float64 // s without need
	changed     float64 // when allowed last changed
	patience    float64 // s of calm before one more may run
	silent      bool    // management did not answer in the last step
	unreachable float64 // s for which management has been out of reach
	reachable   float64 // s for which it has been within reach, or the link passable
	shutOut     bool    // management is shut out, by rsync
	notBefore   float64 // pausing all did not help: not again before
	wait        float64 // s, length of that back-off
	outage      outage
}

const (
	overFor        = 1.0  // s at the floor with the delay too long until fewer run
	overAbove      = 1.5  // of the target, and of the queue that our windows can make
	unreachFor     = 2.0  // s without management until everything is paused
	patienceFirst  = 5.0  // s
	patienceMost   = 300. // s
	patienceResets = 4    // times the patience since the last change, until it is not longer
	againAfter     = 2    // s of calm until the next one runs, while it stays calm
	fewerTarget    = 0.9  // of the target, that those who still run are to make
	fewerLeast     = 0.1  // of them, at the least
	fewerMost      = 0.95 // of them, at the most
	allMost        = 45.0 // s of everything paused without any use
	waitFirst      = 60.  // s after such a pause until the next
	waitMost       = 1800 // s
	aloneMost      = 8.0  // s, as allMost for one silent peer: any queue has drained by then
	aloneWait      = 3600 // s, until his silence can pause again
)

// observe takes one step: it escalates by one step at a time and comes back by one at a
// time. stuck says that limits are at their floor and the delay is too long by them.
func (x *escalation) observe(m *model, e evidence, stuck bool) {
	if x.allowed == 0 && !x.all {
		x.allowed = 1
	}
	x.patience = max(x.patience, patienceFirst)
	x.watchManagement(m, e)
	if !m.Pause {
		x.all, x.allowed = false, everyone
		return
	}
	if x.pauseAll(e) {
		return
	}
	x.count(e, stuck, m.target)
	switch {
	case x.over > overFor:
		x.fewer(e, m.target)
	case x.allowed != everyone && x.calm > x.patience:
		x.more(e)
	}
}

// count adds up for how long fewer, or more, should run.
func (x *escalation) count(e evidence, stuck bool, target float64) {
	if !stuck {
		x.over = 0
	} else if e.now-x.changed > overFor {
		x.over += e.dt
	}
	if stuck || e.known && e.queue > target {
		x.calm = 0
	} else {
		x.calm += e.dt
	}
}

// fewer lets only as many run as the delay suggests, at least a tenth: at
// the floor the queue is in proportion to their number.
func (x *escalation) fewer(e evidence, target float64) {
	n := float64(min(x.allowed, e.running))
	if n <= 1 {
		x.over = 0
		return
	}
	next := math.Ceil(n * clamp(fewerTarget*target/e.queue, fewerLeast, fewerMost))
	x.allowed = int(clamp(next, 1, n-1))
	if e.now-x.changed < patienceResets*x.patience {
		x.patience = min(2*x.patience, patienceMost)
	}
	x.over, x.calm, x.changed = 0, 0, e.now
}

// more lets one more run, and everyone when all do.
func (x *escalation) more(e evidence) {
	x.allowed++
	x.calm, x.changed = x.patience-againAfter, e.now
	if x.allowed > e.running+1 {
		x.allowed, x.patience = everyone, patienceFirst
	}
}

// watchManagement finds out whether management is shut out, and whether by rsync.
// Whoever is silent over a passable link has a trouble of his own.
func (x *escalation) watchManagement(m *model, e evidence) {
	x.outage.observe(m, e)
	silent := e.in.Management == Unreachable
	if silent && !x.silent {
		x.outage.begin(e.now)
	}
	x.silent = silent
	switch {
	case passable(&e.in):
		x.reachable, x.unreachable = x.reachable+e.dt, 0
	case silent:
		x.unreachable, x.reachable = x.unreachable+e.dt, 0
	}
	x.shutOut = x.unreachable > unreachFor && e.now > x.notBefore && x.outage.byRsync(m, e)
}

// pauseAll pauses all while rsync keeps management from getting in, and lets
// them come back one by one. When pausing does not help, rsync was not the
// reason.
func (x *escalation) pauseAll(e evidence) bool {
	most, alone := allMost, e.in.Alone // who is silent alone may be so by intention
	if alone {
		most = aloneMost
	}
	switch {
	case x.all && !passable(&e.in) && e.now-x.allSince > most:
		x.wait = clamp(2*x.wait, waitFirst, waitMost)
		if alone {
			x.wait = aloneWait
		}
		x.all, x.allowed, x.notBefore = false, everyone, e.now+x.wait
		x.outage.suspect = false
	case x.all && x.reachable > x.patience:
		x.all, x.allowed, x.calm, x.changed, x.wait = false, 1, 0, e.now, 0
		x.outage.suspect = false
	case !x.all && x.shutOut:
		if x.allowed != everyone {
			x.patience = min(2*x.patience, patienceMost)
		}
		x.all, x.allowed, x.allSince, x.changed = true, 0, e.now, e.now
	}
	return x.all
}

// reset lets everyone run, for a queue that was found to be another's.
func (x *escalation) reset() {
	*x = escalation{allowed: everyone, silent: x.silent, outage: outage{usual: x.outage.usual}}
}

// untouched says that nothing was ever escalated.
func (x *escalation) untouched() bool { return x.calm == 0 && x.changed == 0 }

// mostRunning is the number of transfers that may run now.
func (x *escalation) mostRunning(p *params) int {
	if p.MaxRunning > 0 && p.Pause {
		return min(x.allowed, p.MaxRunning)
	}
	return x.allowed
}

// passable says that somebody over the link answers as if it were empty, or
// that management does at all.
func passable(in *Input) bool { return in.Passes || in.Management == Reachable }

// stuck says that limits are at their floor, or reach nobody, and the delay is too
// long by what they allow.
func (c *Controller) stuck(e evidence) bool {
	m, l := &c.model, &c.law
	return (m.atFloor(l.mode, l.shaper.stands) || e.limitable == 0 && e.running > 0) && e.known && e.queue > overAbove*m.target &&
		e.queue < m.target+overAbove*m.longestOwnQueue(e, l.mode) && !l.shaper.awaited(m, e, l.mode, c.unbacked(e))
}
