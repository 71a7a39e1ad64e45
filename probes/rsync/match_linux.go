package rsync

import (
	"encoding/binary"
	"errors"
	"slices"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"lifeline/watchdog"
)

// match compares what passes through a connection with what the processes that hold it
// read and write. What passes without them is somebody else's, who holds it too: rsync
// itself moves every byte by read(2) and write(2).
type match struct {
	procs     []watchdog.ProcID
	socket    passed // when the comparison began
	proc      passed
	unwritten uint64 // bytes that were written before, and not yet acknowledged
	strange   bool   // more passed than they can have moved
}

const (
	matchEvery = 2 * time.Second
	matchYoung = 200 * time.Millisecond // in its first seconds
	matchSlack = 256 << 10              // bytes by which the two may differ between two looks
)

// whyStrange is told of a connection that is let go.
const whyStrange = "its connection moves more than it reads and writes: somebody else uses it"

// matchDue says whether the connection of a transfer is to be compared again.
func (t *transfer) matchDue(now time.Duration) bool {
	every := matchEvery
	if t.Age < measuredYoung {
		every = matchYoung
	}
	return t.direct && t.TCP.Known && (t.match.procs == nil || t.moves && now-t.matched >= every)
}

// compare looks whether the bytes of a transfer's connection are those of its processes.
// What cannot be looked at changes nothing.
func (p *Probe) compare(t *transfer) {
	m := &t.match
	if !slices.Equal(m.procs, t.Procs) {
		p.beginMatch(t)
		return
	}
	socket := passed{in: t.TCP.BytesReceived, out: t.TCP.BytesAcked}
	io, err := p.ioOf(t) // after the connection: it may be ahead
	moved, ok := socket.since(m.socket)
	moves, same := io.since(m.proc)
	if err != nil || !ok || !same {
		p.beginMatch(t)
		return
	}
	strange := moved.in > moves.in+matchSlack && p.unreadIsLess(t, moved.in-matchSlack) || moved.out > moves.out+matchSlack+m.unwritten
	switch {
	case strange:
		p.turnMatch(t, true)
		p.beginMatch(t)
	case m.strange && moved.total() > manyBytes:
		p.turnMatch(t, false)
	}
}

// unreadIsLess says whether less has come than that, though what is not read yet counts.
func (p *Probe) unreadIsLess(t *transfer, in uint64) bool {
	unread, _, err := p.buffered(t)
	if err != nil {
		return false
	}
	io, err := p.ioOf(t) // after that: what was read meanwhile must count as well
	moves, same := io.since(t.match.proc)
	return err == nil && same && in > moves.in+unread
}

// turnMatch notes that a connection turned out to be another's, or not.
func (p *Probe) turnMatch(t *transfer, strange bool) {
	if t.match.strange == strange {
		return
	}
	t.match.strange = strange
	t.Control, t.Why = t.allowed()
	p.changed = true
	p.wake()
}

// allowed is the control that discovery found, unless the connection is another's.
func (t *transfer) allowed() (watchdog.Controllable, string) {
	if t.match.strange {
		return watchdog.ControlNone, whyStrange
	}
	return t.control, t.why
}

// beginMatch begins the comparison anew.
func (p *Probe) beginMatch(t *transfer) {
	m := &t.match
	m.procs = nil
	io, err := p.ioOf(t) // before the connection
	if err != nil {
		return
	}
	_, unwritten, err := p.buffered(t)
	if err != nil || !p.measure(t) {
		return
	}
	m.procs, m.proc, m.unwritten = slices.Clone(t.Procs), io, unwritten
	m.socket = passed{in: t.TCP.BytesReceived, out: t.TCP.BytesAcked}
}

func (p *Probe) ioOf(t *transfer) (passed, error) {
	pids := make([]int, 0, len(t.Procs))
	for _, id := range t.Procs {
		pids = append(pids, id.PID)
	}
	return p.proc.ioOf(pids)
}

// buffered is what a connection holds that was not read, and that was written and is not
// acknowledged, in bytes with the kernel's overhead.
func (p *Probe) buffered(t *transfer) (unread, unwritten uint64, err error) {
	err = errGone
	for _, ref := range t.Socket.Refs {
		err = p.sockets.with(ref, t.Socket.Inode, func(sock int) (err error) {
			unread, unwritten, err = socketMemory(sock)
			return err
		})
		if err == nil {
			return unread, unwritten, nil
		}
	}
	return 0, 0, err
}

// Places in SO_MEMINFO (linux/sock_diag.h).
const (
	memUnread  = 0 // SK_MEMINFO_RMEM_ALLOC
	memUnsent  = 5 // SK_MEMINFO_WMEM_QUEUED
	memBacklog = 7 // SK_MEMINFO_BACKLOG
	memVars    = 9
)

func socketMemory(sock int) (unread, unwritten uint64, err error) {
	var mem [memVars * 4]byte
	n := uint32(len(mem))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(sock), unix.SOL_SOCKET, unix.SO_MEMINFO,
		uintptr(unsafe.Pointer(&mem[0])), uintptr(unsafe.Pointer(&n)), 0)
	if errno != 0 {
		return 0, 0, errno
	}
	if int(n) < len(mem) {
		return 0, 0, errors.ErrUnsupported
	}
	at := func(i int) uint64 { return uint64(binary.NativeEndian.Uint32(mem[4*i:])) }
	return at(memUnread) + at(memBacklog), at(memUnsent), nil
}
