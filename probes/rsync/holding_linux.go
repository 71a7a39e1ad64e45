package rsync

import (
	"errors"
	"slices"

	"lifeline/watchdog"
)

// maxInherited is how many descriptors of a parent are looked at for what was inherited.
const maxInherited = 1024

// holds implements world.
func (s *scanner) holds(p *process) *holding {
	c := s.procs[p.ID.PID]
	if c == nil || c.process != p {
		return &holding{}
	}
	switch {
	case c.holding == nil:
		s.list(c)
	case (c.relist || c.holding.next > 0) && !s.tired():
		s.list(c)
	}
	return c.holding
}

// moved says whether a process may hold something else than when that was listed,
// and lists it again then. The number tells, where there is one; a descriptor that
// took another's place shows a little later.
func (s *scanner) moved(p *process) bool {
	c := s.procs[p.ID.PID]
	if c == nil || c.process != p || c.holding == nil {
		return true
	}
	before := c.holding
	count := s.proc.countFDs(p.ID.PID)
	if count > 0 && count == before.count && s.now.Sub(before.listed) < settledFor {
		return false
	}
	s.list(c)
	return !before.same(c.holding)
}

// list lists what a process holds open, fdsAtOnce each time: of more, the rest is as it
// was listed before, until its turn comes.
func (s *scanner) list(c *cached) {
	p, before := c.process, c.holding
	if before == nil {
		before = &holding{}
	}
	c.relist = false
	count := s.proc.countFDs(p.ID.PID)
	fds, next, err := s.proc.fdsFrom(p.ID.PID, before.next, fdsAtOnce)
	s.work += 1 + len(fds)
	if vanished(err) {
		c.holding = &holding{}
		return
	}
	h := &holding{err: err, count: count, listed: s.now, next: next}
	if next > 0 || before.next > 0 {
		h.keep(before, before.next, next)
		h.count, s.more = 0, true // the number tells nothing before all were listed
	}
	for _, f := range fds {
		switch f.Kind {
		case fdFile:
			h.files = append(h.files, f)
		case fdSocket:
			info, err := s.socket(p, f)
			if info.Kind == idleSocket {
				h.count = 0 // it may connect or listen without a change in number
			}
			if err == nil {
				h.sockets = append(h.sockets, held{FD: f.Num, Inode: f.Inode, socketInfo: info})
			} else if h.err == nil && !errors.Is(err, errGone) {
				h.err = err
			}
		}
	}
	slices.SortFunc(h.sockets, func(a, b held) int { return a.FD - b.FD })
	c.holding = h
}

// keep takes from an earlier listing what is not within [from, to); to is 0 for no end.
func (h *holding) keep(before *holding, from, to int) {
	other := func(fd int) bool { return fd < from || to > 0 && fd >= to }
	for _, f := range before.files {
		if other(f.Num) {
			h.files = append(h.files, f)
		}
	}
	for _, s := range before.sockets {
		if other(s.FD) {
			h.sockets = append(h.sockets, s)
		}
	}
}

// inherited implements world. It looks at none of the parent's sockets: those
// of whoever started an rsync are nobody's business.
func (s *scanner) inherited(p *process, inode uint64) bool {
	fds, ok := s.handed[p.PPID]
	if !ok {
		// One that may not be looked at shares nothing that is known. What is inherited
		// has the number that it had there, so very high ones are not worth a look.
		fds, _, _ = s.proc.fdsFrom(p.PPID, 0, maxInherited)
		s.work += len(fds)
		s.handed[p.PPID] = fds
	}
	return slices.ContainsFunc(fds, func(f fd) bool { return f.Kind == fdSocket && f.Inode == inode })
}

// socket looks at one socket, once: what it is does not change after it is
// connected or listens.
func (s *scanner) socket(p *process, f fd) (socketInfo, error) {
	if info, ok := s.known[f.Inode]; ok {
		return info, nil
	}
	s.work += socketWork
	info, err := s.look.inspect(watchdog.FDRef{Proc: p.id(), FD: f.Num}, f.Inode)
	if err != nil {
		return info, err
	}
	if info.Kind != idleSocket && info.OutOfReach == nil {
		s.known[f.Inode] = info
	}
	return info, nil
}
