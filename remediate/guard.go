package remediate

import (
	"time"

	"lifeline/watchdog/ledger"
)

// DefaultLease is how long a guard waits for a sign of life of its daemon
// while something is limited: with the undo after it, a daemon that dies or
// hangs leaves nothing behind after two seconds.
const DefaultLease = 1500 * time.Millisecond

// What daemon and guard say to each other, a line each; that they live they show
// without a word (beats). All other lines from the daemon are records of the
// ledger.
const (
	sayAlive   = "+"       // daemon: are you alive? Guard: I am
	sayReady   = "ready"   // guard: the ledger arrived
	saySync    = "sync"    // daemon: that was the whole ledger
	sayLeaving = "leaving" // guard: I was told to go, find another
	sayBye     = "bye"     // daemon: go, there is nothing for you to do
	sayOdd     = "odd: "   // guard: something about me is not as it should be
)

// partingTime is how long a guard that was told to go waits for its daemon to
// find another one, or to end in good order.
const partingTime = time.Second

// verdict is what a guard is to do.
type verdict uint8

const (
	keepOn verdict = iota
	leave          // nothing to undo
	undo           // end the daemon, undo everything
)

// watch is what a guard knows of its daemon. It is pure: time comes in.
type watch struct {
	lease   time.Duration
	state   ledger.State
	renewed time.Time // last sign of life, or the first entry after none
	parting time.Time // told to go; zero when not
	wake    time.Time // when the guard meant to look next
}

// hear takes one line from the daemon and gives the answer, "" for none.
func (w *watch) hear(line []byte, now time.Time) (answer string, v verdict) {
	switch string(line) {
	case sayAlive:
		w.renewed = now
		return sayAlive, keepOn
	case saySync:
		w.renewed = now
		return sayReady, keepOn
	case sayBye:
		return "", leave
	}
	idle := w.state.Len() == 0
	w.state.Add(line)
	if idle {
		w.renewed = now
	}
	return "", keepOn
}

// see takes the daemon's last sign of life.
func (w *watch) see(sign time.Time) { w.renewed = maxTime(w.renewed, sign) }

// look judges by the time. A lease runs only while there is something to undo.
// A guard that itself was not run for a while, on a machine that stood still,
// gives the daemon the same chance to come back first.
func (w *watch) look(now time.Time) verdict {
	late := !w.wake.IsZero() && now.Sub(w.wake) > w.lease/4
	if late {
		w.renewed = maxTime(w.renewed, now.Add(-w.lease/2))
	}
	switch {
	case !w.parting.IsZero() && now.Sub(w.parting) >= partingTime:
		if w.state.Len() == 0 {
			return leave
		}
		return undo
	case w.state.Len() > 0 && now.Sub(w.renewed) >= w.lease:
		return undo
	}
	return keepOn
}

// next gives the time until the next look.
func (w *watch) next(now time.Time) time.Duration {
	d := time.Hour
	if w.state.Len() > 0 {
		d = w.renewed.Add(w.lease).Sub(now)
	}
	if !w.parting.IsZero() {
		d = min(d, w.parting.Add(partingTime).Sub(now))
	}
	d = max(d, time.Millisecond)
	w.wake = now.Add(d)
	return d
}

func maxTime(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
