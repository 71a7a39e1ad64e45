package proctable

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"lifeline/probes/rsync/cmdline"
	"lifeline/probes/rsync/proc"
	"lifeline/probes/rsync/sockets"
	"lifeline/probes/sshd"
	"lifeline/watchdog"
)

// How long what was read of a process is taken as still true, when no event
// says otherwise. A connection that is not understood yet is looked at often.
const (
	trustedFor = 60 * time.Second // an rsync, and who holds its connection, with events
	SettledFor = 10 * time.Second // others, with events, and what any of them holds
	polledFor  = 4 * time.Second  // without

	childrenFor = time.Second // a list of children, without events

	// YoungAge is below which a process may be about to become a transfer.
	YoungAge = 5 * time.Second
)

// YoungFor is how long to wait before a process that is not understood is
// read again, by how long it has been known.
func YoungFor(age time.Duration) time.Duration {
	switch {
	case age < 100*time.Millisecond:
		return 3 * time.Millisecond
	case age < time.Second:
		return 10 * time.Millisecond
	case age < 10*time.Second:
		return 100 * time.Millisecond
	}
	return time.Second
}

// entry is a process with what is remembered about it.
type entry struct {
	*proc.Process
	since       time.Time // known
	read        time.Time
	expires     time.Time // read it again from then on
	holding     *Holding  // nil until asked for
	identity    *sshd.Identity
	relist      bool         // it was listed before the process was read
	children    []int        // pids of its children
	childrenAt  time.Time    // when they were listed; zero for never
	ownInode    uint64       // inode of its own connection, as SetOwnConnection has it; 0 for none
	correlation *correlation // of several connections for that; nil for none
}

// Table keeps what was read of the processes that matter: rsyncs, and those
// above and below them. It is for one goroutine at a time.
type Table struct {
	Proc         proc.FS
	inspect      sockets.Inspector
	count        counter          // nil: nothing is known of what passed
	Now          time.Time        // of this pass
	Events       bool             // a process that changes is told by Executed or Forget
	rsyncs       map[int]struct{} // known to be one
	servers      map[int]struct{} // named sshd
	procs        map[int]*entry
	sockets      map[uint64]sockets.Info              // by inode
	childPIDsOf  map[int][]int                        // of this pass
	parentFDs    map[int][]proc.FD                    // of this pass: what a parent holds
	childrenOf   map[int][]int                        // of this pass, when the kernel lists no children
	Failure      error                                // of this pass: a process that lives could not be read
	ReadIdentity func(pid int) (sshd.Identity, error) // sshd.Read, but in tests
	Work         int                                  // of this pass, in entries of /proc and the like
	Incomplete   bool                                 // this pass left something for the next
	turn         int                                  // of the rsyncs, whose turn it is first
}

// What a pass may cost, in entries of /proc that are read and sockets that are asked, of
// some microseconds each. Any user can have thousands of processes and descriptors: what
// is above that has its turn in the next passes, and what is new comes first.
const (
	passWork     = 32768
	ProcessWork  = 8   // to read a process
	socketWork   = 6   // to look at a socket
	childrenWork = 2   // to list children
	fdsAtOnce    = 256 // descriptors of one process that are listed at once
)

// MaxPassWork is what a pass costs at most: the last thing that it begins may be one of
// the dearest.
const MaxPassWork = passWork + ProcessWork + fdsAtOnce*(1+socketWork) + maxInherited

// exhausted says that this pass has done enough.
func (s *Table) exhausted() bool {
	if s.Work < passWork {
		return false
	}
	s.Incomplete = true
	return true
}

// New makes a Table of a /proc tree that looks at sockets by look. count tells what passed through one;
// nil where that is not to be known.
func New(proc proc.FS, look sockets.Inspector, count counter) *Table {
	return &Table{
		Proc: proc, inspect: look, count: count, ReadIdentity: func(pid int) (sshd.Identity, error) { return sshd.Read(proc.Root, pid) },
		rsyncs: map[int]struct{}{}, servers: map[int]struct{}{}, procs: map[int]*entry{}, sockets: map[uint64]sockets.Info{},
	}
}

