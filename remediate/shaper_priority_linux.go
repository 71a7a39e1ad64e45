package remediate

import (
	"errors"
	"fmt"
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
	looked  map[watchdog.TransferID]time.Time // when its priority was last read
}

// set gives the socket of a transfer our priority, unless it has it. The entry
// is what stands in the ledger afterwards: last, or anew with the value that
// the application chose meanwhile.
func (p *priorities) set(t watchdog.Transfer, last ledger.Entry) (ledger.Entry, error) {
	if last.Kind != "" && t.Age > revisitAge && time.Since(p.looked[t.ID]) < revisit {
		return last, nil // an application that sets IP_TOS meanwhile has its way until the next look
	}
	p.held[t.ID], p.looked[t.ID] = t.Socket, time.Now()
	last.Socket = t.Socket // those who hold it may be others now
	err := p.handles.Visit(t.Socket, func(fd int) error {
		now, err := getPriority(fd)
		if err != nil || now == classRsync {
			return err
		}
		if last.Kind == "" || last.Was != now {
			e := ledger.Entry{Kind: ledger.Priority, Transfer: t.ID, Socket: t.Socket, Was: now, Set: classRsync}
			if err := p.ledger.Append(e); err != nil {
				return err
			}
			last = e
		}
		return setPriority(fd, classRsync)
	})
	return last, err
}

// restore undoes set, and strikes it off the ledger.
func (p *priorities) restore(e ledger.Entry) error {
	err := p.handles.Visit(e.Socket, func(fd int) error { return restorePriority(fd, e) })
	if err != nil && !errors.Is(err, ErrGone) {
		return err
	}
	delete(p.held, e.Transfer)
	delete(p.looked, e.Transfer)
	used := map[watchdog.ProcID]bool{}
	for _, s := range p.held {
		for _, r := range s.Refs {
			used[r.Proc] = true
		}
	}
	p.handles.Keep(func(id watchdog.ProcID) bool { return used[id] })
	return p.ledger.Done(e.Key())
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
