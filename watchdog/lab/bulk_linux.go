package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
)

// Bulk is competing traffic that is none of rsync's: plain TCP streams that
// send as fast as they may. The calling process owns their sockets.
type Bulk struct {
	received atomic.Uint64
	cancel   context.CancelFunc
	tasks    sync.WaitGroup
}

// Bulk starts streams between cli and srv, which run until Stop, the end of
// ctx, or the end of the lab.
func (l *Lab) Bulk(ctx context.Context, d Direction, flows int) (*Bulk, error) {
	from, to := l.Cli, l.Srv
	if d == Pull {
		from, to = to, from
	}
	listener, err := to.listenTCP(to.IPv4)
	if err != nil {
		return nil, fmt.Errorf("lab: bulk: %w", err)
	}
	defer listener.Close()
	ctx, cancel := context.WithCancel(ctx)
	b := &Bulk{cancel: cancel}
	for range flows {
		if err := b.stream(ctx, from, listener); err != nil {
			b.Stop()
			return nil, fmt.Errorf("lab: bulk: %w", err)
		}
	}
	l.spawn(func(lab context.Context) {
		defer context.AfterFunc(lab, cancel)()
		b.tasks.Wait()
	})
	return b, nil
}

// stream connects one sender with its sink.
func (b *Bulk) stream(ctx context.Context, from *Host, listener *net.TCPListener) error {
	out, err := from.dialTCP(ctx, listener.Addr().String())
	if err != nil {
		return err
	}
	in, err := listener.AcceptTCP()
	if err != nil {
		return errors.Join(err, out.Close())
	}
	b.tasks.Go(func() {
		defer abort(out)
		defer context.AfterFunc(ctx, func() { abort(out) })()
		buf := make([]byte, 64<<10)
		for {
			if _, err := out.Write(buf); err != nil {
				return
			}
		}
	})
	b.tasks.Go(func() {
		defer abort(in)
		defer context.AfterFunc(ctx, func() { abort(in) })()
		buf := make([]byte, 64<<10)
		for {
			n, err := in.Read(buf)
			b.received.Add(uint64(n))
			if err != nil {
				return
			}
		}
	})
	return nil
}

// abort closes a connection and throws away what it has not sent.
func abort(c *net.TCPConn) {
	_ = c.SetLinger(0) // fails only on a connection that is closed already
	c.Close()
}

// Received returns the bytes that have arrived by now.
func (b *Bulk) Received() uint64 { return b.received.Load() }

// Stop ends the streams.
func (b *Bulk) Stop() {
	b.cancel()
	b.tasks.Wait()
}

// listenTCP listens in the host on a free port.
func (h *Host) listenTCP(ip netip.Addr) (listener *net.TCPListener, err error) {
	err = h.Do(func() error {
		listener, err = net.ListenTCP("tcp", net.TCPAddrFromAddrPort(netip.AddrPortFrom(ip, 0)))
		return err
	})
	return listener, err
}

// dialTCP connects from the host.
func (h *Host) dialTCP(ctx context.Context, addr string) (conn *net.TCPConn, err error) {
	err = h.Do(func() error {
		var d net.Dialer
		c, err := d.DialContext(ctx, "tcp", addr)
		if err == nil {
			conn = c.(*net.TCPConn)
		}
		return err
	})
	return conn, err
}
