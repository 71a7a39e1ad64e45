package control

import "math"

// everyone is the number of transfers that may run when no need says fewer.
const everyone = math.MaxInt

// crisis is what is done when limits are not enough.
type crisis struct {
	allowed  int     // transfers that may run; everyone when there is no need
	all      bool    // everything is paused
	over     float64 // s at the floor with the delay too long
	calm     float64 // s without need
	changed  float64 // when allowed last changed
	patience float64 // s of calm before one more may run
	silent   bool    // management did not answer in the last step
	cut      float64 // s for which management has been out of reach
	back     float64 // s for which it has been within reach, or the link passable
	allSince float64
	shut     bool    // management is shut out, by rsync
	useless  float64 // pausing all did not help: not again before
	wait     float64 // s, length of that back-off
	blame    blame
}

func (k *crisis) shift(by float64) {
	k.changed, k.allSince, k.useless = k.changed+by, k.allSince+by, k.useless+by
	k.blame.shift(by)
}

const (
	overFor      = 1.0  // s
	cutFor       = 2.0  // s
	patienceMin  = 5.0  // s
	patienceMost = 300. // s
	allMost      = 45.0 // s of everything paused without any use
	aloneMost    = 8.0  // s, the same for one silent peer: any queue has drained by then
	aloneWait    = 3600 // s, until his silence can pause again
)

// judge escalates by one step at a time and comes back by one at a time.
func (k *crisis) judge(c *Controller, in *Input, s *signal) {
	if k.allowed == 0 && !k.all {
		k.allowed = 1
	}
	k.patience = max(k.patience, patienceMin)
	k.look(c, in, s)
	if !c.set.Pause {
		k.all, k.allowed = false, everyone
		return
	}
	if k.unreachable(in, s) {
		return
	}
	floor := (c.atFloor() || s.reachable == 0 && s.running > 0) && s.sees && s.queue > 1.5*c.target &&
		s.queue < c.target+1.5*c.ownMost(s) && !c.awaitsShaper(in, s)
	if floor && s.now-k.changed > overFor {
		k.over += s.dt
	} else if !floor {
		k.over = 0
	}
	if floor || s.sees && s.queue > c.target {
		k.calm = 0
	} else {
		k.calm += s.dt
	}
	switch {
	case k.over > overFor:
		k.fewer(c, s)
	case k.allowed != everyone && k.calm > k.patience:
		k.more(s)
	}
}

// fewer lets only as many run as the delay suggests, at least a tenth: at
// the floor the queue is in proportion to their number.
func (k *crisis) fewer(c *Controller, s *signal) {
	n := float64(min(k.allowed, s.running))
	if n <= 1 {
		k.over = 0
		return
	}
	next := math.Ceil(n * clamp(0.9*c.target/s.queue, 0.1, 0.95))
	k.allowed = int(clamp(next, 1, n-1))
	if s.now-k.changed < 4*k.patience {
		k.patience = min(2*k.patience, patienceMost)
	}
	k.over, k.calm, k.changed = 0, 0, s.now
}

// more lets one more run, and everyone when all do.
func (k *crisis) more(s *signal) {
	k.allowed++
	k.calm, k.changed = k.patience-2, s.now // the next one follows soon when it stays calm
	if k.allowed > s.running+1 {
		k.allowed, k.patience = everyone, patienceMin
	}
}

// look finds out whether management is shut out, and whether by rsync. Whoever
// is silent over a passable link has a trouble of his own.
func (k *crisis) look(c *Controller, in *Input, s *signal) {
	k.blame.watch(c, in, s)
	silent := in.Management == Unreachable
	if silent && !k.silent {
		k.blame.silence(s)
	}
	k.silent = silent
	switch {
	case passable(in):
		k.back, k.cut = k.back+s.dt, 0
	case silent:
		k.cut, k.back = k.cut+s.dt, 0
	}
	k.shut = k.cut > cutFor && s.now > k.useless && k.guilty(c, in, s)
}

// unreachable pauses all while rsync keeps management from getting in, and lets
// them come back one by one. When pausing does not help, rsync was not the
// reason.
func (k *crisis) unreachable(in *Input, s *signal) bool {
	switch {
	case k.all && !passable(in) && s.now-k.allSince > useful(in):
		k.wait = clamp(2*k.wait, 60, 1800)
		if in.Alone {
			k.wait = aloneWait
		}
		k.all, k.allowed, k.useless = false, everyone, s.now+k.wait
		k.blame.suspect = false
	case k.all && k.back > k.patience:
		k.all, k.allowed, k.calm, k.changed, k.wait = false, 1, 0, s.now, 0
		k.blame.suspect = false
	case !k.all && k.shut:
		if k.allowed != everyone {
			k.patience = min(2*k.patience, patienceMost)
		}
		k.all, k.allowed, k.allSince, k.changed = true, 0, s.now, s.now
	}
	return k.all
}

// useful is for how many seconds a pause of all may last before it was of no use. Who
// is silent alone may be so by intention.
func useful(in *Input) float64 {
	if in.Alone {
		return aloneMost
	}
	return allMost
}

// acquit lets everyone run, for a queue that was found to be another's.
func (k *crisis) acquit() {
	*k = crisis{allowed: everyone, silent: k.silent, blame: blame{usual: k.blame.usual}}
}

// passable says that somebody over the link answers as if it were empty, or
// that management does at all.
func passable(in *Input) bool { return in.Passes || in.Management == Reachable }

// guilty says whether the link is busy with rsync, and there is evidence that
// this is what shuts management out.
func (k *crisis) guilty(c *Controller, in *Input, s *signal) bool {
	if !k.blame.stands(in, s) {
		return false
	}
	if !s.rateKnown {
		return s.running > 0
	}
	best := c.best(in)
	busy := s.sees && s.queue > c.target || best == 0 || s.peak > 0.5*best
	return busy && s.peak > c.least(in) && s.peak > 0.3*s.rate
}
