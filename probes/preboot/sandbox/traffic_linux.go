package sandbox

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// banner is what the mirrored machine greets with, as sshd does.
	banner = "SSH-2.0-Lifeline rehearsal\r\n"
	// bulk is how much must pass each way: more than one full segment.
	bulk = 4096
	// ping is the exchange after the neighbour tables were flushed.
	ping = 64
	// backlog takes all connections of a traffic at once.
	backlog = 4096
)

// client is one connection from a management source.
type client struct {
	Connection
	file    *os.File
	timeout time.Duration
	outcome Outcome
}

// dial opens the socket in the namespace of the source and sends the SYN.
func (c *client) dial(from *namespace) error {
	return from.do(func() error {
		fd, err := unix.Socket(domain(c.Src), unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		if err := connectFrom(fd, c.Connection); err != nil {
			_ = unix.Close(fd)
			return err
		}
		c.file = os.NewFile(uintptr(fd), c.Src.String())
		return nil
	})
}

func connectFrom(fd int, c Connection) error {
	// The rest of a connection that was not answered must not outlive us.
	_ = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	if err == nil && c.Src.Is6() {
		err = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_FREEBIND, 1)
	} else if err == nil {
		err = unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_FREEBIND, 1)
	}
	if err == nil {
		err = unix.Bind(fd, sockaddr(netip.AddrPortFrom(c.Src, c.SPort)))
	}
	if err != nil {
		return fmt.Errorf("bind to %s: %w", netip.AddrPortFrom(c.Src, c.SPort), err)
	}
	err = unix.Connect(fd, sockaddr(netip.AddrPortFrom(c.Dst, c.DPort)))
	if err != nil && !errors.Is(err, unix.EINPROGRESS) {
		return fmt.Errorf("connect to %s: %w", netip.AddrPortFrom(c.Dst, c.DPort), err)
	}
	return nil
}

// talk plays the client's part up to the 4 kB each way.
func (c *client) talk() Outcome {
	if o := c.handshake(); o != Established {
		return o
	}
	if o := c.read(len(banner), NoBanner); o != Established {
		return o
	}
	return c.exchange(bulk, Stalled)
}

// handshake waits for the answer to the SYN.
func (c *client) handshake() Outcome {
	_ = c.file.SetDeadline(time.Now().Add(c.timeout))
	raw, err := c.file.SyscallConn()
	if err != nil {
		return NotTried
	}
	var failure error
	err = raw.Write(func(fd uintptr) bool {
		n, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_ERROR)
		if err != nil || n != 0 {
			failure = errors.Join(err, unix.Errno(n))
			return true
		}
		_, err = unix.Getpeername(int(fd))
		return err == nil
	})
	if err == nil {
		err = failure
	}
	switch {
	case err == nil:
		return Established
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, unix.ETIMEDOUT):
		return TimedOut
	case errors.Is(err, unix.ECONNREFUSED), errors.Is(err, unix.ECONNRESET):
		return Refused
	}
	return Unreachable
}

// exchange sends n bytes and waits for n bytes.
func (c *client) exchange(n int, failed Outcome) Outcome {
	_ = c.file.SetDeadline(time.Now().Add(c.timeout))
	if _, err := c.file.Write(make([]byte, n)); err != nil {
		return failure(err, failed)
	}
	return c.read(n, failed)
}

func (c *client) read(n int, failed Outcome) Outcome {
	_ = c.file.SetDeadline(time.Now().Add(c.timeout))
	if _, err := io.ReadFull(c.file, make([]byte, n)); err != nil {
		return failure(err, failed)
	}
	return Established
}

func failure(err error, silent Outcome) Outcome {
	if errors.Is(err, unix.ECONNRESET) || errors.Is(err, unix.EPIPE) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return Reset
	}
	return silent
}

// connect tries all connections of a traffic at the same time. After the first
// exchange the machine forgets its neighbours, and every connection must work
// once more: the address resolution that the rules let out must come back.
func (t *topology) connect(tr Traffic) ([]Outcome, error) {
	if err := t.forget(); err != nil {
		return nil, err
	}
	s, err := t.listen(tr.Listen)
	if err != nil {
		return nil, err
	}
	defer s.close()
	clients := make([]*client, len(tr.Tries))
	for i, c := range tr.Tries {
		if err := t.place(c); err != nil {
			return nil, err
		}
		clients[i] = &client{Connection: c, timeout: tr.Timeout}
	}
	if err := t.await("take its address", (*namespace).tentative); err != nil {
		return nil, err
	}
	defer hangUp(clients)
	for _, c := range clients {
		from := t.others
		if c.Narrow {
			from = t.narrow
		}
		if err := c.dial(from); err != nil {
			c.outcome = NotTried
		}
	}
	each(clients, "", (*client).talk)
	if err := t.machine.forgetNeighbours(); err != nil {
		return nil, err
	}
	each(clients, Established, func(c *client) Outcome { return c.exchange(ping, NeighbourLost) })
	out := make([]Outcome, len(clients))
	for i, c := range clients {
		out[i] = c.outcome
	}
	return out, nil
}

func hangUp(clients []*client) {
	for _, c := range clients {
		if c.file != nil {
			_ = c.file.Close()
		}
	}
}

// each runs f for the clients whose outcome is still so, all at once.
func each(clients []*client, still Outcome, f func(*client) Outcome) {
	var g sync.WaitGroup
	for _, c := range clients {
		if c.outcome == still {
			g.Go(func() { c.outcome = f(c) })
		}
	}
	g.Wait()
}

func domain(a netip.Addr) int {
	if a.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

func sockaddr(a netip.AddrPort) unix.Sockaddr {
	if a.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()}
	}
	return &unix.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16()}
}
