package remediate

import (
	"lifeline/remediate/sockopt"
	"lifeline/watchdog"
)

// A clamp alone does not hold a receiver that reads in bursts. The kernel tunes
// the receive buffer by what was read within one round-trip time; when a
// receiver that could not run for a moment reads all that has come meanwhile,
// that is many times a clamped window, so the kernel opens buffer and clamp
// together, to megabytes at once (tcp_rcvbuf_grow of Linux 6.18). What was
// offered then is not withdrawn by the next clamp. SO_BUF_LOCK without a new
// size keeps the buffer as it is, and so the most that the kernel can make of a
// clamp: it still makes that of it when packets turn out denser than it had thought.

// holdRoom is how many times the wanted window the receive buffer must be to be
// held at its size. The kernel counts what packets take of memory, up to
// several times their bytes by the driver: a buffer that is too small for the
// window would limit the transfer in the clamp's place.
// A hold that stands is kept to a little less, so that it does not come and go.
const (
	holdRoom = 4
	keepRoom = 3
)

// chosen says that the application fixed the size of its receive buffer.
func (s *subject) chosen(c sockopt.State) bool {
	return c.BufferLocked && !s.has.autotune && !s.has.buffer
}

// wantsFixed says whether the kernel is to be kept from tuning the receive
// buffer of a socket that looks like c.
func (s *subject) wantsFixed(c sockopt.State) bool {
	window, _ := s.limits()
	room := int64(holdRoom)
	if s.fixed {
		room = keepRoom
	}
	return window > 0 && !s.shy && s.t.Direction == watchdog.Rx && s.buffer == 0 &&
		c.LockKnown && !s.chosen(c) && room*max(window, c.MinWindow()) <= c.ReceiveBuffer
}

// tuneBuffer says what to do to the tuning of a receive buffer that is not
// small, where window is about to be set.
func (s *subject) tuneBuffer(c sockopt.State, window int64) sockopt.Autotuning {
	clamped := window != 0 && window != sockopt.NoWindowClamp || window == 0 && s.window != 0
	switch {
	case clamped && s.has.autotune && s.wantsFixed(c):
		if !c.BufferLocked || !s.fixed {
			return sockopt.LockBuffer
		}
	case s.fixed:
		return sockopt.UnlockBuffer
	}
	return sockopt.KeepAutotuning
}
