package sockopt

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"lifeline/remediate/process"
	"lifeline/watchdog"
)

const (
	maxHolders = 8    // of one socket that are noted
	maxListed  = 1024 // names of a directory that are read at once
)

var (
	errNoHolderFound = errors.New("the connection still exists, but no process was found that holds it " +
		"(it may be on its way from one to another, or in another pid namespace): nothing was lifted; " +
		"end what uses it, or run `lifeline release` again")
	ErrSearchCutShort = errors.New("there was not enough time to look through all processes for who holds the connection: " +
		"nothing was lifted; run `lifeline release` again")
)

// Holders is what became of a socket that its former holders have no more.
type Holders struct {
	Refs []watchdog.FDRef
	Err  error // ErrGone: the kernel does not know it any more
}

// FindHolders looks through all processes for sockets, for longer only as long as stop
// lets it, and asks the kernel for those that nobody seems to hold.
func FindHolders(sockets []watchdog.Socket, stop func() bool) map[uint64]Holders {
	if len(sockets) == 0 {
		return nil
	}
	s := newProcScan(sockets)
	whole := s.run(stop)
	out := map[uint64]Holders{}
	for _, socket := range sockets {
		f := Holders{Refs: s.refs[socket.Inode]}
		if len(f.Refs) == 0 {
			f.Err = s.verdictOf(socket, whole)
		}
		out[socket.Inode] = f
	}
	return out
}

// procScan is one look through all processes.
type procScan struct {
	refs   map[uint64][]watchdog.FDRef // by inode; those that are wanted have a key
	netns  map[uint64]int              // a process of each foreign network namespace that matters
	own    uint64                      // network namespace
	target [unix.PathMax]byte
}

func newProcScan(sockets []watchdog.Socket) *procScan {
	s := &procScan{refs: map[uint64][]watchdog.FDRef{}, netns: map[uint64]int{}}
	s.own, _ = process.NetnsInode() // unknown: all are looked at from here
	for _, socket := range sockets {
		s.refs[socket.Inode] = nil
		if socket.Netns != 0 && socket.Netns != s.own && s.own != 0 {
			s.netns[socket.Netns] = 0
		}
	}
	return s
}

// run looks at all processes, and says whether it came to the end.
func (s *procScan) run(stop func() bool) bool {
	return eachName("/proc", func(_ int, name string) bool {
		if pid, err := strconv.Atoi(name); err == nil && pid > 1 {
			return s.process(pid, stop)
		}
		return true
	})
}

// process looks at what one holds.
func (s *procScan) process(pid int, stop func() bool) bool {
	dir := "/proc/" + strconv.Itoa(pid)
	s.place(pid, dir)
	looked := 0
	whole := eachName(dir+"/fd", func(fd int, name string) bool {
		if looked++; looked%maxListed == 0 && stop() {
			return false
		}
		inode, ok := s.socket(fd, name)
		if !ok {
			return true
		}
		if held, wanted := s.refs[inode]; wanted && len(held) < maxHolders {
			s.note(inode, pid, name)
		}
		return true
	})
	return whole && !stop()
}

// place notes a process of a network namespace that matters.
func (s *procScan) place(pid int, dir string) {
	if len(s.netns) == 0 {
		return
	}
	var ns unix.Stat_t
	if unix.Stat(dir+"/ns/net", &ns) != nil {
		return
	}
	if known, ok := s.netns[ns.Ino]; ok && known == 0 {
		s.netns[ns.Ino] = pid
	}
}

// socket gives the inode of the socket that an entry of /proc/PID/fd means.
func (s *procScan) socket(dir int, name string) (uint64, bool) {
	n, err := unix.Readlinkat(dir, name, s.target[:])
	if err != nil {
		return 0, false
	}
	text, ok := strings.CutPrefix(string(s.target[:n]), "socket:[")
	if !ok {
		return 0, false
	}
	inode, err := strconv.ParseUint(strings.TrimSuffix(text, "]"), 10, 64)
	return inode, err == nil
}

// note notes a holder.
func (s *procScan) note(inode uint64, pid int, name string) {
	fd, err := strconv.Atoi(name)
	if err != nil {
		return
	}
	st, err := process.ReadStat(pid)
	if err != nil {
		return
	}
	ref := watchdog.FDRef{Proc: watchdog.ProcID{PID: pid, Start: st.Start}, FD: fd}
	s.refs[inode] = append(s.refs[inode], ref)
}

// verdictOf says what a socket is that nobody was found to hold. A namespace without
// a process has no connection that moves anything.
func (s *procScan) verdictOf(socket watchdog.Socket, whole bool) error {
	stands := false
	err := s.within(socket.Netns, func() (err error) {
		stands, err = Exists(socket)
		return err
	})
	switch {
	case err != nil:
		return fmt.Errorf("socket %d: %w", socket.Inode, err)
	case !stands:
		return fmt.Errorf("socket %d: %w", socket.Inode, process.ErrGone)
	case !whole:
		return fmt.Errorf("socket %d: %w", socket.Inode, ErrSearchCutShort)
	}
	return fmt.Errorf("socket %d: %w", socket.Inode, errNoHolderFound)
}

// within runs f in a network namespace, and not at all where nobody is in it.
func (s *procScan) within(netns uint64, f func() error) error {
	pid, foreign := s.netns[netns]
	switch {
	case !foreign:
		return f()
	case pid == 0:
		return nil
	}
	return process.OnOwnThread(func() error {
		ns, err := os.Open("/proc/" + strconv.Itoa(pid) + "/ns/net")
		if err != nil {
			return fmt.Errorf("its network namespace: %w", err)
		}
		defer ns.Close()
		if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("its network namespace: %w", err)
		}
		return f()
	})
}

// eachName calls each with the names in a directory and its descriptor, as long as
// that returns true, and says whether it did to the end. A directory that is gone, or
// may not be read, has none.
func eachName(path string, each func(dir int, name string) bool) bool {
	dir, err := os.Open(path)
	if err != nil {
		return true
	}
	defer dir.Close()
	for {
		names, err := dir.Readdirnames(maxListed)
		for _, name := range names {
			if !each(int(dir.Fd()), name) {
				return false
			}
		}
		if err != nil {
			return true
		}
	}
}
