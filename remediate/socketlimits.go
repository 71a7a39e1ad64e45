package remediate

import (
	"errors"
	"math"
	"time"

	"lifeline/remediate/process"
	"lifeline/remediate/sockopt"
	"lifeline/watchdog"
	"lifeline/watchdog/ledger"
)

// socketLimits is what stands on the socket of a transfer, and what was seen of it.
type socketLimits struct {
	undos         socketUndos
	window        int64         // bytes in force; 0 for none
	pacing        uint64        // bytes/s in force; 0 for none
	oldBuffer     int64         // bytes of receive buffer before it was made small; 0 when it is not
	bufferLocked  bool          // we keep the kernel from tuning the receive buffer
	checkedAt     time.Time     // when the socket was last looked at
	state         sockopt.State // at that time
	stateKnown    bool          // there was one
	movedAt       time.Time     // bytes were last received
	stalls        int
	clampDisabled bool // stalled: no clamp until bytes move
	goneSince     time.Time
}

// socketUndo is the undo of one kind of change of a socket.
type socketUndo struct {
	key      string // in the ledger
	recorded bool   // the ledger holds it
}

// socketUndos are those of all kinds.
type socketUndos struct{ window, pacing, buffer, autotuning socketUndo }

// read asks the ledger which of them it holds.
func (u *socketUndos) read(l *ledger.Ledger) {
	for _, undo := range []*socketUndo{&u.window, &u.pacing, &u.buffer, &u.autotuning} {
		undo.recorded = l.Has(undo.key)
	}
}

// newLimitEntries lists the limits that are wanted of the socket and that the ledger does not hold
// yet.
func (s *subject) newLimitEntries() (entries []ledger.Entry) {
	window, pacing := s.limits()
	if window > 0 && !s.undos.window.recorded {
		entries = append(entries, entryOf(ledger.Window, s.t))
	}
	if pacing > 0 && !s.undos.pacing.recorded {
		entries = append(entries, entryOf(ledger.Pacing, s.t))
	}
	if s.wantsSmallBuffer() && s.stateKnown && s.oldBuffer == 0 && !s.undos.buffer.recorded {
		entry := entryOf(ledger.Buffer, s.t)
		entry.Was = int(s.state.ReceiveBuffer)
		entries = append(entries, entry)
	}
	return entries
}

// takeUndone gives the ledger's keys of what was undone on the socket and is wanted no more,
// each once.
func (s *subject) takeUndone() (keys []string) {
	take := func(u *socketUndo, undone bool) {
		if u.recorded && undone {
			keys = append(keys, u.key)
			u.recorded = false
		}
	}
	window, pacing := s.limits()
	take(&s.undos.window, s.window == 0 && window == 0)
	take(&s.undos.pacing, s.pacing == 0 && pacing == 0)
	take(&s.undos.buffer, s.oldBuffer == 0 && !s.wantsSmallBuffer())
	take(&s.undos.autotuning, !s.bufferLocked && !s.wantsBufferLock(s.state))
	return keys
}

// decide decides what to set on the socket that looks like c.
func (s *subject) decide(c sockopt.State, now time.Time, fullIsSafe bool) (sockopt.Change, error) {
	var set sockopt.Change
	err := s.detectStall(c, now)
	if c.Listening {
		return set, errors.New("is a listening socket: left alone")
	}
	window, pacing := s.limits()
	if c.Established && !s.isHalted() && (fullIsSafe || !c.Full()) {
		set.WindowClamp = s.clamp(c, window, s.undos.window.recorded)
	}
	switch {
	case pacing > 0 && s.undos.pacing.recorded:
		if want := uint64(max(pacing, minPacing)); c.Pacing != want {
			set.Pacing = want
		}
	case pacing == 0 && s.pacing != 0:
		set.Pacing = math.MaxUint64
	}
	switch {
	case s.wantsSmallBuffer() && s.undos.buffer.recorded && s.oldBuffer == 0 && s.windowUsedUp(c, now):
		set.ShrinkBuffer = c.Unread + max(minBuffer, 8*c.MinWindow())
	case !s.wantsSmallBuffer() && s.oldBuffer != 0:
		set.RestoreBuffer = s.oldBuffer
	case s.oldBuffer == 0:
		set.Autotuning = s.decideAutotuning(c, set.WindowClamp)
	}
	return set, err
}

