package guard

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
	msgAlive    = "+"       // daemon: are you alive? Guard: I am
	msgReady    = "ready"   // guard: the ledger arrived
	msgSync     = "sync"    // daemon: that was the whole ledger
	msgLeaving  = "leaving" // guard: I was told to go, find another
	msgBye      = "bye"     // daemon: go, there is nothing for you to do
	msgDegraded = "odd: "   // guard: something about me is not as it should be
)

// LeaveAfter is how long a guard that was told to go waits for its daemon to
// find another one, or to end in good order.
const LeaveAfter = time.Second

// verdict is what a guard is to do.
type verdict uint8

const (
	keepWatching verdict = iota
	exitQuietly          // nothing to undo
	undoAll              // end the daemon, undo everything
)

// leaseWatch is what a guard knows of its daemon. It is pure: time comes in.
type leaseWatch struct {
	lease        time.Duration
	state        ledger.State
	renewed      time.Time // last sign of life, or the first entry after none
	leavingSince time.Time // told to go; zero when not
	nextLook     time.Time // when the guard meant to look next
}

// handleLine takes one line from the daemon and gives the answer, "" for none.
func (w *leaseWatch) handleLine(line []byte, now time.Time) (answer string, v verdict) {
	switch string(line) {
	case msgAlive:
		w.renewed = now
		return msgAlive, keepWatching
	case msgSync:
		w.renewed = now
		return msgReady, keepWatching
	case msgBye:
		return "", exitQuietly
	}
	idle := w.state.Len() == 0
	w.state.Add(line)
	if idle {
		w.renewed = now
	}
	return "", keepWatching
}

// daemonBeat takes the daemon's last sign of life.
func (w *leaseWatch) daemonBeat(sign time.Time) { w.renewed = maxTime(w.renewed, sign) }

// expired judges by the time. A lease runs only while there is something to undo.
// A guard that itself was not run for a while, on a machine that stood still,
// gives the daemon the same chance to come back first.
func (w *leaseWatch) expired(now time.Time) verdict {
	late := !w.nextLook.IsZero() && now.Sub(w.nextLook) > w.lease/4
	if late {
		w.renewed = maxTime(w.renewed, now.Add(-w.lease/2))
	}
	switch {
	case !w.leavingSince.IsZero() && now.Sub(w.leavingSince) >= LeaveAfter:
		if w.state.Len() == 0 {
			return exitQuietly
		}
		return undoAll
	case w.state.Len() > 0 && now.Sub(w.renewed) >= w.lease:
		return undoAll
	}
	return keepWatching
}

// untilNext gives the time until the next look.
func (w *leaseWatch) untilNext(now time.Time) time.Duration {
	d := time.Hour
	if w.state.Len() > 0 {
		d = w.renewed.Add(w.lease).Sub(now)
	}
	if !w.leavingSince.IsZero() {
		d = min(d, w.leavingSince.Add(LeaveAfter).Sub(now))
	}
	d = max(d, time.Millisecond)
	w.nextLook = now.Add(d)
	return d
}

func maxTime(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
