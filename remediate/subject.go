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
	minBuffer  = 32 << 10        // bytes: two segments with all the overhead that drivers give them
)

var errStalled = errors.New("nothing was received after the clamp: lifted")

// subject is one transfer and what stands for it.
type subject struct {
	visited time.Time // when its socket was last looked at
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
	rate        float64    // bytes/s in force by a class of its own; 0 for none
	unheld      string     // why it is not at the rate that is wanted
	buffer      int64      // bytes of receive buffer before it was made small; 0 when it is not
	fixed       bool       // we keep the kernel from tuning the receive buffer
	seen        connection // at the last visit
	known       bool       // there was one
	movedAt     time.Time  // bytes were last received
	stalls      int
	shy         bool // stalled: no clamp until bytes move
	from        connection
	goneSince   time.Time
	windowEntry string // ledger keys
	pacingEntry string
	bufferEntry string
	tuneEntry   string
	has         recorded // of these, in the ledger
}

func newSubject(t watchdog.Transfer, now time.Time) *subject {
	return &subject{
		t:           t,
		movedAt:     now,
		windowEntry: entryOf(ledger.Window, t).Key(),
		pacingEntry: entryOf(ledger.Pacing, t).Key(),
		bufferEntry: entryOf(ledger.Buffer, t).Key(),
		tuneEntry:   entryOf(ledger.Autotune, t).Key(),
	}
}

func entryOf(k ledger.Kind, t watchdog.Transfer) ledger.Entry {
	return ledger.Entry{Kind: k, Transfer: t.ID, Socket: t.Socket}
}

// allowed takes from l what may not be done to t.
func allowed(t *watchdog.Transfer, l watchdog.Limit) watchdog.Limit {
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
	if pacing == 0 || pacing > heldPacing {
		pacing = heldPacing
	}
	return window, pacing
}

// tuning is what to set on a socket.
type tuning struct {
	window   int64  // bytes; 0 leaves it
	pacing   uint64 // bytes/s; 0 leaves it
	buffer   int64  // bytes, to make the receive buffer small; 0 leaves it
	unbuffer int64  // bytes that it had before, to give them back; 0 leaves it
	autotune autotune
}

// recorded says which undos the ledger holds.
type recorded struct{ window, pacing, buffer, autotune bool }

// tune decides what to set on the socket that looks like c.
func (s *subject) tune(c connection, now time.Time, fullIsSafe bool) (tuning, error) {
	var set tuning
	err := s.watch(c, now)
	if c.listening {
		return set, errors.New("is a listening socket: left alone")
	}
	window, pacing := s.limits()
	if c.established && !s.halted() && (fullIsSafe || !c.full()) {
		set.window = s.clamp(c, window, s.has.window)
	}
	switch {
	case pacing > 0 && s.has.pacing:
		if want := uint64(max(pacing, minPacing)); c.pacing != want {
			set.pacing = want
		}
	case pacing == 0 && s.pacing != 0:
		set.pacing = math.MaxUint64
	}
	switch {
	case s.wantsBuffer() && s.has.buffer && s.buffer == 0 && s.narrow(c, now):
		set.buffer = c.unread + max(minBuffer, 8*c.floor())
	case !s.wantsBuffer() && s.buffer != 0:
		set.unbuffer = s.buffer
	case s.buffer == 0:
		set.autotune = s.tuneBuffer(c, set.window)
	}
	return set, err
}

// wantsBuffer says whether the receive buffer is to be small: a receiver that
// is stopped goes on receiving until its buffer is full, 8 of them at the full
// rate of 100 Mbit/s for 1.7 s, and with a small one for 30 ms. Over ssh the
// socket's owner reads on, so there it has no use; and a size that the
// application chose is left alone.
func (s *subject) wantsBuffer() bool {
	return s.want.Pause && s.t.Direction == watchdog.Rx && s.t.Via == watchdog.ViaDaemon &&
		s.t.Control == watchdog.ControlFull && (s.buffer != 0 || s.known && !s.chosen(s.seen))
}

// narrow says that the peer has used up the window that was offered before the
// clamp. Only then may the buffer be made small: what is sent into an offered
// window and finds no buffer is lost, and the sender falls silent for seconds.
func (s *subject) narrow(c connection, now time.Time) bool {
	switch {
	case s.window == 0 || c.windowClamped > s.window:
		return false
	case c.window >= 0:
		return c.window <= s.window+c.mss
	}
	// Not told before Linux 6.2: it takes its time, once for each pause.
	return s.pause.phase == pulsing || s.pause.phase == draining && now.Sub(s.pause.since) >= oldDrain
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
// receiver is never clamped. A sample may be older than our own resume.
func (s *subject) halted() bool {
	return s.pause.phase == held || s.t.Stopped && s.pause.phase != pulsing
}

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
	switch set.autotune {
	case keepAutotune:
	case holdAutotune:
		s.fixed = true
	case freeAutotune:
		s.fixed = false
	}
}

// noteBuffer takes note of a receive buffer that was made small or given back.
func (s *subject) noteBuffer(set tuning, c connection) {
	switch {
	case set.buffer != 0:
		s.buffer = c.buffer
	case set.unbuffer != 0:
		s.buffer = 0
	}
}

// drained says that the transfer may be stopped.
func (s *subject) drained(now time.Time) bool {
	switch {
	case s.t.Direction != watchdog.Rx, s.t.Control == watchdog.ControlPauseOnly, !s.known, s.shy:
		return true
	case s.wantsBuffer() && s.buffer == 0:
		return s.seen.full()
	}
	return s.seen.full() || s.narrow(s.seen, now)
}

// moved says that bytes passed since the pulse began.
func (s *subject) moved() bool {
	return s.seen.received != s.from.received || s.seen.acked != s.from.acked
}

// limited says that something is set on its socket.
func (s *subject) limited() bool {
	return s.window != 0 || s.pacing != 0 || s.buffer != 0 || s.fixed
}

// place is where a shaper for the transfer would stand.
func (s *subject) place() watchdog.ShaperKey {
	return watchdog.ShaperKey{Link: s.t.Link, Direction: s.t.Direction}
}

// inForce is what stands for the transfer, with these shapers in place.
func (s *subject) inForce(shapers map[watchdog.ShaperKey]float64) watchdog.Limit {
	l := watchdog.Limit{Window: s.window, Pacing: float64(s.pacing), Rate: s.rate, Pause: s.pause.phase != running}
	if s.want.Shape && s.want.Rate == 0 {
		_, l.Shape = shapers[s.place()]
	}
	return l
}