// wantsSmallBuffer says whether the receive buffer is to be small: a receiver that
// is stopped goes on receiving until its buffer is full, 8 of them at the full
// rate of 100 Mbit/s for 1.7 s, and with a small one for 30 ms. Over ssh the
// socket's owner reads on, so there it has no use; and a size that the
// application chose is left alone.
func (s *subject) wantsSmallBuffer() bool {
	return s.want.Pause && s.t.Direction == watchdog.Rx && s.t.Via == watchdog.ViaDaemon &&
		s.t.Control == watchdog.ControlFull && (s.oldBuffer != 0 || s.stateKnown && !s.appChoseBuffer(s.state))
}

// windowUsedUp says that the peer has used up the window that was offered before the
// clamp. Only then may the buffer be made small: what is sent into an offered
// window and finds no buffer is lost, and the sender falls silent for seconds.
func (s *subject) windowUsedUp(c sockopt.State, now time.Time) bool {
	switch {
	case s.window == 0 || c.WindowClamp > s.window:
		return false
	case c.Window >= 0:
		return c.Window <= s.window+c.MSS
	}
	// Not told before Linux 6.2: it takes its time, once for each pause.
	return s.pause.Phase == process.Pulsing || s.pause.Phase == process.Draining && now.Sub(s.pause.Since) >= process.OldDrain
}

// clamp gives the window to set, 0 for none.
func (s *subject) clamp(c sockopt.State, window int64, may bool) int64 {
	if window == 0 || s.clampDisabled {
		if s.window != 0 {
			return sockopt.NoWindowClamp
		}
		return 0
	}
	want := max(window, c.MinWindow())
	if !may || c.WindowClamp == want {
		return 0
	}
	return want
}

// isHalted says that some process of the transfer does not run: a stopped
// receiver is never clamped. A sample may be older than our own resume.
func (s *subject) isHalted() bool {
	return s.pause.Phase == process.Held || s.t.Stopped && s.pause.Phase != process.Pulsing
}

// detectStall follows the bytes of a clamped receiver.
func (s *subject) detectStall(c sockopt.State, now time.Time) error {
	moved := s.stateKnown && c.Received != s.state.Received
	if moved && s.stalls < maxStalls {
		s.clampDisabled = false
	}
	if !s.stateKnown || moved || s.window == 0 || s.isHalted() {
		s.movedAt = now
		return nil
	}
	if now.Sub(s.movedAt) < stallAfter || !stalled(c) || s.clampDisabled {
		return nil
	}
	s.clampDisabled = true
	s.stalls++
	return errStalled
}

// stalled tells a receiver that cannot get anything from one that is sent
// nothing: it has read all there was and still offers no room. Before Linux
// 6.2 the kernel does not say what it offers, and silence has to do.
func stalled(c sockopt.State) bool {
	return c.Wedged() || (c.Window < 0 && c.Unread == 0)
}

// noteChange takes note of what was set.
func (s *subject) noteChange(set sockopt.Change) {
	switch set.WindowClamp {
	case 0:
	case sockopt.NoWindowClamp:
		s.window = 0
	default:
		s.window = set.WindowClamp
	}
	switch set.Pacing {
	case 0:
	case math.MaxUint64:
		s.pacing = 0
	default:
		s.pacing = set.Pacing
	}
	switch set.Autotuning {
	case sockopt.KeepAutotuning:
	case sockopt.LockBuffer:
		s.bufferLocked = true
	case sockopt.UnlockBuffer:
		s.bufferLocked = false
	}
}

// noteBuffer takes note of a receive buffer that was made small or given back.
func (s *subject) noteBuffer(set sockopt.Change, c sockopt.State) {
	switch {
	case set.ShrinkBuffer != 0:
		s.oldBuffer = c.ReceiveBuffer
	case set.RestoreBuffer != 0:
		s.oldBuffer = 0
	}
}
