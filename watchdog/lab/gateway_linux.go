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
	late := func() time.Duration { return l.opts.GatewayDelay }
	err := l.respond(l.Gw, "ip4:icmp", "0.0.0.0", lateResponder{request: echoRequest4, reply: echoReply4, delay: late})
	if err != nil || !l.opts.IPv6 {
		return err
	}
	return l.respond(l.Gw, "ip6:ipv6-icmp", "::", lateResponder{request: echoRequest6, reply: echoReply6, delay: late})
}

// respond lets r answer what comes to a host.
func (l *Lab) respond(h *Host, network, local string, r lateResponder) error {
	err := h.Do(func() (err error) {
		r.conn, err = net.ListenIP(network, &net.IPAddr{IP: net.ParseIP(local)})
		return err
	})
	if err != nil {
		return fmt.Errorf("lab: %s: answer pings: %w", h.Name, err)
	}
	l.spawn(r.run)
	return nil
}

// lateResponder answers each echo request after a delay.
type lateResponder struct {
	conn           *net.IPConn
	request, reply byte
	delay          func() time.Duration
}

func (r lateResponder) run(ctx context.Context) {
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
		time.AfterFunc(r.delay(), func() {
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
