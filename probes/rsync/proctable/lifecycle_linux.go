package proctable

import (
	"time"

	"lifeline/probes/rsync/cmdline"
	"lifeline/probes/sshd"
)

// Forked notes that an rsync or a part of sshd has a child: the child of an rsync is an
// rsync, the child of sshd may lead to one. An sshd that opens a session has changed
// otherwise, too.
func (s *Table) Forked(child, parent int) (rsync, server bool) {
	if c := s.procs[parent]; c != nil {
		c.childrenAt = time.Time{}
	}
	if _, rsync = s.rsyncs[parent]; rsync {
		s.AddRsync(child)
	}
	if _, server = s.servers[parent]; server {
		s.AddServer(child)
		s.Forget(parent)
	}
	return rsync, server
}

// Executed looks at a process that executes another program by now, and says whether it
// is or was of interest.
func (s *Table) Executed(pid int) bool {
	known, was := s.KnowsPID(pid), s.KnownRsync(pid)
	s.Forget(pid)
	return s.Identify(pid) || known || was
}

// Exited forgets a process, and says whether something was read of it, and whether it was
// named sshd.
func (s *Table) Exited(pid int) (known, server bool) {
	known = s.KnowsPID(pid)
	_, server = s.servers[pid]
	delete(s.rsyncs, pid)
	delete(s.procs, pid)
	delete(s.servers, pid)
	return known, server
}

// Identify looks at what a pid executes and says whether it is an rsync that was not
// known.
func (s *Table) Identify(pid int) bool {
	exe := s.Proc.Exe(pid)
	if exe == "" {
		if st, err := s.Proc.Stat(pid); err == nil && st.State != 'Z' {
			exe = st.Comm
		}
	}
	delete(s.servers, pid)
	if sshd.Named(exe) {
		s.AddServer(pid)
	}
	if !cmdline.IsRsync(exe) || s.KnownRsync(pid) {
		return false
	}
	s.AddRsync(pid)
	s.Forget(pid)
	return true
}

// IdentifyAll looks at all pids that there are, and has the next passes read again what
// was read.
func (s *Table) IdentifyAll(pids []int) {
	clear(s.servers)
	for _, pid := range pids {
		s.Identify(pid)
	}
	s.distrustAll()
}
