package lab

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// PingTCP starts a series of small messages over one TCP connection, which the
// other end echoes. Unlike ICMP's, a dropped message shows as a late one, and
// all behind it wait too: what an administrator's ssh feels. Round-trip times
// end with this process reading the answer.
func (l *Lab) PingTCP(ctx context.Context, p Ping) (*Pinger, error) {
	p = p.withDefaults(l)
	to, err := p.target()
	if err != nil {
		return nil, err
	}
	listener, err := p.To.listenTCP(to)
	if err != nil {
		return nil, fmt.Errorf("lab: TCP echo: %w", err)
	}
	l.spawn(func(ctx context.Context) { echoOne(ctx, listener) })
	conn, err := p.From.dialTCP(ctx, listener.Addr().String())
	if err != nil {
		return nil, fmt.Errorf("lab: TCP echo: %w", errors.Join(err, listener.Close()))
	}
	return l.startPinger(ctx, p, &tcpEcho{conn: conn, timeout: p.Timeout}), nil
}

// echoOne accepts one connection and echoes it until it or ctx ends.
func echoOne(ctx context.Context, listener *net.TCPListener) {
	defer listener.Close()
	defer context.AfterFunc(ctx, func() { listener.Close() })()
	conn, err := listener.AcceptTCP()
	if err != nil {
		return // closed: nobody came
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	// io.Copy would splice; a plain loop answers each message as it comes.
	buf := make([]byte, 4096)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return
		}
		if _, err := conn.Write(buf[:n]); err != nil {
			return
		}
	}
}

// tcpEcho is an echoer over a connection to an echoOne.
type tcpEcho struct {
	conn    *net.TCPConn
	timeout time.Duration
	broken  error // a message may be half sent: the stream is of no use
}

func (e *tcpEcho) send(seq uint32) error {
	if e.broken != nil {
		return e.broken
	}
	if e.broken = e.conn.SetWriteDeadline(time.Now().Add(e.timeout)); e.broken != nil {
		return e.broken
	}
	var b [echoSize]byte
	binary.BigEndian.PutUint32(b[:], seq)
	_, e.broken = e.conn.Write(b[:])
	return e.broken
}

func (e *tcpEcho) receive() (uint32, time.Time, error) {
	var b [echoSize]byte
	if _, err := io.ReadFull(e.conn, b[:]); err != nil {
		return 0, time.Time{}, err
	}
	return binary.BigEndian.Uint32(b[:]), time.Now(), nil
}

func (e *tcpEcho) close() error { return e.conn.Close() }
