package lab

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Ping describes a series of echo requests. The zero value is ICMP from mgmt
// to srv every 20 ms until its context ends.
type Ping struct {
	From, To *Host // nil: mgmt, srv
	IPv6     bool
	Interval time.Duration // 0 is 20 ms
	Timeout  time.Duration // after which a request is lost; 0 is 2 s
	Count    int           // 0 is no end
}

func (p Ping) withDefaults(l *Lab) Ping {
	if p.From == nil {
		p.From = l.Mgmt
	}
	if p.To == nil {
		p.To = l.Srv
	}
	setDefault(&p.Interval, 20*time.Millisecond)
	setDefault(&p.Timeout, 2*time.Second)
	return p
}

func (p Ping) target() (netip.Addr, error) {
	ip := p.To.address(p.IPv6)
	if !ip.IsValid() {
		return ip, fmt.Errorf("lab: %s has no such address", p.To.Name)
	}
	return ip, nil
}

// address returns the host's IPv6 or IPv4 address.
func (h *Host) address(six bool) netip.Addr {
	if six {
		return h.IPv6
	}
	return h.IPv4
}

// Ping starts a series of ICMP echo requests (RFC 792, RFC 4443). Round-trip
// times end with the kernel's receive timestamp.
func (l *Lab) Ping(ctx context.Context, p Ping) (*Pinger, error) {
	p = p.withDefaults(l)
	to, err := p.target()
	if err != nil {
		return nil, err
	}
	var e echoer
	if err := p.From.Do(func() (err error) {
		e, err = newICMP(to)
		return err
	}); err != nil {
		return nil, fmt.Errorf("lab: ping %v: %w", to, err)
	}
	return l.startPinger(ctx, p, e), nil
}

// startPinger runs a pinger until ctx or the lab ends.
func (l *Lab) startPinger(ctx context.Context, p Ping, e echoer) *Pinger {
	ctx, cancel := context.WithCancel(ctx)
	pinger := &Pinger{
		begin:    time.Now(),
		interval: p.Interval,
		timeout:  p.Timeout,
		count:    p.Count,
		cancel:   cancel,
		done:     make(chan struct{}),
	}
	l.spawn(func(lab context.Context) {
		defer context.AfterFunc(lab, cancel)()
		defer cancel()
		pinger.run(ctx, lab, e)
	})
	return pinger
}

// icmp is an echoer on a raw socket.
type icmp struct {
	conn  *net.IPConn
	to    *net.IPAddr
	six   bool
	token [8]byte // in each request, tells our answers from others'
}

// newICMP opens the socket in the calling thread's network namespace.
func newICMP(to netip.Addr) (*icmp, error) {
	e := &icmp{to: &net.IPAddr{IP: to.AsSlice()}, six: to.Is6()}
	network, local := "ip4:icmp", "0.0.0.0"
	if e.six {
		network, local = "ip6:ipv6-icmp", "::"
	}
	rand.Read(e.token[:])
	conn, err := net.ListenIP(network, &net.IPAddr{IP: net.ParseIP(local)})
	if err != nil {
		return nil, err
	}
	e.conn = conn
	if err := stampArrivals(conn); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return e, nil
}

func stampArrivals(conn *net.IPConn) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var set error
	err = raw.Control(func(fd uintptr) {
		set = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1)
	})
	return errors.Join(err, set)
}

// ICMP types and sizes.
const (
	echoRequest4, echoReply4 = 8, 0
	echoRequest6, echoReply6 = 128, 129
	icmpHeader               = 8
	echoSize                 = 64 // of a whole request, as ping(8) sends
)

func (e *icmp) send(seq uint32) error {
	b := make([]byte, echoSize)
	b[0] = echoRequest4
	binary.BigEndian.PutUint16(b[6:], uint16(seq))
	copy(b[icmpHeader:], e.token[:])
	binary.BigEndian.PutUint32(b[icmpHeader+len(e.token):], seq)
	if e.six {
		b[0] = echoRequest6 // the kernel fills in the checksum (RFC 3542, 3.1)
	} else {
		binary.BigEndian.PutUint16(b[2:], internetChecksum(b))
	}
	_, err := e.conn.WriteToIP(b, e.to)
	return err
}

func (e *icmp) receive() (uint32, time.Time, error) {
	b := make([]byte, 2048)
	oob := make([]byte, 128)
	for {
		n, oobn, _, _, err := e.conn.ReadMsgIP(b, oob)
		if errors.Is(err, net.ErrClosed) {
			return 0, time.Time{}, err
		}
		if err != nil {
			continue // an ICMP error for an earlier request; the socket lives on
		}
		seq, ok := e.parse(b[:n])
		if ok {
			return seq, arrival(oob[:oobn]), nil
		}
	}
}

// parse returns the number of an answer to one of our requests.
func (e *icmp) parse(b []byte) (seq uint32, ok bool) {
	reply := byte(echoReply6)
	if !e.six {
		reply = echoReply4
		if b = stripIPv4(b); b == nil {
			return 0, false
		}
	}
	if len(b) != echoSize || b[0] != reply || [8]byte(b[icmpHeader:]) != e.token {
		return 0, false
	}
	return binary.BigEndian.Uint32(b[icmpHeader+len(e.token):]), true
}

func (e *icmp) close() error { return e.conn.Close() }

// stripIPv4 returns the payload of an IPv4 packet, or nil.
func stripIPv4(b []byte) []byte {
	if len(b) < 20 || b[0]>>4 != 4 {
		return nil
	}
	if header := int(b[0]&0x0f) * 4; header >= 20 && header <= len(b) {
		return b[header:]
	}
	return nil
}

// arrival returns the kernel's receive timestamp, or the zero time.
func arrival(oob []byte) time.Time {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return time.Time{} // the caller falls back to its own clock
	}
	for _, m := range messages {
		if m.Header.Level == unix.SOL_SOCKET && m.Header.Type == unix.SCM_TIMESTAMPNS &&
			len(m.Data) >= int(unsafe.Sizeof(unix.Timespec{})) {
			ts := (*unix.Timespec)(unsafe.Pointer(&m.Data[0]))
			return time.Unix(ts.Unix())
		}
	}
	return time.Time{}
}

// internetChecksum is the ones' complement checksum of RFC 1071.
func internetChecksum(b []byte) uint16 {
	var sum uint32
	for ; len(b) >= 2; b = b[2:] {
		sum += uint32(b[0])<<8 | uint32(b[1])
	}
	if len(b) == 1 {
		sum += uint32(b[0]) << 8
	}
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}