// KnownRsync says whether a pid is known to be an rsync.
func (s *Table) KnownRsync(pid int) bool {
	_, ok := s.rsyncs[pid]
	return ok
}

// KnowsPID says whether something was read of a process.
func (s *Table) KnowsPID(pid int) bool { return s.procs[pid] != nil }

// Forget makes the next pass read a process again.
func (s *Table) Forget(pid int) {
	if c := s.procs[pid]; c != nil {
		c.expires = time.Time{}
	}
}

// distrustAll makes the next passes read all processes again.
func (s *Table) distrustAll() {
	for _, c := range s.procs {
		c.expires = c.read
	}
}

// Begin starts a pass.
func (s *Table) Begin(now time.Time) {
	s.Now, s.Failure = now, nil
	s.Work, s.Incomplete = 0, false
	s.childPIDsOf, s.parentFDs, s.childrenOf = map[int][]int{}, map[int][]proc.FD{}, nil
}

// Advance moves the time on without beginning a pass.
func (s *Table) Advance(now time.Time) { s.Now = now }

// AddRsync notes that a pid is an rsync.
func (s *Table) AddRsync(pid int) { s.rsyncs[pid] = struct{}{} }

// AddServer notes that a pid has the name of one of sshd's programs.
func (s *Table) AddServer(pid int) { s.servers[pid] = struct{}{} }

// CountProcesses is of how many processes something is known.
func (s *Table) CountProcesses() int { return len(s.procs) }

// CountRsyncs is how many rsyncs are known.
func (s *Table) CountRsyncs() int { return len(s.rsyncs) }

// Running reads all rsyncs that are known, and drops those that have ended. New ones come
// first; of the others each has its turn.
func (s *Table) Running() []*proc.Process {
	var out []*proc.Process
	for _, pid := range s.inTurn() {
		if s.procs[pid] == nil && s.exhausted() {
			continue // not looked at yet
		}
		p := s.Process(pid)
		if p == nil || !p.IsRsync() && !s.executing(p) {
			delete(s.rsyncs, pid)
			continue
		}
		out = append(out, p)
	}
	slices.SortFunc(out, func(a, b *proc.Process) int { return a.ID.PID - b.ID.PID })
	return out
}

// inTurn orders the known rsyncs: those that were never read, the highest pid first, as
// that is most often the newest, then the others from another one on each time.
func (s *Table) inTurn() []int {
	var fresh, known []int
	for pid := range s.rsyncs {
		if s.procs[pid] == nil {
			fresh = append(fresh, pid)
		} else {
			known = append(known, pid)
		}
	}
	slices.Sort(fresh)
	slices.Reverse(fresh)
	slices.Sort(known)
	if len(known) > 0 {
		s.turn = (s.turn + 1) % len(known)
		known = slices.Concat(known[s.turn:], known[:s.turn])
	}
	return append(fresh, known...)
}

// executing says that a process looks as one does in the midst of execve(2): it
// runs rsync's program, and has no arguments yet. Without events to tell of its
// end such a look is not rare, and one that was taken for no rsync by it would be
// missed for seconds. A kernel thread never has arguments.
func (s *Table) executing(p *proc.Process) bool {
	return cmdline.IsRsync(p.Exe) && len(p.Argv) == 0 && p.State != 'Z' && s.Age(p) < time.Second
}

