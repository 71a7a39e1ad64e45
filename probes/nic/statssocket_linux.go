package nic

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

const (
	statsBuffer = 64 << 10 // more than the kernel puts in one datagram of a dump
	dumpTries   = 3
)

// statsSocket dumps counters with memory of its own, so that a sample
// allocates nothing.
type statsSocket struct {
	fd  int
	seq uint32
	req [statsRequest]byte
	buf []byte
}

func openStats() (*statsSocket, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open rtnetlink for counters: %w", err)
	}
	err = errors.Join(
		unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}),
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &netlinkTimeout),
	)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("set up rtnetlink for counters: %w", err), unix.Close(fd))
	}
	// Old kernels do not know it, and do without the check.
	_ = unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_GET_STRICT_CHK, 1)
	return &statsSocket{fd: fd, buf: make([]byte, statsBuffer)}, nil
}

func (s *statsSocket) close() error { return unix.Close(s.fd) }

// dump appends a reading of every link to buf.
func (s *statsSocket) dump(buf []Reading) ([]Reading, error) {
	start := len(buf)
	for try := 1; ; try++ {
		buf, err := s.once(buf[:start])
		if err == nil || try == dumpTries || !errors.Is(err, errInterrupted) {
			return buf, err
		}
	}
}

// once sends one request and reads until its end. What an earlier request
// left behind has another sequence number.
func (s *statsSocket) once(buf []Reading) ([]Reading, error) {
	s.seq++
	putStatsRequest(s.req[:], s.seq)
	if _, err := unix.Write(s.fd, s.req[:]); err != nil {
		return buf, err
	}
	for done := false; !done; {
		n, err := unix.Read(s.fd, s.buf)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return buf, err
		}
		if buf, done, err = parseStats(s.buf[:n], s.seq, buf); err != nil {
			return buf, err
		}
	}
	return buf, nil
}
