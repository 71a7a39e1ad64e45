package remediate

import (
	"math"
	"time"

	"lifeline/watchdog"
)

// A paused transfer is stopped for a hold and runs for a pulse, by turns, so
// that neither end gives up: rsync's --timeout counts at both ends, and a
// paused receiver with `--timeout=10` at its client died after 11.7 s.
const (
	safeHold  = 2 * time.Second  // while the peer's timeout is not known
	longHold  = 60 * time.Second // however long the peer would wait
	holdShare = 0.45             // of a known timeout: two holds in a row stay below it
	minPulse  = 150 * time.Millisecond
	blindRun  = time.Second     // length of a pulse when the connection cannot be read
	maxDrain  = 2 * time.Second // an old window is used up within 1.7 s
	oldDrain  = 1700 * time.Millisecond
)

// holdFor is how long t may be stopped at a time. Only over ssh does
// `rsync --server` carry the client's timeout in its arguments; the timeout of
// a daemon's module says nothing of the client's, so it can only shorten.
func holdFor(t watchdog.Transfer) time.Duration {
	if t.Timeout <= 0 {
		return safeHold
	}
	known := time.Duration(holdShare * float64(t.Timeout))
	if t.Via == watchdog.ViaSSHServer {
		return min(known, longHold)
	}
	return min(known, safeHold)
}

// spread is the part of its hold that the k-th hold takes, in [low, 1): the
// golden ratio's multiples are far apart for any number of transfers, so many
// that are stopped together do not run together.
func spread(k int, low float64) float64 {
	_, frac := math.Modf(float64(k) * 0.6180339887498949)
	return low + (1-low)*frac
}

// phase is where the pause of one transfer stands.
type phase uint8

const (
	running  phase = iota // not paused
	draining              // limited to the floor, its old window drains
	held                  // stopped
	pulsing               // paused, and running for a moment
)

// move is what is to be done to the processes of a transfer.
type move uint8

const (
	stay move = iota
	stop
	pulse
	resume
)

// pausing is the pause of one transfer over time.
type pausing struct {
	phase phase
	since time.Time // the phase began
	began time.Time // the pause began
	due   time.Time // held: the next pulse
	holds int       // how many holds there were
}

// pauseSeen is what one step of a pause looks at.
type pauseSeen struct {
	wanted  bool
	drained bool          // the old window is used up, or there is none
	known   bool          // the connection could be read
	moved   bool          // bytes passed since the pulse began
	hold    time.Duration // the longest allowed
	tick    time.Duration // until it can be looked at again
	turn    int           // a number of its own among all holds, to spread them
}

// next gives the move for this moment. The caller reports by moved what it did.
func (p *pausing) next(now time.Time, in pauseSeen) move {
	if !in.wanted {
		if p.phase == running {
			return stay
		}
		return resume
	}
	age := now.Sub(p.since)
	switch p.phase {
	case running:
		p.enter(draining, now)
		p.began = now
		if in.drained {
			return stop
		}
	case draining:
		if in.drained || age >= maxDrain {
			return stop
		}
	case held:
		if !now.Add(in.tick).Before(p.due) {
			return pulse
		}
	case pulsing:
		if p.ran(age, in) {
			return stop
		}
	}
	return stay
}

// ran says whether a pulse was long enough. One in which nothing moves goes on:
// it costs the link nothing, and to cut it short could cost the transfer.
func (p *pausing) ran(age time.Duration, in pauseSeen) bool {
	if !in.known {
		return age >= blindRun
	}
	return age >= minPulse && in.moved && (in.drained || age >= maxDrain)
}

// did takes note of a move that was made.
func (p *pausing) did(m move, now time.Time, in pauseSeen) {
	switch m {
	case stop:
		low := 0.85
		if p.holds == 0 {
			low = 0.25
		}
		p.enter(held, now)
		p.holds++
		p.due = now.Add(time.Duration(spread(in.turn, low) * float64(in.hold)))
	case pulse:
		p.enter(pulsing, now)
	case resume:
		*p = pausing{since: now}
	}
}

func (p *pausing) enter(ph phase, now time.Time) { p.phase, p.since = ph, now }
