package sandbox

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// server is the mirrored machine's side of the connections of one traffic.
type server struct {
	listeners []net.Listener
	served    sync.WaitGroup
	mu        sync.Mutex
	open      map[net.Conn]bool
}

// listen opens ports in the machine, in both families.
func (t *topology) listen(ports []uint16) (*server, error) {
	s := &server{open: map[net.Conn]bool{}}
	for _, p := range ports {
		for _, a := range []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()} {
			if a.Is6() && !t.ipv6 {
				continue
			}
			l, err := t.machine.listener(netip.AddrPortFrom(a, p))
			if err != nil {
				s.close()
				return nil, fmt.Errorf("listen on %s: %w", netip.AddrPortFrom(a, p), err)
			}
			s.listeners = append(s.listeners, l)
			s.served.Go(func() { s.accept(l) })
		}
	}
	return s, nil
}

func (s *namespace) listener(at netip.AddrPort) (l net.Listener, err error) {
	err = s.do(func() error {
		fd, err := unix.Socket(domain(at.Addr()), unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		f := os.NewFile(uintptr(fd), at.String())
		defer f.Close()
		err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
		if err == nil && at.Addr().Is6() {
			err = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1)
		}
		if err == nil {
			err = unix.Bind(fd, sockaddr(at))
		}
		if err == nil {
			err = unix.Listen(fd, backlog)
		}
		if err == nil {
			l, err = net.FileListener(f)
		}
		return err
	})
	return l, err
}

// close ends the listeners and every connection at once: nothing of one
// traffic may still be sent during the next.
func (s *server) close() {
	for _, l := range s.listeners {
		_ = l.Close()
	}
	s.mu.Lock()
	for c := range s.open {
		_ = c.Close()
	}
	s.open = nil
	s.mu.Unlock()
	s.served.Wait()
}

func (s *server) accept(l net.Listener) {
	for {
		c, err := l.Accept()
		if errors.Is(err, unix.ECONNABORTED) {
			continue // reset before we took it
		}
		if err != nil {
			return
		}
		if tcp, ok := c.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0) // no farewell that is sent again and again
		}
		s.mu.Lock()
		late := s.open == nil
		if !late {
			s.open[c] = true
		}
		s.mu.Unlock()
		if late {
			_ = c.Close()
			continue
		}
		s.served.Go(func() { serve(c) })
	}
}

// serve plays the machine's part: the banner, 4 kB each way, then echoes.
func serve(c net.Conn) {
	buf := make([]byte, bulk)
	if _, err := io.WriteString(c, banner); err != nil {
		return
	}
	if _, err := io.ReadFull(c, buf); err != nil {
		return
	}
	if _, err := c.Write(buf); err != nil {
		return
	}
	for {
		if _, err := io.ReadFull(c, buf[:ping]); err != nil {
			return
		}
		if _, err := c.Write(buf[:ping]); err != nil {
			return
		}
	}
}
