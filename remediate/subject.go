package remediate

import (
	"errors"
	"time"

	"lifeline/remediate/process"
	"lifeline/watchdog"
	"lifeline/watchdog/ledger"
)

const (
	minPacing    = 3000            // bytes/s: two segments a second keep a connection alive
	pausedPacing = 16000           // bytes/s: what a stopped sender's buffer may still send
	stallAfter   = 3 * time.Second // without a byte after a clamp, on a receiver that wants some
	maxStalls    = 3               // a connection that stalls so often is not clamped again
	lostAfter    = 3 * time.Second // a listed transfer whose socket nobody holds is reported
	minBuffer    = 32 << 10        // bytes: two segments with all the overhead that drivers give them
)

var errStalled = errors.New("nothing was received after the clamp: lifted")

// subject is one transfer and what stands for it.
type subject struct {
	t      watchdog.Transfer
	want   watchdog.Limit // what its Control allows of what is desired
	listed bool           // in the last sample
	socketLimits
	pauseState
	rate      float64 // bytes/s in force by a class of its own; 0 for none
	rateError error   // why it is not at the rate that is wanted
}

func newSubject(t watchdog.Transfer, now time.Time) *subject {
	undoOf := func(k ledger.Kind) socketUndo { return socketUndo{key: entryOf(k, t).Key()} }
	return &subject{t: t, socketLimits: socketLimits{movedAt: now, undos: socketUndos{
		window: undoOf(ledger.Window), pacing: undoOf(ledger.Pacing),
		buffer: undoOf(ledger.Buffer), autotuning: undoOf(ledger.Autotune),
	}}}
}

func entryOf(k ledger.Kind, t watchdog.Transfer) ledger.Entry {
	return ledger.Entry{Kind: k, Transfer: t.ID, Socket: t.Socket}
}

// permitted takes from l what may not be done to t.
func permitted(t *watchdog.Transfer, l watchdog.Limit) watchdog.Limit {
	switch t.Control {
	case watchdog.ControlFull:
	case watchdog.ControlLimitOnly:
		l.Pause = false
	case watchdog.ControlPauseOnly:
		l = watchdog.Limit{Pause: l.Pause}
	default:
		l = watchdog.Limit{}
	}
	if t.Socket.Inode == 0 {
		l.Window, l.Pacing, l.Shape, l.Rate = 0, 0, false, 0
	}
	if t.Foreign {
		l.Shape, l.Rate = false, 0
	}
	return l
}

// limits gives the window (bytes, 0 for none) and pacing (bytes/s, 0 for none)
// that are wanted now. A paused transfer runs its pulses at the least.
func (s *subject) limits() (window int64, pacing float64) {
	window, pacing = s.want.Window, s.want.Pacing
	if !s.want.Pause || s.t.Control == watchdog.ControlPauseOnly || s.t.Socket.Inode == 0 {
		return window, pacing
	}
	if s.t.Direction == watchdog.Rx {
		return 1, pacing // the floor is put in its place
	}
	if pacing == 0 || pacing > pausedPacing {
		pacing = pausedPacing
	}
	return window, pacing
}

// drained says that the transfer may be stopped.
func (s *subject) drained(now time.Time) bool {
	switch {
	case s.t.Direction != watchdog.Rx, s.t.Control == watchdog.ControlPauseOnly, !s.stateKnown, s.clampDisabled:
		return true
	case s.wantsSmallBuffer() && s.oldBuffer == 0:
		return s.state.Full()
	}
	return s.state.Full() || s.windowUsedUp(s.state, now)
}

// moved says that bytes passed since the pulse began.
func (s *subject) moved() bool {
	return s.state.Received != s.pulseStart.Received || s.state.Acked != s.pulseStart.Acked
}

// limited says that something is set on its socket.
func (s *subject) limited() bool {
	return s.window != 0 || s.pacing != 0 || s.oldBuffer != 0 || s.bufferLocked
}

// shaperKey is where a shaper for the transfer would stand.
func (s *subject) shaperKey() watchdog.ShaperKey {
	return watchdog.ShaperKey{Link: s.t.Link, Direction: s.t.Direction}
}

// inForce is what stands for the transfer, with these shapers in place.
func (s *subject) inForce(shapers map[watchdog.ShaperKey]float64) watchdog.Limit {
	l := watchdog.Limit{Window: s.window, Pacing: float64(s.pacing), Rate: s.rate, Pause: s.pause.Phase != process.Running}
	if s.want.Shape && s.want.Rate == 0 {
		_, l.Shape = shapers[s.shaperKey()]
	}
	return l
}
