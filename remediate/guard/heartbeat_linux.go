package guard

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// heartbeats is a page of memory that daemon and guard share. Each leaves there when
// it was last alive: a line over the socket would wake the other for it, which
// costs an idle machine more than all else that the two have to say.
type heartbeats struct{ page []byte }

// Whose sign of life it is.
const (
	ofDaemon = iota
	ofGuard
)

// newHeartbeats makes the page, with both alive, and a file that hands it over.
func newHeartbeats() (*heartbeats, *os.File, error) {
	fd, err := unix.MemfdCreate("lifeline-guard", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, nil, fmt.Errorf("memfd_create: %w", err)
	}
	f := os.NewFile(uintptr(fd), "beats")
	if err := f.Truncate(int64(os.Getpagesize())); err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	b, err := mapHeartbeats(fd)
	if err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	b.beat(ofDaemon)
	b.beat(ofGuard)
	return b, f, nil
}

// mapHeartbeats maps the page of fd.
func mapHeartbeats(fd int) (*heartbeats, error) {
	page, err := unix.Mmap(fd, 0, os.Getpagesize(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map the signs of life: %w", err)
	}
	return &heartbeats{page}, nil
}

func (b *heartbeats) of(who int) *atomic.Int64 {
	return (*atomic.Int64)(unsafe.Pointer(&b.page[8*who]))
}

// beat is a sign of life.
func (b *heartbeats) beat(who int) { b.of(who).Store(monotonic()) }

// last is when the last one was given.
func (b *heartbeats) last(who int) time.Time {
	ago := monotonic() - b.of(who).Load()
	return time.Now().Add(-time.Duration(ago))
}

func (b *heartbeats) close() { _ = unix.Munmap(b.page) } // the page ends with us in any case

// monotonic is the clock that all processes share, in ns.
func monotonic() int64 {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts) // fails for clocks that there are not
	return ts.Nano()
}
