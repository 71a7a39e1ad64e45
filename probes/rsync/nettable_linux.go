package rsync

import (
	"errors"
	"time"

	"lifeline/watchdog"
)

// fallback looks at sockets by duplicates, and where that may not be, or the
// kernel cannot (pidfd_getfd(2) came with Linux 5.6), in the tables of /proc.
type fallback struct {
	first  inspector
	proc   procFS
	tables map[uint64]netTable // by network namespace
}

func newFallback(first inspector, proc procFS) *fallback {
	return &fallback{first: first, proc: proc, tables: map[uint64]netTable{}}
}

// netTable is what /proc/PID/net showed of one network namespace.
type netTable struct {
	sockets map[uint64]socketInfo
	read    time.Time
}

const (
	tableFor = 200 * time.Millisecond // reading one takes long on a busy host
	maxTable = 32 << 20               // bytes of one
)

// inspect implements inspector.
func (f *fallback) inspect(ref watchdog.FDRef, inode uint64) (socketInfo, error) {
	info, err := f.first.inspect(ref, inode)
	if err == nil || errors.Is(err, errGone) {
		return info, err
	}
	target, errNS := readlink(f.proc.path(ref.Proc.PID, "ns/net"))
	if errNS != nil {
		return info, err
	}
	netns, _ := bracketed(target, "net:[")
	table := f.tables[netns]
	if time.Since(table.read) > tableFor {
		table = f.proc.netTable(ref.Proc.PID)
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

// netTable reads the tables of a process's network namespace.
func (f procFS) netTable(pid int) netTable {
	t := netTable{sockets: map[uint64]socketInfo{}, read: time.Now()}
	for name, parse := range map[string]func([]byte, map[uint64]socketInfo){
		"net/tcp": parseTCPTable, "net/tcp6": parseTCPTable, "net/unix": parseUnixTable,
	} {
		for size := 1 << 16; size <= maxTable; size *= 8 {
			b, err := read(f.path(pid, name), make([]byte, size))
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
