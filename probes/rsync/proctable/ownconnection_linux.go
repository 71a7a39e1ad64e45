package proctable

import (
	"lifeline/probes/rsync/proc"
	"lifeline/probes/rsync/sockets"
)

// counter tells what passed through a socket of another process.
type counter interface {
	Passed(p *proc.Process, s sockets.Held) (proc.IO, error)
}

// OwnConnection is the connection that was found to be a process's own, by inode; 0 for none.
func (s *Table) OwnConnection(p *proc.Process) uint64 {
	if c := s.procs[p.ID.PID]; c != nil && c.Process == p {
		return c.ownInode
	}
	return 0
}

// SetOwnConnection notes a process's own connection, by inode.
func (s *Table) SetOwnConnection(p *proc.Process, inode uint64) {
	if c := s.procs[p.ID.PID]; c != nil && c.Process == p {
		c.ownInode, c.correlation = inode, nil
	}
}

// CorrelatedConnection says which of its connections moves with what a family of processes
// reads and writes, when that shows. Of very many connections some have their turn with
// each pass.
func (s *Table) CorrelatedConnection(p *proc.Process, family []*proc.Process, tcp []sockets.Held) (uint64, bool) {
	c := s.procs[p.ID.PID]
	if c == nil || c.Process != p || s.count == nil {
		return 0, false
	}
	if c.correlation == nil {
		c.correlation = &correlation{}
	}
	x := c.correlation
	x.retain(tcp)
	pids := make([]int, 0, len(family))
	for _, q := range family {
		pids = append(pids, q.ID.PID)
	}
	// However late it is looked at, no connection must seem to have moved more than
	// the process: at first that counts from before, later up to after.
	before, err := s.Proc.TotalIO(pids)
	counts := map[uint64]proc.IO{}
	for range min(observedPerPass, len(tcp)) {
		x.next = (x.next + 1) % len(tcp)
		if n, err := s.count.Passed(p, tcp[x.next]); err == nil {
			counts[tcp[x.next].Inode] = n
		}
	}
	after, errAfter := s.Proc.TotalIO(pids)
	if err != nil || errAfter != nil {
		return 0, false
	}
	for inode, n := range counts {
		io := after
		if x.candidates[inode] == nil {
			io = before
		}
		x.observe(inode, n, io)
	}
	return x.best()
}
