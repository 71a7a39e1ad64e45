package rsync

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"lifeline/probes/sshd"
	"lifeline/watchdog"
)

// How long what was read of a process is taken as still true, when no event
// says otherwise. A connection that is not understood yet is looked at often.
const (
	trustedFor = 60 * time.Second // an rsync, and who holds its connection, with events
	settledFor = 10 * time.Second // others, with events, and what any of them holds
	polledFor  = 4 * time.Second  // without
)

// youngFor is how long to wait before a process that is not understood is
// read again, by how long it has been known.
func youngFor(age time.Duration) time.Duration {
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

// errGone says that a process or its descriptor is not what it was.
var errGone = errors.New("gone")

// cached is a process with what the scanner remembers about it.
type cached struct {
	*process
	since   time.Time // known
	read    time.Time
	expires time.Time // read it again from then on
	holding *holding  // nil until asked for
	who     *sshd.Identity
	relist  bool      // it was listed before the process was read
	kids    []int     // pids of its children
	kidsAt  time.Time // when they were listed; zero for never
	chosen  uint64    // inode of its own connection, as choose has it; 0 for none
	contest *contest  // of several connections for that; nil for none
}

// scanner keeps what was read of the processes that matter: rsyncs, and those
// above and below them. It implements world.
type scanner struct {
	proc    procFS
	look    inspector
	count   counter // nil: nothing is known of what passed
	now     time.Time
	events  bool             // a process that changes is told by forget
	rsyncs  map[int]struct{} // known to be one
	servers map[int]struct{} // named sshd
	procs   map[int]*cached
	known   map[uint64]socketInfo // by inode
	kids    map[int][]int         // of this pass
	handed  map[int][]fd          // of this pass: what a parent holds
	parents map[int][]int         // of this pass, when the kernel lists no children
	trouble error                 // of this pass: a process that lives could not be read
	who     func(pid int) (sshd.Identity, error)
	work    int  // of this pass, in entries of /proc and the like
	more    bool // this pass left something for the next
	turn    int  // of the rsyncs, whose turn it is first
}

// What a pass may cost, in entries of /proc that are read and sockets that are asked, of
// some microseconds each. Any user can have thousands of processes and descriptors: what
// is above that has its turn in the next passes, and what is new comes first.
const (
	passWork     = 32768
	processWork  = 8   // to read a process
	socketWork   = 6   // to look at a socket
	childrenWork = 2   // to list children
	fdsAtOnce    = 256 // descriptors of one process that are listed at once
)

// tired says that this pass has done enough.
func (s *scanner) tired() bool {
	if s.work < passWork {
		return false
	}
	s.more = true
	return true
}

func newScanner(proc procFS, look inspector) *scanner {
	return &scanner{
		proc: proc, look: look, who: func(pid int) (sshd.Identity, error) { return sshd.Read(proc.root, pid) },
		rsyncs: map[int]struct{}{}, servers: map[int]struct{}{}, procs: map[int]*cached{}, known: map[uint64]socketInfo{},
	}
}

// forget makes the next pass read a process again.
func (s *scanner) forget(pid int) {
	if c := s.procs[pid]; c != nil {
		c.expires = time.Time{}
	}
}

// doubt makes the next passes read all processes again.
func (s *scanner) doubt() {
	for _, c := range s.procs {
		c.expires = c.read
	}
}

// vanished says that a process ended while it was looked at.
func vanished(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ESRCH) || errors.Is(err, errReused)
}

// begin starts a pass.
func (s *scanner) begin(now time.Time) {
	s.now, s.trouble = now, nil
	s.work, s.more = 0, false
	s.kids, s.handed, s.parents = map[int][]int{}, map[int][]fd{}, nil
}

// running reads all rsyncs that are known, and drops those that have ended. New ones come
// first; of the others each has its turn.
func (s *scanner) running() []*process {
	var out []*process
	for _, pid := range s.inTurn() {
		if s.procs[pid] == nil && s.tired() {
			continue // not looked at yet
		}
		p := s.process(pid)
		if p == nil || !p.rsync() && !s.executing(p) {
			delete(s.rsyncs, pid)
			continue
		}
		out = append(out, p)
	}
	slices.SortFunc(out, func(a, b *process) int { return a.ID.PID - b.ID.PID })
	return out
}

