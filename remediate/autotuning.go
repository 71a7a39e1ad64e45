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

// lockRoom is how many times the wanted window the receive buffer must be to be
// held at its size. The kernel counts what packets take of memory, up to
// several times their bytes by the driver: a buffer that is too small for the
// window would limit the transfer in the clamp's place.
// A hold that stands is kept to a little less, so that it does not come and go.
const (
	lockRoom     = 4
	keepLockRoom = 3
)

// appChoseBuffer says that the application fixed the size of its receive buffer.
func (s *subject) appChoseBuffer(c sockopt.State) bool {
	return c.BufferLocked && !s.undos.autotuning.recorded && !s.undos.buffer.recorded
}

// wantsBufferLock says whether the kernel is to be kept from tuning the receive
// buffer of a socket that looks like c.
func (s *subject) wantsBufferLock(c sockopt.State) bool {
	window, _ := s.limits()
	room := int64(lockRoom)
	if s.bufferLocked {
		room = keepLockRoom
	}
	return window > 0 && !s.clampDisabled && s.t.Direction == watchdog.Rx && s.oldBuffer == 0 &&
		c.LockKnown && !s.appChoseBuffer(c) && room*max(window, c.MinWindow()) <= c.ReceiveBuffer
}

// decideAutotuning says what to do to the tuning of a receive buffer that is not
// small, where window is about to be set.
func (s *subject) decideAutotuning(c sockopt.State, window int64) sockopt.Autotuning {
	clamped := window != 0 && window != sockopt.NoWindowClamp || window == 0 && s.window != 0
	switch {
	case clamped && s.undos.autotuning.recorded && s.wantsBufferLock(c):
		if !c.BufferLocked || !s.bufferLocked {
			return sockopt.LockBuffer
		}
	case s.bufferLocked:
		return sockopt.UnlockBuffer
	}
	return sockopt.KeepAutotuning
}
