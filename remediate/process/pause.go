package process

import (
	"math"
	"time"

	"lifeline/watchdog"
)

// A paused transfer is stopped for a hold and runs for a pulse, by turns, so
// that neither end gives up: rsync's --timeout counts at both ends, and a
// paused receiver with `--timeout=10` at its client died after 11.7 s.
const (
	SafeHold  = 2 * time.Second  // while the peer's timeout is not known
	longHold  = 60 * time.Second // however long the peer would wait
	holdShare = 0.45             // of a known timeout: two holds in a row stay below it
	minPulse  = 150 * time.Millisecond
	blindRun  = time.Second     // length of a pulse when the connection cannot be read
	maxDrain  = 2 * time.Second // an old window is used up within 1.7 s
	OldDrain  = 1700 * time.Millisecond
)

// HoldFor is how long t may be stopped at a time. Only over ssh does
// `rsync --server` carry the client's timeout in its arguments; the timeout of
// a daemon's module says nothing of the client's, so it can only shorten.
func HoldFor(t watchdog.Transfer) time.Duration {
	if t.Timeout <= 0 {
		return SafeHold
	}
	known := time.Duration(holdShare * float64(t.Timeout))
	if t.Via == watchdog.ViaSSHServer {
		return min(known, longHold)
	}
	return min(known, SafeHold)
}

// spread is the part of its hold that the k-th hold takes, in [low, 1): the
// golden ratio's multiples are far apart for any number of transfers, so many
// that are stopped together do not run together.
func spread(k int, low float64) float64 {
	_, frac := math.Modf(float64(k) * 0.6180339887498949)
	return low + (1-low)*frac
}

// Phase is where the pause of one transfer stands.
type Phase uint8

const (
	Running  Phase = iota // not paused
	Draining              // limited to the floor, its old window drains
	Held                  // stopped
	Pulsing               // paused, and running for a moment
)

// Action is what is to be done to the processes of a transfer.
type Action uint8

const (
	Stay Action = iota
	Stop
	Pulse
	Resume
)

// Pause is the pause of one transfer over time.
type Pause struct {
	Phase Phase
	Since time.Time // the phase began
	Began time.Time // the pause began
	due   time.Time // held: the next pulse
	holds int       // how many holds there were
}

// Observation is what one step of a pause looks at.
type Observation struct {
	Wanted  bool
	Drained bool          // the old window is used up, or there is none
	Known   bool          // the connection could be read
	Moved   bool          // bytes passed since the pulse began
	Hold    time.Duration // the longest allowed
	Cycle   time.Duration // until it can be looked at again
	Ordinal int           // a number of its own among all holds, to spread them
}

// Next gives the move for this moment. The caller reports by moved what it did.
func (p *Pause) Next(now time.Time, in Observation) Action {
	if !in.Wanted {
		if p.Phase == Running {
			return Stay
		}
		return Resume
	}
	age := now.Sub(p.Since)
	switch p.Phase {
	case Running:
		p.enter(Draining, now)
		p.Began = now
		if in.Drained {
			return Stop
		}
	case Draining:
		if in.Drained || age >= maxDrain {
			return Stop
		}
	case Held:
		if !now.Add(in.Cycle).Before(p.due) {
			return Pulse
		}
	case Pulsing:
		if p.ran(age, in) {
			return Stop
		}
	}
	return Stay
}

// ran says whether a pulse was long enough. One in which nothing moves goes on:
// it costs the link nothing, and to cut it short could cost the transfer.
func (p *Pause) ran(age time.Duration, in Observation) bool {
	if !in.Known {
		return age >= blindRun
	}
	return age >= minPulse && in.Moved && (in.Drained || age >= maxDrain)
}

// Done takes note of a move that was made.
func (p *Pause) Done(m Action, now time.Time, in Observation) {
	switch m {
	case Stop:
		low := 0.85
		if p.holds == 0 {
			low = 0.25
		}
		p.enter(Held, now)
		p.holds++
		p.due = now.Add(time.Duration(spread(in.Ordinal, low) * float64(in.Hold)))
	case Pulse:
		p.enter(Pulsing, now)
	case Resume:
		*p = Pause{Since: now}
	}
}

func (p *Pause) enter(ph Phase, now time.Time) { p.Phase, p.Since = ph, now }