// Process reads a process, or gives what was read of it before while that is still trusted;
// nil is one that has gone.
func (s *Table) Process(pid int) *proc.Process {
	if pid <= 0 {
		return nil
	}
	old := s.procs[pid]
	if old != nil && (s.Now.Before(old.expires) || !old.expires.IsZero() && s.exhausted()) {
		return old.Process
	}
	s.Work += ProcessWork
	p, err := s.Proc.Process(pid)
	if err != nil {
		if !proc.Vanished(err) {
			s.Failure = fmt.Errorf("pid %d: %w", pid, err)
		}
		delete(s.procs, pid)
		return nil
	}
	c := &entry{Process: p, since: s.Now, read: s.Now, expires: s.Now.Add(s.lifetime(p))}
	if old != nil && old.ID == p.ID {
		c.since, c.ownInode, c.correlation = old.since, old.ownInode, old.correlation
		c.holding, c.relist = old.holding, true
	}
	s.procs[pid] = c
	if p.IsRsync() {
		s.rsyncs[pid] = struct{}{}
	}
	return p
}

// identity tells who a process is, for package sshd.
func (s *Table) identity(p *proc.Process) (sshd.Identity, error) {
	c := s.procs[p.ID.PID]
	if c == nil || c.Process != p {
		return sshd.Identity{}, sshd.ErrGone
	}
	if c.identity == nil {
		id, err := s.ReadIdentity(p.ID.PID)
		if err != nil {
			return id, err
		}
		if st, err := s.Proc.Stat(p.ID.PID); err != nil || st.ID != p.ID {
			return id, sshd.ErrGone
		}
		c.identity = &id
	}
	return *c.identity, nil
}

// SSHDs lists the parts of the host's sshd that are known, with their titles. The command
// line of what only has the name is not read.
func (s *Table) SSHDs() []*proc.Process {
	var out []*proc.Process
	for _, pid := range slices.Sorted(maps.Keys(s.servers)) {
		p := s.Process(pid)
		if p == nil || !sshd.Named(p.Exe) || !sshd.Belongs(SSHHost{s}, pid) {
			continue
		}
		if p.Argv == nil {
			p.Argv, _ = s.Proc.Cmdline(pid) // of one that ends there is none
		}
		out = append(out, p)
	}
	return out
}

// lifetime is how long a process is trusted at first.
func (s *Table) lifetime(p *proc.Process) time.Duration {
	switch {
	case !s.Events:
		return polledFor
	case p.IsRsync():
		return trustedFor
	}
	return SettledFor
}

// ExpireAt makes the next pass that begins at t or later read a process again.
func (s *Table) ExpireAt(p *proc.Process, t time.Time) {
	if c := s.procs[p.ID.PID]; c != nil && c.Process == p && t.Before(c.expires) {
		c.expires = t
	}
}

// TrustLonger has no pass read a process again soon that is looked at by Changed.
func (s *Table) TrustLonger(p *proc.Process) {
	if c := s.procs[p.ID.PID]; s.Events && c != nil && c.Process == p {
		if until := c.read.Add(trustedFor); until.After(c.expires) {
			c.expires = until
		}
	}
}

// Age is how long a process has been known.
func (s *Table) Age(p *proc.Process) time.Duration {
	if c := s.procs[p.ID.PID]; c != nil {
		return s.Now.Sub(c.since)
	}
	return 0
}

// Sweep forgets processes that no pass asked for lately, and sockets that
// nobody holds.
func (s *Table) Sweep() {
	inodes := map[uint64]bool{}
	for pid, c := range s.procs {
		if _, rsync := s.rsyncs[pid]; !rsync && s.Now.Sub(c.expires) > SettledFor {
			delete(s.procs, pid)
			continue
		}
		if c.holding == nil {
			continue
		}
		for _, h := range c.holding.Sockets {
			inodes[h.Inode] = true
		}
	}
	maps.DeleteFunc(s.sockets, func(inode uint64, _ sockets.Info) bool { return !inodes[inode] })
}

// Knows says whether a process is still of interest.
func (s *Table) Knows(id watchdog.ProcID) bool {
	c := s.procs[id.PID]
	return c != nil && c.ID == id
}
