package undo

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"lifeline/remediate/process"
	"lifeline/remediate/shaper"
	"lifeline/remediate/sockopt"
	"lifeline/remediate/sysctl"
	"lifeline/watchdog"
	"lifeline/watchdog/ledger"
)

// Result is what became of one ledger entry. A nil Err is success, also where
// there was nothing left to undo.
type Result struct {
	Entry ledger.Entry
	Err   error
}

// Undoer undoes ledger entries.
type Undoer struct {
	// RemoveTC deletes a traffic-control object or link if it still is the one
	// of the entry, and finds nothing to delete no error; nil is RemoveShaper.
	RemoveTC func(ledger.Entry) error
	handles  *process.Handles // nil: of its own
}

const (
	undoRetry  = 20 * time.Millisecond  // between looks at a receiver that is full
	undoSettle = 100 * time.Millisecond // until a parent notices that its child runs again
)

var errNewerVersion = errors.New("a newer version of lifeline made it, and this one cannot undo it: run `lifeline release` of that version, or reboot")

// Undo takes back all changes of entries: processes run again first, then
// queues and settings go, last added first, then socket limits. One failure never stops
// the others. A receiver that is full is waited for until ctx ends, as a
// clamp changed then can wedge the connection on some kernels. The
// results are in the order of entries.
func (u Undoer) Undo(ctx context.Context, entries []ledger.Entry) []Result {
	if u.handles == nil {
		u.handles = &process.Handles{}
		defer u.handles.Close()
	}
	out := make([]Result, len(entries))
	sockets := map[uint64][]int{}
	var parents []watchdog.ProcID
	for i, e := range entries {
		out[i].Entry = e
		if e.Foreign != nil {
			out[i].Err = errNewerVersion
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
			out[i].Err = errNewerVersion
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
			out[i].Err = sysctl.Restore(e)
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
	if err := u.handles.Signal(p, unix.SIGCONT); err != nil && !errors.Is(err, process.ErrGone) {
		return err
	}
	return nil
}

// wake continues those that stopped because what they had started stopped.
func (u Undoer) wake(parents []watchdog.ProcID) {
	for _, p := range parents {
		if st, err := process.StatOf(p); err == nil && st.Stopped() {
			// A parent is no entry of its own, so an error has no place to go;
			// a person sees it stand there as "stopped".
			_ = u.cont(p)
		}
	}
}

func (u Undoer) removeTC(e ledger.Entry) error {
	if u.RemoveTC == nil {
		return shaper.Remove(e)
	}
	return u.RemoveTC(e)
}

// freeSockets lifts the limits of all sockets, by inode and by the indices of
// their entries in out. Where none of the former holders has one any more, another
// process may: one that was forked, or was sent it. Only what the kernel itself does
// not know any more counts as undone.
func (u Undoer) freeSockets(ctx context.Context, out []Result, sockets map[uint64][]int) {
	for len(sockets) > 0 {
		var lost []watchdog.Socket
		for inode, is := range sockets {
			err := u.freeSocket(out, is)
			switch {
			case errors.Is(err, sockopt.ErrFull) && ctx.Err() == nil:
				continue
			case errors.Is(err, process.ErrGone):
				lost = append(lost, out[is[0]].Entry.Socket)
				continue
			}
			setResult(out, is, err)
			delete(sockets, inode)
		}
		findLost(ctx, out, sockets, lost)
		if len(sockets) > 0 {
			time.Sleep(undoRetry)
		}
	}
}

// findLost looks for those who hold lost sockets by now, and takes out of sockets the
// ones that have ended, and when ctx has, all that were not found.
func findLost(ctx context.Context, out []Result, sockets map[uint64][]int, lost []watchdog.Socket) {
	for inode, f := range sockopt.FindHolders(lost, func() bool { return ctx.Err() != nil }) {
		is := sockets[inode]
		switch {
		case f.Err == nil:
			for _, i := range is {
				out[i].Entry.Socket.Refs = f.Refs
			}
			continue
		case errors.Is(f.Err, process.ErrGone):
			setResult(out, is, nil)
			delete(sockets, inode)
			continue
		case errors.Is(f.Err, sockopt.ErrSearchCutShort): // what an earlier look told is better than a part of one
			f.Err = cmp.Or(out[is[0]].Err, f.Err)
		}
		setResult(out, is, f.Err)
		if ctx.Err() != nil { // until then it may be on its way from one process to another
			delete(sockets, inode)
		}
	}
}

// setResult notes what became of the entries of one socket.
func setResult(out []Result, is []int, err error) {
	for _, i := range is {
		out[i].Err = err
	}
}

// freeSocket lifts all limits of one socket.
func (u Undoer) freeSocket(out []Result, is []int) error {
	return sockopt.Visit(u.handles, out[is[0]].Entry.Socket, func(fd int) error {
		var errs []error
		for _, i := range is {
			errs = append(errs, sockopt.Undo(fd, out[i].Entry))
		}
		return errors.Join(errs...)
	})
}
