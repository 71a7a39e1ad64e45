package rsync

import (
	"slices"
	"time"

	"lifeline/probes/rsync/proc"
	"lifeline/watchdog"
	"lifeline/watchdog/sockdiag"
)

// byteCheck compares what passes through a connection with what the processes that hold it
// read and write. What passes without them is somebody else's, who holds it too: rsync
// itself moves every byte by read(2) and write(2).
type byteCheck struct {
	procs     []watchdog.ProcID
	socket    proc.IO // when the comparison began
	proc      proc.IO
	unwritten uint64 // bytes that were written before, and not yet acknowledged
	foreign   bool   // more passed than they can have moved
}

const (
	compareEvery      = 2 * time.Second
	compareYoungEvery = 200 * time.Millisecond // in its first seconds
	compareSlack      = 256 << 10              // bytes by which the two may differ between two looks
)

// whyForeign is told of a connection that is let go.
const whyForeign = "its connection moves more than it reads and writes: somebody else uses it"

// compareDue says whether the connection of a transfer is to be compared again.
func (t *transfer) compareDue(now time.Duration) bool {
	every := compareEvery
	if t.Age < measuredYoung {
		every = compareYoungEvery
	}
	return t.ownSocket && t.TCP.Known && (t.bytes.procs == nil || t.moving && now-t.comparedAt >= every)
}

// compare looks whether the bytes of a transfer's connection are those of its processes.
// What cannot be looked at changes nothing.
func (p *Probe) compare(t *transfer) {
	m := &t.bytes
	if !slices.Equal(m.procs, t.Procs) {
		p.beginCompare(t)
		return
	}
	socket := proc.IO{In: t.TCP.BytesReceived, Out: t.TCP.BytesAcked}
	io, err := p.processIO(t) // after the connection: it may be ahead
	moved, ok := socket.Since(m.socket)
	moves, same := io.Since(m.proc)
	if err != nil || !ok || !same {
		p.beginCompare(t)
		return
	}
	strange := moved.In > moves.In+compareSlack && p.unreadIsLess(t, moved.In-compareSlack) || moved.Out > moves.Out+compareSlack+m.unwritten
	switch {
	case strange:
		p.setForeignBytes(t, true)
		p.beginCompare(t)
	case m.foreign && moved.Total() > manyBytes:
		p.setForeignBytes(t, false)
	}
}

// unreadIsLess says whether less has come than that, though what is not read yet counts.
func (p *Probe) unreadIsLess(t *transfer, in uint64) bool {
	unread, _, err := p.buffered(t)
	if err != nil {
		return false
	}
	io, err := p.processIO(t) // after that: what was read meanwhile must count as well
	moves, same := io.Since(t.bytes.proc)
	return err == nil && same && in > moves.In+unread
}

// setForeignBytes notes that a connection turned out to be another's, or not.
func (p *Probe) setForeignBytes(t *transfer, strange bool) {
	if t.bytes.foreign == strange {
		return
	}
	t.bytes.foreign = strange
	t.Control, t.Why = t.allowed()
	p.changed = true
	p.wake()
}

// allowed is the control that discovery found, unless the connection is another's.
func (t *transfer) allowed() (watchdog.Controllable, string) {
	if t.bytes.foreign {
		return watchdog.ControlNone, whyForeign
	}
	return t.control, t.why
}

// beginCompare begins the comparison anew.
func (p *Probe) beginCompare(t *transfer) {
	m := &t.bytes
	m.procs = nil
	io, err := p.processIO(t) // before the connection
	if err != nil {
		return
	}
	_, unwritten, err := p.buffered(t)
	if err != nil || !p.measure(t) {
		return
	}
	m.procs, m.proc, m.unwritten = slices.Clone(t.Procs), io, unwritten
	m.socket = proc.IO{In: t.TCP.BytesReceived, Out: t.TCP.BytesAcked}
}

func (p *Probe) processIO(t *transfer) (proc.IO, error) {
	pids := make([]int, 0, len(t.Procs))
	for _, id := range t.Procs {
		pids = append(pids, id.PID)
	}
	return p.proc.TotalIO(pids)
}

// buffered is what a connection holds that was not read, and that was written and is not
// acknowledged, in bytes with the kernel's overhead.
func (p *Probe) buffered(t *transfer) (unread, unwritten uint64, err error) {
	err = proc.ErrGone
	for _, ref := range t.Socket.Refs {
		err = p.sockets.With(ref, t.Socket.Inode, func(sock int) error {
			mem, err := sockdiag.GetMemInfo(sock)
			unread, unwritten = mem.Received+mem.Backlog, mem.Queued
			return err
		})
		if err == nil {
			return unread, unwritten, nil
		}
	}
	return 0, 0, err
}
