package lab

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"time"
)

// startGateway gives the router its manners towards pings.
func (l *Lab) startGateway(context.Context) error {
	if l.opts.Gateway != GatewayDrops && l.opts.Gateway != GatewayDelays {
		return nil
	}
	if err := l.Gw.Sysctl("net.ipv4.icmp_echo_ignore_all", "1"); err != nil {
		return err
	}
	if l.opts.IPv6 {
		if err := l.Gw.Sysctl("net.ipv6.icmp.echo_ignore_all", "1"); err != nil {
			return err
		}
	}
	if l.opts.Gateway == GatewayDrops {
		return nil
	}
	return l.answerLate()
}

// answerLate answers echo requests to the gateway in place of its kernel.
func (l *Lab) answerLate() error {
	listen := func(network, local string, request, reply byte) error {
		var conn *net.IPConn
		err := l.Gw.Do(func() (err error) {
			conn, err = net.ListenIP(network, &net.IPAddr{IP: net.ParseIP(local)})
			return err
		})
		if err != nil {
			return fmt.Errorf("lab: answer pings: %w", err)
		}
		r := &lateResponder{conn: conn, request: request, reply: reply, delay: l.opts.GatewayDelay}
		l.spawn(r.run)
		return nil
	}
	if err := listen("ip4:icmp", "0.0.0.0", echoRequest4, echoReply4); err != nil || !l.opts.IPv6 {
		return err
	}
	return listen("ip6:ipv6-icmp", "::", echoRequest6, echoReply6)
}

// lateResponder answers each echo request after a delay.
type lateResponder struct {
	conn           *net.IPConn
	request, reply byte
	delay          time.Duration
}

func (r *lateResponder) run(ctx context.Context) {
	defer context.AfterFunc(ctx, func() { r.conn.Close() })()
	buf := make([]byte, 1<<16)
	for {
		n, from, err := r.conn.ReadFromIP(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil || n < icmpHeader || buf[0] != r.request {
			continue
		}
		answer := echoAnswer(buf[:n], r.reply)
		time.AfterFunc(r.delay, func() {
			// The socket may be closed by now; then nobody waits any more.
			_, _ = r.conn.WriteToIP(answer, from)
		})
	}
}

// echoAnswer returns the answer to a request. For ICMPv6 the kernel writes the
// checksum anew.
func echoAnswer(request []byte, reply byte) []byte {
	b := bytes.Clone(request)
	b[0], b[2], b[3] = reply, 0, 0
	binary.BigEndian.PutUint16(b[2:], internetChecksum(b))
	return b
}
