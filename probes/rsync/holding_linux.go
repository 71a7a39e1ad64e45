package rsync

import (
	"errors"
	"slices"

	"lifeline/watchdog"
)

// holds implements world.
func (s *scanner) holds(p *process) *holding {
	c := s.procs[p.ID.PID]
	if c == nil || c.process != p {
		return &holding{}
	}
	if c.holding == nil {
		c.holding = s.holding(p)
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
	c.holding = s.holding(p)
	return !before.same(c.holding)
}

// holding lists what a process holds open.
func (s *scanner) holding(p *process) *holding {
	count := s.proc.countFDs(p.ID.PID)
	fds, err := s.proc.fds(p.ID.PID)
	if vanished(err) {
		return &holding{}
	}
	h := &holding{err: err, count: count, listed: s.now}
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
	return h
}

// inherited implements world. It looks at none of the parent's sockets: those
// of whoever started an rsync are nobody's business.
func (s *scanner) inherited(p *process, inode uint64) bool {
	fds, ok := s.handed[p.PPID]
	if !ok {
		fds, _ = s.proc.fds(p.PPID) // one that may not be looked at shares nothing that is known
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
	info, err := s.look.inspect(watchdog.FDRef{Proc: p.id(), FD: f.Num}, f.Inode)
	if err != nil {
		return info, err
	}
	if info.Kind != idleSocket && info.OutOfReach == nil {
		s.known[f.Inode] = info
	}
	return info, nil
}
