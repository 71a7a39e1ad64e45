package remediate

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"lifeline/watchdog"
)

const (
	seekEvery = time.Second // between two looks through all processes
	seekRatio = 20          // of the time, one part in so many goes to them
)

// errSought says that a socket is being looked for: what stands on it is not lifted yet.
var errSought = errors.New("its holder is being looked for")

// seeker looks for whoever holds sockets that their former holders have no more, apart
// from the control loop and without its priority: any user decides how much there is
// to look through. The zero value is ready; it is safe for concurrent use.
type seeker struct {
	mu      sync.Mutex
	wanted  map[uint64]watchdog.Socket // by inode, for the next look
	found   map[uint64]traced          // of the last one
	looking bool
	rest    time.Time // no look before
}

// trace says who holds a socket: ErrGone when it has ended, errSought when that is
// not known yet and is to be asked again.
func (k *seeker) trace(s watchdog.Socket) ([]watchdog.FDRef, error) {
	own, err := netnsInode()
	if here := s.Netns == 0 || err == nil && s.Netns == own; here && surelyEnded(s) {
		return nil, fmt.Errorf("socket %d: %w", s.Inode, ErrGone)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	f, known := k.found[s.Inode]
	if known && (f.err == nil || errors.Is(f.err, ErrGone)) {
		delete(k.found, s.Inode) // true when it was found; a holder may be another by now
		return f.refs, f.err
	}
	if k.wanted == nil {
		k.wanted = map[uint64]watchdog.Socket{}
	}
	k.wanted[s.Inode] = s
	if now := time.Now(); !k.looking && !now.Before(k.rest) {
		k.looking = true
		go k.look(k.wanted)
		k.wanted = nil
	}
	if known {
		return nil, f.err
	}
	return nil, errSought
}

// look is one look through all processes.
func (k *seeker) look(wanted map[uint64]watchdog.Socket) {
	sockets := make([]watchdog.Socket, 0, len(wanted))
	for _, s := range wanted {
		sockets = append(sockets, s)
	}
	began := time.Now()
	var found map[uint64]traced
	unhurried(func() { found = trace(sockets, func() bool { return false }) })
	ended := time.Now()
	k.mu.Lock()
	defer k.mu.Unlock()
	k.found, k.looking = found, false
	k.rest = ended.Add(max(seekEvery, seekRatio*ended.Sub(began)))
}

// unhurried runs f on a thread of its own without the daemon's priority over other
// processes. It has a processor of the runtime's more meanwhile, for on a busy host the
// thread may not be run for long, and would keep the only one from everybody else.
func unhurried(f func()) {
	starting(1)
	defer starting(-1)
	_ = onOwnThread(func() error {
		beOrdinary()
		f()
		return nil
	})
}

// beOrdinary takes from the calling thread what the daemon has before others. Where
// that is denied, it has less than usual, and nothing is to be taken away.
func beOrdinary() {
	_ = unix.Setpriority(unix.PRIO_PROCESS, 0, 0)
	if now, err := unix.SchedGetAttr(0, 0); err == nil && now.Policy == unix.SCHED_NORMAL {
		_ = unix.SchedSetAttr(0, &unix.SchedAttr{Size: unix.SizeofSchedAttr}, 0) // slices as everybody has them
	}
}
