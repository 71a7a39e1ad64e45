package shaper

import (
	"errors"
	"slices"
	"time"

	"lifeline/remediate/process"
	"lifeline/remediate/sockopt"
	"lifeline/watchdog"
	"lifeline/watchdog/ledger"
)

// priorities puts sockets into the rsync class by SO_PRIORITY.
type priorities struct {
	ledger  undoLedger
	handles process.Handles
	members map[watchdog.TransferID]watchdog.Socket
	seeker  sockopt.HolderSearch
	pending []ledger.Entry // that could not be undone, of shapers that are gone
}

// socketPriority is what is known of the priority of one socket.
type socketPriority struct {
	entry   ledger.Entry // what stands in the ledger; of no kind before the first change
	checked time.Time    // when it was last read
	cycle   uint64       // the last in which its transfer was a member
}

// set gives the socket of a transfer our priority, unless it has it. The ledger
// gets the value that the application chose, each time that it chose another.
func (p *priorities) set(t *watchdog.Transfer, of *socketPriority, now time.Time) error {
	if of.entry.Kind != "" && t.Age > sockopt.YoungAge && now.Sub(of.checked) < sockopt.RecheckEvery {
		return nil // an application that sets IP_TOS meanwhile has its way until the next look
	}
	p.adopt(t, of)
	p.members[t.ID], of.checked = t.Socket, now
	of.entry.Socket = t.Socket // those who hold it may be others now
	return sockopt.Visit(&p.handles, t.Socket, func(fd int) error {
		was, err := sockopt.Priority(fd)
		if err != nil || was == classRsync {
			return err
		}
		if of.entry.Kind == "" || of.entry.Was != was {
			e := ledger.Entry{Kind: ledger.Priority, Transfer: t.ID, Socket: t.Socket, Was: was, Set: classRsync}
			if err := p.ledger.Append(e); err != nil {
				return err
			}
			of.entry = e
		}
		return sockopt.SetPriority(fd, classRsync)
	})
}

// restore undoes set, and strikes it off the ledger. Where another process holds
// the socket by now it is done through that one, which is looked for meanwhile:
// errSought says so.
func (p *priorities) restore(e ledger.Entry) error {
	if e.Kind == "" {
		return nil // nothing was set
	}
	give := func(s watchdog.Socket) error {
		return sockopt.Visit(&p.handles, s, func(fd int) error { return sockopt.RestorePriority(fd, e) })
	}
	err := give(e.Socket)
	if errors.Is(err, process.ErrGone) {
		if e.Socket.Refs, err = p.seeker.Find(e.Socket); err == nil {
			err = give(e.Socket)
		}
	}
	if err != nil && !errors.Is(err, process.ErrGone) {
		return err
	}
	delete(p.members, e.Transfer)
	used := map[watchdog.ProcID]bool{}
	for _, s := range p.members {
		for _, r := range s.Refs {
			used[r.Proc] = true
		}
	}
	p.handles.Keep(func(id watchdog.ProcID) bool { return used[id] })
	return p.ledger.Done(e.Key())
}

// adopt takes over what an earlier shaper left on the socket of a transfer.
func (p *priorities) adopt(t *watchdog.Transfer, of *socketPriority) {
	for i, e := range p.pending {
		if e.Transfer == t.ID && e.Socket.Inode == t.Socket.Inode {
			of.entry = e
			p.pending = slices.Delete(p.pending, i, i+1)
			return
		}
	}
}

// retryRestore restores what was left when its shaper went.
func (p *priorities) retryRestore() []watchdog.Failure {
	var fails []watchdog.Failure
	left := p.pending
	p.pending = nil
	for _, e := range left {
		if err := p.restore(e); err != nil {
			p.pending = append(p.pending, e)
			if !errors.Is(err, sockopt.ErrSearching) {
				fails = append(fails, transferFailure(e.Transfer, err))
			}
		}
	}
	return fails
}
