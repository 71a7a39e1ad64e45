package remediate

import (
	"math"
	"time"

	"lifeline/remediate/process"
	"lifeline/remediate/sockopt"
)

// How often a socket is looked at whose limits are as wanted, as each look
// costs several system calls. Autotuning raises a clamp by little within
// revisitTuned unless the receiver reads in bursts, and hardly where it is held;
// pacing and priority are changed by nobody but the application.
const (
	recheckTuned  = 400 * time.Millisecond
	recheckLocked = time.Second
	recheckIdle   = 10 * time.Second // where nothing moves, nothing is undone
)

// firstData is what has come, in bytes, when a receiver has surely met the full
// packets of its path.
const firstData = 64 << 10

// getsFirstData says that data came to a clamped receiver which had got little. With its first
// full packets the kernel learns how much memory a byte takes, and sets the clamp to
// what the receive buffer holds by that (tcp_measure_rcv_mss of Linux 6.18): 83 KB
// of a fresh buffer of 128 KB, whatever the clamp was. Where there is much to list
// or to compare, that comes long after the transfer's birth.
func (s *subject) getsFirstData() bool {
	return s.window > 0 && s.t.TCP.Known && s.state.Received < firstData && s.t.TCP.BytesReceived > s.state.Received
}

// recheckAfter is how long a socket whose limits are as wanted is not looked at.
func (s *subject) recheckAfter() time.Duration {
	switch {
	case s.t.Idle:
		return recheckIdle
	case s.window == 0:
		return sockopt.RecheckEvery
	case s.bufferLocked:
		return recheckLocked
	}
	return recheckTuned
}

// limitTolerance is the ratio within which a limit that stands is as good as another.
const limitTolerance = 0.03

// asWanted says that what stands on the socket is what is wanted of it, as far
// as we know without looking. A young transfer is looked at each time, as its
// window opens fast. So is one that is paused or about to run, or gets its first data.
func (s *subject) asWanted(window int64, pacing float64) bool {
	return s.stateKnown && s.t.Age > sockopt.YoungAge && s.pause.Phase == process.Running && !s.want.Pause && s.oldBuffer == 0 && !s.getsFirstData() &&
		s.bufferLocked == s.wantsBufferLock(s.state) &&
		isNear(float64(s.window), float64(window)) && isNear(float64(s.pacing), pacing)
}

// isNear says that two limits are practically one; 0 is none.
func isNear(a, b float64) bool {
	if a == 0 || b == 0 {
		return a == b
	}
	return math.Abs(a-b) <= limitTolerance*max(a, b)
}
