package undo

import (
	"cmp"
	"context"
	"errors"
	"time"

	"lifeline/remediate/process"
	"lifeline/remediate/sockopt"
	"lifeline/watchdog"
)

// socketResults are the results of all entries of one socket.
type socketResults []*Result

// bySocket gives the results of entries that are about sockets, by inode.
func bySocket(results []Result) map[uint64]socketResults {
	sockets := map[uint64]socketResults{}
	for i := range results {
		if r := &results[i]; targetOf(r.Entry) == socketTarget {
			inode := r.Entry.Socket.Inode
			sockets[inode] = append(sockets[inode], r)
		}
	}
	return sockets
}

func (rs socketResults) socket() watchdog.Socket { return rs[0].Entry.Socket }

func (rs socketResults) set(err error) {
	for _, r := range rs {
		r.Err = err
	}
}

func (rs socketResults) setHolders(refs []watchdog.FDRef) {
	for _, r := range rs {
		r.Entry.Socket.Refs = refs
	}
}

// undoSockets lifts the limits of all pending sockets. Where none of the former holders
// has one any more, another process may: one that was forked, or was sent it. Only what
// the kernel itself does not know any more counts as undone.
func (u Undoer) undoSockets(ctx context.Context, pending map[uint64]socketResults) {
	for len(pending) > 0 {
		resolveLost(ctx, pending, u.trySockets(ctx, pending))
		if len(pending) > 0 {
			time.Sleep(undoRetry)
		}
	}
}

// trySockets tries each pending socket once. Those with an outcome are pending no more;
// those that nobody known holds are given back.
func (u Undoer) trySockets(ctx context.Context, pending map[uint64]socketResults) (lost []watchdog.Socket) {
	for inode, rs := range pending {
		err := u.undoSocket(rs)
		switch {
		case errors.Is(err, sockopt.ErrFull) && ctx.Err() == nil: // again, when it has read
		case errors.Is(err, process.ErrGone):
			lost = append(lost, rs.socket())
		default:
			rs.set(err)
			delete(pending, inode)
		}
	}
	return lost
}

// undoSocket lifts all limits of one socket.
func (u Undoer) undoSocket(rs socketResults) error {
	return sockopt.Visit(u.handles, rs.socket(), func(fd int) error {
		var errs []error
		for _, r := range rs {
			errs = append(errs, sockopt.Undo(fd, r.Entry))
		}
		return errors.Join(errs...)
	})
}

// resolveLost looks for those who hold lost sockets by now. Sockets that have ended are
// pending no more, nor is any that was not found once ctx has ended.
func resolveLost(ctx context.Context, pending map[uint64]socketResults, lost []watchdog.Socket) {
	for inode, h := range sockopt.FindHolders(lost, func() bool { return ctx.Err() != nil }) {
		rs := pending[inode]
		switch {
		case h.Err == nil:
			rs.setHolders(h.Refs)
		case errors.Is(h.Err, process.ErrGone):
			rs.set(nil)
			delete(pending, inode)
		default:
			rs.set(whyNotFound(h.Err, rs[0].Err))
			if ctx.Err() != nil { // until then it may be on its way from one process to another
				delete(pending, inode)
			}
		}
	}
}

// whyNotFound prefers what an earlier search told to what a part of one does.
func whyNotFound(err, earlier error) error {
	if errors.Is(err, sockopt.ErrSearchCutShort) {
		return cmp.Or(earlier, err)
	}
	return err
}