// inTurn orders the known rsyncs: those that were never read, the highest pid first, as
// that is most often the newest, then the others from another one on each time.
func (s *scanner) inTurn() []int {
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
func (s *scanner) executing(p *process) bool {
	return isRsync(p.Exe) && len(p.Argv) == 0 && p.State != 'Z' && s.age(p) < time.Second
}

// process implements world.
func (s *scanner) process(pid int) *process {
	if pid <= 0 {
		return nil
	}
	old := s.procs[pid]
	if old != nil && (s.now.Before(old.expires) || !old.expires.IsZero() && s.tired()) {
		return old.process
	}
	s.work += processWork
	p, err := s.proc.process(pid)
	if err != nil {
		if !vanished(err) {
			s.trouble = fmt.Errorf("pid %d: %w", pid, err)
		}
		delete(s.procs, pid)
		return nil
	}
	c := &cached{process: p, since: s.now, read: s.now, expires: s.now.Add(s.lifetime(p))}
	if old != nil && old.id() == p.id() {
		c.since, c.chosen, c.contest = old.since, old.chosen, old.contest
		c.holding, c.relist = old.holding, true
	}
	s.procs[pid] = c
	if p.rsync() {
		s.rsyncs[pid] = struct{}{}
	}
	return p
}

// identity implements world.
func (s *scanner) identity(p *process) (sshd.Identity, error) {
	c := s.procs[p.ID.PID]
	if c == nil || c.process != p {
		return sshd.Identity{}, sshd.ErrGone
	}
	if c.who == nil {
		id, err := s.who(p.ID.PID)
		if err != nil {
			return id, err
		}
		if st, err := s.proc.stat(p.ID.PID); err != nil || st.ID != p.ID {
			return id, sshd.ErrGone
		}
		c.who = &id
	}
	return *c.who, nil
}

// sshds implements world. The command line of what only has the name is not read.
func (s *scanner) sshds() []*process {
	var out []*process
	for _, pid := range slices.Sorted(maps.Keys(s.servers)) {
		p := s.process(pid)
		if p == nil || !isSSHD(p.Exe) || !sshd.Belongs(sshHost{s}, pid) {
			continue
		}
		if p.Argv == nil {
			p.Argv, _ = s.proc.cmdline(pid) // of one that ends there is none
		}
		out = append(out, p)
	}
	return out
}

// lifetime is how long a process is trusted at first.
func (s *scanner) lifetime(p *process) time.Duration {
	switch {
	case !s.events:
		return polledFor
	case p.rsync():
		return trustedFor
	}
	return settledFor
}

// expire makes the next pass that begins at t or later read a process again.
func (s *scanner) expire(p *process, t time.Time) {
	if c := s.procs[p.ID.PID]; c != nil && c.process == p && t.Before(c.expires) {
		c.expires = t
	}
}

// trust has no pass read a process again soon that is looked at by moved.
func (s *scanner) trust(p *process) {
	if c := s.procs[p.ID.PID]; s.events && c != nil && c.process == p {
		c.expires = later(c.expires, c.read.Add(trustedFor))
	}
}

// age is how long a process has been known.
func (s *scanner) age(p *process) time.Duration {
	if c := s.procs[p.ID.PID]; c != nil {
		return s.now.Sub(c.since)
	}
	return 0
}

// sweep forgets processes that no pass asked for lately, and sockets that
// nobody holds.
func (s *scanner) sweep() {
	inodes := map[uint64]bool{}
	for pid, c := range s.procs {
		if _, rsync := s.rsyncs[pid]; !rsync && s.now.Sub(c.expires) > settledFor {
			delete(s.procs, pid)
			continue
		}
		if c.holding == nil {
			continue
		}
		for _, h := range c.holding.sockets {
			inodes[h.Inode] = true
		}
	}
	maps.DeleteFunc(s.known, func(inode uint64, _ socketInfo) bool { return !inodes[inode] })
}

// knows says whether a process is still of interest.
func (s *scanner) knows(id watchdog.ProcID) bool {
	c := s.procs[id.PID]
	return c != nil && c.id() == id
}
