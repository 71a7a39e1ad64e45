package sockets

import (
	"errors"
	"time"

	"lifeline/probes/rsync/proc"
	"lifeline/watchdog"
)

// Fallback looks at sockets by duplicates, and where that may not be, or the
// kernel cannot (pidfd_getfd(2) came with Linux 5.6), in the tables of /proc.
type Fallback struct {
	first  Inspector
	proc   proc.FS
	tables map[uint64]netTable // by network namespace
}

// NewFallback makes one over an inspector that duplicates.
func NewFallback(first Inspector, proc proc.FS) *Fallback {
	return &Fallback{first: first, proc: proc, tables: map[uint64]netTable{}}
}

// netTable is what /proc/PID/net showed of one network namespace.
type netTable struct {
	sockets map[uint64]Info
	read    time.Time
}

const (
	tableFor = 200 * time.Millisecond // reading one takes long on a busy host
	maxTable = 32 << 20               // bytes of one
)

// Inspect implements Inspector.
func (f *Fallback) Inspect(ref watchdog.FDRef, inode uint64) (Info, error) {
	info, err := f.first.Inspect(ref, inode)
	if err == nil || errors.Is(err, proc.ErrGone) {
		return info, err
	}
	target, errNS := proc.Readlink(f.proc.Path(ref.Proc.PID, "ns/net"))
	if errNS != nil {
		return info, err
	}
	netns, _ := proc.ParseInode(target, "net:[")
	table := f.tables[netns]
	if time.Since(table.read) > tableFor {
		table = readNetTable(f.proc, ref.Proc.PID)
		f.tables[netns] = table
	}
	info, ok := table.sockets[inode]
	if !ok {
		return info, err
	}
	info.Netns = netns
	info.OutOfReach = err
	return info, nil
}

// readNetTable reads the tables of a process's network namespace.
func readNetTable(f proc.FS, pid int) netTable {
	t := netTable{sockets: map[uint64]Info{}, read: time.Now()}
	for name, parse := range map[string]func([]byte, map[uint64]Info){
		"net/tcp": parseTCPTable, "net/tcp6": parseTCPTable, "net/unix": parseUnixTable,
	} {
		for size := 1 << 16; size <= maxTable; size *= 8 {
			b, err := proc.ReadFile(f.Path(pid, name), make([]byte, size))
			if err != nil {
				break // no IPv6, or no permission: those sockets stay unknown
			}
			if len(b) < size || size*8 > maxTable {
				parse(b, t.sockets)
				break
			}
		}
	}
	return t
}
