package rsync

import (
	"errors"
	"io/fs"
	"time"
)

// children implements world.
func (s *scanner) children(pid int) []*process {
	pids := s.childPIDs(pid)
	var out []*process
	for _, k := range pids {
		if p := s.process(k); p != nil && p.PPID == pid {
			out = append(out, p)
		}
	}
	return out
}

// childPIDs lists those of a young process with each pass. Those of an older one once for
// each time that it is read: a fork in between is told by an event, or else found after
// polledEvery.
func (s *scanner) childPIDs(pid int) []int {
	if c := s.procs[pid]; c != nil {
		told := s.age(c.process) > crowdAge && (s.events || s.now.Sub(c.kidsAt) < polledEvery)
		if c.kidsAt.IsZero() || !told && !c.kidsAt.Equal(s.now) {
			c.kids, c.kidsAt = s.listChildren(pid), s.now
		}
		return c.kids
	}
	pids, ok := s.kids[pid]
	if !ok {
		pids = s.listChildren(pid)
		s.kids[pid] = pids
	}
	return pids
}

// forked has the children of a process listed anew.
func (s *scanner) forked(pid int) {
	if c := s.procs[pid]; c != nil {
		c.kidsAt = time.Time{}
	}
}

func (s *scanner) listChildren(pid int) []int {
	s.work += childrenWork
	pids, err := s.proc.children(pid)
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return pids
	}
	if _, err := s.proc.stat(pid); err != nil {
		return nil
	}
	if s.parents == nil {
		s.parents = s.tree()
	}
	return s.parents[pid]
}

// tree lists the children of every process the long way.
func (s *scanner) tree() map[int][]int {
	tree := map[int][]int{}
	pids, err := s.proc.pids()
	if err != nil {
		return tree
	}
	for _, pid := range pids {
		if st, err := s.proc.stat(pid); err == nil {
			tree[st.PPID] = append(tree[st.PPID], pid)
		}
	}
	return tree
}
