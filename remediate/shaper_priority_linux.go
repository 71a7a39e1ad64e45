package remediate

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"lifeline/watchdog"
	"lifeline/watchdog/ledger"
)

// priorities puts sockets into the rsync class by SO_PRIORITY.
type priorities struct {
	ledger  undoLedger
	handles Handles
	held    map[watchdog.TransferID]watchdog.Socket
	seeker  seeker
	left    []ledger.Entry // that could not be undone, of shapers that are gone
}

// priority is what is known of the priority of one socket.
type priority struct {
	entry  ledger.Entry // what stands in the ledger; of no kind before the first change
	looked time.Time    // when it was last read
	turn   uint64       // the last in which its transfer was a member
}

// set gives the socket of a transfer our priority, unless it has it. The ledger
// gets the value that the application chose, each time that it chose another.
func (p *priorities) set(t *watchdog.Transfer, of *priority, now time.Time) error {
	if of.entry.Kind != "" && t.Age > revisitAge && now.Sub(of.looked) < revisitSet {
		return nil // an application that sets IP_TOS meanwhile has its way until the next look
	}
	p.adopt(t, of)
	p.held[t.ID], of.looked = t.Socket, now
	of.entry.Socket = t.Socket // those who hold it may be others now
	return p.handles.Visit(t.Socket, func(fd int) error {
		was, err := getPriority(fd)
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
		return setPriority(fd, classRsync)
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
		return p.handles.Visit(s, func(fd int) error { return restorePriority(fd, e) })
	}
	err := give(e.Socket)
	if errors.Is(err, ErrGone) {
		if e.Socket.Refs, err = p.seeker.trace(e.Socket); err == nil {
			err = give(e.Socket)
		}
	}
	if err != nil && !errors.Is(err, ErrGone) {
		return err
	}
	delete(p.held, e.Transfer)
	used := map[watchdog.ProcID]bool{}
	for _, s := range p.held {
		for _, r := range s.Refs {
			used[r.Proc] = true
		}
	}
	p.handles.Keep(func(id watchdog.ProcID) bool { return used[id] })
	return p.ledger.Done(e.Key())
}

// adopt takes over what an earlier shaper left on the socket of a transfer.
func (p *priorities) adopt(t *watchdog.Transfer, of *priority) {
	for i, e := range p.left {
		if e.Transfer == t.ID && e.Socket.Inode == t.Socket.Inode {
			of.entry = e
			p.left = slices.Delete(p.left, i, i+1)
			return
		}
	}
}

// again restores what was left when its shaper went.
func (p *priorities) again() []watchdog.Failure {
	var fails []watchdog.Failure
	left := p.left
	p.left = nil
	for _, e := range left {
		if err := p.restore(e); err != nil {
			p.left = append(p.left, e)
			if !errors.Is(err, errSought) {
				fails = append(fails, transferFailure(e.Transfer, err))
			}
		}
	}
	return fails
}

func getPriority(fd int) (int, error) {
	v, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PRIORITY)
	if err != nil {
		return 0, fmt.Errorf("get SO_PRIORITY: %w", err)
	}
	return v, nil
}

func setPriority(fd, v int) error {
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PRIORITY, v); err != nil {
		return fmt.Errorf("set SO_PRIORITY to %#x: %w", v, err)
	}
	return nil
}
