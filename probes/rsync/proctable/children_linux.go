package proctable

import (
	"errors"
	"io/fs"

	"lifeline/probes/rsync/proc"
)

// Children lists the processes that a process started.
func (s *Table) Children(pid int) []*proc.Process {
	pids := s.childPIDs(pid)
	var out []*proc.Process
	for _, k := range pids {
		if p := s.Process(k); p != nil && p.PPID == pid {
			out = append(out, p)
		}
	}
	return out
}

// childPIDs lists those of a young process with each pass. Those of an older one once for
// each time that it is read: a fork in between is told by an event, or else found after
// childrenFor.
func (s *Table) childPIDs(pid int) []int {
	if c := s.procs[pid]; c != nil {
		told := s.Age(c.Process) > YoungAge && (s.Events || s.Now.Sub(c.childrenAt) < childrenFor)
		if c.childrenAt.IsZero() || !told && !c.childrenAt.Equal(s.Now) {
			c.children, c.childrenAt = s.listChildren(pid), s.Now
		}
		return c.children
	}
	pids, ok := s.childPIDsOf[pid]
	if !ok {
		pids = s.listChildren(pid)
		s.childPIDsOf[pid] = pids
	}
	return pids
}

func (s *Table) listChildren(pid int) []int {
	s.Work += childrenWork
	pids, err := s.Proc.Children(pid)
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return pids
	}
	if _, err := s.Proc.Stat(pid); err != nil {
		return nil
	}
	if s.childrenOf == nil {
		s.childrenOf = s.tree()
	}
	return s.childrenOf[pid]
}

// tree lists the children of every process the long way.
func (s *Table) tree() map[int][]int {
	tree := map[int][]int{}
	pids, err := s.Proc.PIDs()
	if err != nil {
		return tree
	}
	for _, pid := range pids {
		if st, err := s.Proc.Stat(pid); err == nil {
			tree[st.PPID] = append(tree[st.PPID], pid)
		}
	}
	return tree
}
