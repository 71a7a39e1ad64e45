package remediate

import (
	"errors"
	"math"
	"time"

	"lifeline/watchdog"
	"lifeline/watchdog/ledger"
)

const (
	minPacing  = 3000            // bytes/s: two segments a second keep a connection alive
	heldPacing = 16000           // bytes/s: what a stopped sender's buffer may still send
	stallAfter = 3 * time.Second // without a byte after a clamp, on a receiver that wants some
	maxStalls  = 3               // a connection that stalls so often is not clamped again
	lostAfter  = 3 * time.Second // a listed transfer whose socket nobody holds is reported
)

var errStalled = errors.New("nothing was received after the clamp: lifted")

// subject is one transfer and what stands for it.
type subject struct {
	t       watchdog.Transfer
	want    watchdog.Limit // what its Control allows of what is desired
	listed  bool           // in the last sample
	pause   pausing
	stopped []watchdog.ProcID // processes that we stopped
	parents []watchdog.ProcID // those above that ran when we stopped
	care    time.Time         // until then parents that stop are continued
	spent   spending
	rest    time.Time // no pause before this

	window      int64      // bytes in force; 0 for none
	pacing      uint64     // bytes/s in force; 0 for none
	seen        connection // at the last visit
	known       bool       // there was one
	movedAt     time.Time  // bytes were last received
	stalls      int
	shy         bool // stalled: no clamp until bytes move
	from        connection
	goneSince   time.Time
	windowEntry string // ledger keys
	pacingEntry string
}

func newSubject(t watchdog.Transfer, now time.Time) *subject {
	return &subject{
		t:           t,
		movedAt:     now,
		windowEntry: entryOf(ledger.Window, t).Key(),
		pacingEntry: entryOf(ledger.Pacing, t).Key(),
	}
}

func entryOf(k ledger.Kind, t watchdog.Transfer) ledger.Entry {
	return ledger.Entry{Kind: k, Transfer: t.ID, Socket: t.Socket}
}

// allowed takes from l what may not be done to t.
func allowed(t watchdog.Transfer, l watchdog.Limit) watchdog.Limit {
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
		l.Window, l.Pacing, l.Shape = 0, 0, false
	}
	if t.Foreign {
		l.Shape = false
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
	if pacing == 0 || pacing > heldPacing {
		pacing = heldPacing
	}
	return window, pacing
}

// tuning is what to set on a socket.
type tuning struct {
	window int64  // bytes; 0 leaves it
	pacing uint64 // bytes/s; 0 leaves it
}

// tune decides what to set on the socket that looks like c.
// mayWindow and mayPacing say that the ledger holds the undo.
func (s *subject) tune(c connection, now time.Time, mayWindow, mayPacing, fullIsSafe bool) (tuning, error) {
	var set tuning
	err := s.watch(c, now)
	if c.listening {
		return set, errors.New("is a listening socket: left alone")
	}
	window, pacing := s.limits()
	if c.established && !s.halted() && (fullIsSafe || !c.full()) {
		set.window = s.clamp(c, window, mayWindow)
	}
	switch {
	case pacing > 0 && mayPacing:
		if want := uint64(max(pacing, minPacing)); c.pacing != want {
			set.pacing = want
		}
	case pacing == 0 && s.pacing != 0:
		set.pacing = math.MaxUint64
	}
	return set, err
}

// clamp gives the window to set, 0 for none.
func (s *subject) clamp(c connection, window int64, may bool) int64 {
	if window == 0 || s.shy {
		if s.window != 0 {
			return liftedWindow
		}
		return 0
	}
	want := max(window, c.floor())
	if !may || c.windowClamped == want {
		return 0
	}
	return want
}

// halted says that some process of the transfer does not run: a stopped
// receiver is never clamped.
func (s *subject) halted() bool { return s.t.Stopped || s.pause.phase == held }

// watch follows the bytes of a clamped receiver.
func (s *subject) watch(c connection, now time.Time) error {
	moved := s.known && c.received != s.seen.received
	if moved && s.stalls < maxStalls {
		s.shy = false
	}
	if !s.known || moved || s.window == 0 || s.halted() {
		s.movedAt = now
		return nil
	}
	if now.Sub(s.movedAt) < stallAfter || !stalled(c) || s.shy {
		return nil
	}
	s.shy = true
	s.stalls++
	return errStalled
}

// stalled tells a receiver that cannot get anything from one that is sent
// nothing: it has read all there was and still offers no room. Before Linux
// 6.2 the kernel does not say what it offers, and silence has to do.
func stalled(c connection) bool {
	return c.wedged() || (c.window < 0 && c.unread == 0)
}

// note takes note of what was set.
func (s *subject) note(set tuning) {
	switch set.window {
	case 0:
	case liftedWindow:
		s.window = 0
	default:
		s.window = set.window
	}
	switch set.pacing {
	case 0:
	case math.MaxUint64:
		s.pacing = 0
	default:
		s.pacing = set.pacing
	}
}

// drained says that the peer has used up the window that was offered before
// the clamp.
func (s *subject) drained(now time.Time) bool {
	switch {
	case s.t.Direction != watchdog.Rx, s.t.Control == watchdog.ControlPauseOnly, !s.known, s.shy:
		return true
	case s.seen.window >= 0:
		return s.window != 0 && s.seen.window <= s.window+s.seen.mss || s.seen.full()
	default:
		return s.pause.phase == draining && now.Sub(s.pause.since) >= oldDrain
	}
}

// moved says that bytes passed since the pulse began.
func (s *subject) moved() bool {
	return s.seen.received != s.from.received || s.seen.acked != s.from.acked
}

// inForce is what stands for the transfer.
func (s *subject) inForce() watchdog.Limit {
	return watchdog.Limit{Window: s.window, Pacing: float64(s.pacing), Pause: s.pause.phase != running}
}
