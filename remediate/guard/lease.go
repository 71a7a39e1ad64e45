package guard

import (
	"time"

	"lifeline/remediate/process"
	"lifeline/watchdog/ledger"
)

// DefaultLease is how long a guard waits for a sign of life of its daemon
// while something is limited: with the undo after it, a daemon that dies or
// hangs leaves nothing behind after two seconds.
const DefaultLease = 1500 * time.Millisecond

// The times of daemon and guard, which depend on each other.
const (
	askAfter     = 1750 * time.Millisecond // a guard without a sign of life for so long is asked, while it should give some by itself
	askIdle      = 5 * time.Second         // the same while it has nothing to watch over
	answerTime   = 1500 * time.Millisecond // a guard that does not answer, or reads nothing, for so long is replaced
	startTimeout = 10 * time.Second        // for a new guard to hold the ledger; the loop goes on meanwhile
	restartWait  = time.Second             // after a failed start
	syncPoll     = 50 * time.Millisecond   // between looks whether a guard that is started is still wanted
	dismissTime  = 300 * time.Millisecond  // for a guard that was dismissed or killed to be gone

	// leaveAfter is how long a guard that was told to go waits for its daemon to find
	// another one, or to end in good order: longer than the start of another may take.
	leaveAfter = startTimeout + time.Second
)

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

	sampled   process.Activity // of the daemon, at the last look after the end of the lease
	sampledAt time.Time        // zero while the lease runs
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

// look forgives what the guard's own lateness explains, and says whether the lease has
// ended, which runs only while there is something to undo. A guard that was not run for a
// while, on a machine that stood still, gives the daemon the same chance to come back first.
func (w *leaseWatch) look(now time.Time) (ended bool) {
	if late := !w.nextLook.IsZero() && now.Sub(w.nextLook) > w.lease/4; late {
		w.renewed = maxTime(w.renewed, now.Add(-w.lease/2))
	}
	ended = w.state.Len() > 0 && now.Sub(w.renewed) >= w.lease
	if !ended {
		w.sampledAt = time.Time{}
	}
	return ended
}

// judge decides by the time, and where the lease has ended by what the daemon does.
func (w *leaseWatch) judge(now time.Time, daemon process.Activity) verdict {
	ended := w.look(now)
	switch {
	case !w.leavingSince.IsZero() && now.Sub(w.leavingSince) >= leaveAfter:
		if w.state.Len() == 0 {
			return exitQuietly
		}
		return undoAll
	case ended && !w.starved(now, daemon):
		return undoAll
	}
	return keepWatching
}

// A daemon that is silent for want of a processor is no better off dead, and comes back
// by itself; but nobody looks after its limits meanwhile, so its lease is extended, and not
// without end.
const (
	starvedLeases = 3 // beyond the one that ended
	starvedLooks  = 8 // in each of them
)

// starved says whether the daemon is silent because it gets no processor: some thread of it
// could run, and all of them together ran for less than half of the time since the last
// look. One that was stopped, waits for ever or spins is not starved.
func (w *leaseWatch) starved(now time.Time, daemon process.Activity) bool {
	if !daemon.Runnable || now.Sub(w.renewed) >= (1+starvedLeases)*w.lease {
		return false
	}
	spins := !w.sampledAt.IsZero() && 2*(daemon.CPU-w.sampled.CPU) >= now.Sub(w.sampledAt)
	w.sampled, w.sampledAt = daemon, now
	return !spins
}

// untilNext gives the time until the next look.
func (w *leaseWatch) untilNext(now time.Time) time.Duration {
	d := time.Hour
	switch {
	case !w.sampledAt.IsZero():
		d = w.lease / starvedLooks
	case w.state.Len() > 0:
		d = w.renewed.Add(w.lease).Sub(now)
	}
	if !w.leavingSince.IsZero() {
		d = min(d, w.leavingSince.Add(leaveAfter).Sub(now))
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
