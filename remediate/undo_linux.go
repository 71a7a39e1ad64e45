package remediate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"lifeline/watchdog"
	"lifeline/watchdog/ledger"
)

// Undone is what became of one ledger entry. A nil Err is success, also where
// there was nothing left to undo.
type Undone struct {
	Entry ledger.Entry
	Err   error
}

// Undoer undoes ledger entries.
type Undoer struct {
	// RemoveTC deletes a traffic-control object or link if it still is the one
	// of the entry, and finds nothing to delete no error; nil is RemoveShaper.
	RemoveTC func(ledger.Entry) error
	handles  *Handles // nil: of its own
}

const (
	undoRetry  = 20 * time.Millisecond  // between looks at a receiver that is full
	undoSettle = 100 * time.Millisecond // until a parent notices that its child runs again
)

var errForeign = errors.New("a newer version of lifeline made it, and this one cannot undo it: run `lifeline release` of that version, or reboot")

// Undo takes back all changes of entries: processes run again first, then
// queues and settings go, last added first, then socket limits. One failure never stops
// the others. A receiver that is full is waited for until ctx ends, as a
// clamp changed then can wedge the connection on some kernels. The
// results are in the order of entries.
func (u Undoer) Undo(ctx context.Context, entries []ledger.Entry) []Undone {
	if u.handles == nil {
		u.handles = &Handles{}
		defer u.handles.Close()
	}
	out := make([]Undone, len(entries))
	sockets := map[uint64][]int{}
	var parents []watchdog.ProcID
	for i, e := range entries {
		out[i].Entry = e
		if e.Foreign != nil {
			out[i].Err = errForeign
			continue
		}
		switch e.Kind {
		case ledger.Pause:
			out[i].Err = u.cont(e.Proc)
			parents = append(parents, e.Parents...)
		case ledger.Window, ledger.Pacing, ledger.Priority, ledger.Buffer, ledger.Autotune:
			sockets[e.Socket.Inode] = append(sockets[e.Socket.Inode], i)
		case ledger.Qdisc, ledger.Class, ledger.Filter, ledger.IFB, ledger.Bursts: // below
		default:
			out[i].Err = errForeign
		}
	}
	u.wake(parents)
	for i, e := range slices.Backward(entries) {
		if e.Foreign != nil {
			continue
		}
		switch e.Kind {
		case ledger.Qdisc, ledger.Class, ledger.Filter, ledger.IFB:
			out[i].Err = u.removeTC(e)
		case ledger.Bursts:
			out[i].Err = restoreBursts(e)
		}
	}
	u.freeSockets(ctx, out, sockets)
	if len(parents) > 0 {
		time.Sleep(undoSettle)
		u.wake(parents)
	}
	return out
}

func (u Undoer) cont(p watchdog.ProcID) error {
	if err := u.handles.signal(p, unix.SIGCONT); err != nil && !errors.Is(err, ErrGone) {
		return err
	}
	return nil
}

// wake continues those that stopped because what they had started stopped.
func (u Undoer) wake(parents []watchdog.ProcID) {
	for _, p := range parents {
		if st, err := statOf(p); err == nil && st.stopped() {
			// A parent is no entry of its own, so an error has no place to go;
			// a person sees it stand there as "stopped".
			_ = u.cont(p)
		}
	}
}

func (u Undoer) removeTC(e ledger.Entry) error {
	if u.RemoveTC == nil {
		return RemoveShaper(e)
	}
	return u.RemoveTC(e)
}

// freeSockets lifts the limits of all sockets, by inode and by the indices of
// their entries in out. Where none of the former holders has one any more, another
// process may: one that was forked, or was sent it. Only what the kernel itself does
// not know any more counts as undone.
func (u Undoer) freeSockets(ctx context.Context, out []Undone, sockets map[uint64][]int) {
	for len(sockets) > 0 {
		var lost []watchdog.Socket
		for inode, is := range sockets {
			err := u.freeSocket(out, is)
			switch {
			case errors.Is(err, errFull) && ctx.Err() == nil:
				continue
			case errors.Is(err, ErrGone):
				lost = append(lost, out[is[0]].Entry.Socket)
				continue
			}
			settleSocket(out, is, err)
			delete(sockets, inode)
		}
		follow(ctx, out, sockets, lost)
		if len(sockets) > 0 {
			time.Sleep(undoRetry)
		}
	}
}

// follow looks for those who hold lost sockets by now, and takes out of sockets the
// ones that have ended, and when ctx has, all that were not found.
func follow(ctx context.Context, out []Undone, sockets map[uint64][]int, lost []watchdog.Socket) {
	for inode, f := range trace(lost, func() bool { return ctx.Err() != nil }) {
		is := sockets[inode]
		switch {
		case f.err == nil:
			for _, i := range is {
				out[i].Entry.Socket.Refs = f.refs
			}
			continue
		case errors.Is(f.err, ErrGone):
			settleSocket(out, is, nil)
			delete(sockets, inode)
			continue
		case errors.Is(f.err, errUnsearched): // what an earlier look told is better than a part of one
			f.err = cmp.Or(out[is[0]].Err, f.err)
		}
		settleSocket(out, is, f.err)
		if ctx.Err() != nil { // until then it may be on its way from one process to another
			delete(sockets, inode)
		}
	}
}

// settleSocket notes what became of the entries of one socket.
func settleSocket(out []Undone, is []int, err error) {
	for _, i := range is {
		out[i].Err = err
	}
}

var errFull = errors.New("the receiver is full, and its window cannot be lifted now")

// freeSocket lifts all limits of one socket.
func (u Undoer) freeSocket(out []Undone, is []int) error {
	return u.handles.Visit(out[is[0]].Entry.Socket, func(fd int) error {
		var errs []error
		for _, i := range is {
			errs = append(errs, lift(fd, out[i].Entry))
		}
		return errors.Join(errs...)
	})
}

// lift undoes one entry on its socket.
func lift(fd int, e ledger.Entry) error {
	switch e.Kind {
	case ledger.Window:
		c, err := inspect(fd)
		if err != nil {
			return err
		}
		if c.established && c.full() && c.windowClamped != liftedWindow {
			return errFull
		}
		return setWindow(fd, liftedWindow)
	case ledger.Pacing:
		return setPacing(fd, liftedPacing)
	case ledger.Buffer:
		return freeBuffer(fd, int64(e.Was))
	case ledger.Autotune:
		return setAutotune(fd, true)
	default:
		return restorePriority(fd, e)
	}
}

// restorePriority gives the application's value back, unless the application
// has set another one since.
func restorePriority(fd int, e ledger.Entry) error {
	now, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PRIORITY)
	if err != nil {
		return fmt.Errorf("get SO_PRIORITY: %w", err)
	}
	if now != e.Set {
		return nil
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PRIORITY, e.Was); err != nil {
		return fmt.Errorf("set SO_PRIORITY: %w", err)
	}
	return nil
}
