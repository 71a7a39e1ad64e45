package proctable

import (
	"errors"
	"slices"
	"time"

	"lifeline/probes/rsync/proc"
	"lifeline/probes/rsync/sockets"
	"lifeline/watchdog"
)

// Holding is what a process has open.
type Holding struct {
	Sockets []sockets.Held // by descriptor
	Files   []proc.FD
	count   int   // of all descriptors; 0 when it does not tell whether they are still the same
	Err     error // why it may be incomplete
	listed  time.Time
	next    int // descriptor from which on it is to be listed further; 0 when it is whole
}

// same says whether two listings show the same.
func (h *Holding) same(other *Holding) bool {
	socket := func(a, b sockets.Held) bool { return a.FD == b.FD && a.Inode == b.Inode && a.Kind == b.Kind }
	return slices.EqualFunc(h.Sockets, other.Sockets, socket) && slices.Equal(h.Files, other.Files) &&
		(h.Err == nil) == (other.Err == nil)
}

// maxInherited is how many descriptors of a parent are looked at for what was inherited.
const maxInherited = 1024

// Holds lists what a process holds open, as it was listed last where that is still trusted.
func (s *Table) Holds(p *proc.Process) *Holding {
	c := s.procs[p.ID.PID]
	if c == nil || c.Process != p {
		return &Holding{}
	}
	switch {
	case c.holding == nil:
		s.list(c)
	case (c.relist || c.holding.next > 0) && !s.exhausted():
		s.list(c)
	}
	return c.holding
}

// Changed says whether a process may hold something else than when that was listed,
// and lists it again then. The number tells, where there is one; a descriptor that
// took another's place shows a little later.
func (s *Table) Changed(p *proc.Process) bool {
	c := s.procs[p.ID.PID]
	if c == nil || c.Process != p || c.holding == nil {
		return true
	}
	before := c.holding
	count := s.Proc.CountFDs(p.ID.PID)
	if count > 0 && count == before.count && s.Now.Sub(before.listed) < SettledFor {
		return false
	}
	s.list(c)
	return !before.same(c.holding)
}

// list lists what a process holds open, fdsAtOnce each time: of more, the rest is as it
// was listed before, until its turn comes.
func (s *Table) list(c *entry) {
	p, before := c.Process, c.holding
	if before == nil {
		before = &Holding{}
	}
	c.relist = false
	count := s.Proc.CountFDs(p.ID.PID)
	fds, next, err := s.Proc.FDsFrom(p.ID.PID, before.next, fdsAtOnce)
	s.Work += 1 + len(fds)
	if proc.Vanished(err) {
		c.holding = &Holding{}
		return
	}
	h := &Holding{Err: err, count: count, listed: s.Now, next: next}
	if next > 0 || before.next > 0 {
		h.keepOutside(before, before.next, next)
		h.count, s.Incomplete = 0, true // the number tells nothing before all were listed
	}
	for _, f := range fds {
		switch f.Kind {
		case proc.FileFD:
			h.Files = append(h.Files, f)
		case proc.SocketFD:
			info, err := s.socket(p, f)
			if info.Kind == sockets.Idle {
				h.count = 0 // it may connect or listen without a change in number
			}
			if err == nil {
				h.Sockets = append(h.Sockets, sockets.Held{FD: f.Num, Inode: f.Inode, Info: info})
			} else if h.Err == nil && !errors.Is(err, proc.ErrGone) {
				h.Err = err
			}
		}
	}
	slices.SortFunc(h.Sockets, func(a, b sockets.Held) int { return a.FD - b.FD })
	c.holding = h
}

// keepOutside takes from an earlier listing what is not within [from, to); to is 0 for no end.
func (h *Holding) keepOutside(before *Holding, from, to int) {
	other := func(fd int) bool { return fd < from || to > 0 && fd >= to }
	for _, f := range before.Files {
		if other(f.Num) {
			h.Files = append(h.Files, f)
		}
	}
	for _, s := range before.Sockets {
		if other(s.FD) {
			h.Sockets = append(h.Sockets, s)
		}
	}
}

// Inherited says whether the parent of a process has a socket too. It looks at none of the parent's sockets: those
// of whoever started an rsync are nobody's business.
func (s *Table) Inherited(p *proc.Process, inode uint64) bool {
	fds, ok := s.parentFDs[p.PPID]
	if !ok {
		// One that may not be looked at shares nothing that is known. What is inherited
		// has the number that it had there, so very high ones are not worth a look.
		fds, _, _ = s.Proc.FDsFrom(p.PPID, 0, maxInherited)
		s.Work += len(fds)
		s.parentFDs[p.PPID] = fds
	}
	return slices.ContainsFunc(fds, func(f proc.FD) bool { return f.Kind == proc.SocketFD && f.Inode == inode })
}

// socket looks at one socket, once: what it is does not change after it is
// connected or listens.
func (s *Table) socket(p *proc.Process, f proc.FD) (sockets.Info, error) {
	if info, ok := s.sockets[f.Inode]; ok {
		return info, nil
	}
	s.Work += socketWork
	info, err := s.inspect.Inspect(watchdog.FDRef{Proc: p.ID, FD: f.Num}, f.Inode)
	if err != nil {
		return info, err
	}
	if info.Kind != sockets.Idle && info.OutOfReach == nil {
		s.sockets[f.Inode] = info
	}
	return info, nil
}
