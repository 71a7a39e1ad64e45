package path

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strconv"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"
)

const (
	// clockSlip is how far the wall clock may run from the monotonic one between
	// two readings before it counts as set. It is slewed by 1 ms in 2 s at the most
	// (adjtimex(2)).
	clockSlip = time.Millisecond
	// mostReplies is how many packets one reading takes of each family: a raw
	// socket is given everybody's.
	mostReplies  = 64
	tokenSize    = 8
	echoDataSize = tokenSize + 8
	icmpFilter   = 1 // ICMP_FILTER of linux/icmp.h, by level SOL_RAW
)

// EchoSockets send and receive by one socket for each family, opened when it is
// first needed in the network namespace of the caller, and never waited on: the
// runtime's poller does not know them. When an answer came is the kernel's word
// (SO_TIMESTAMPNS, socket(7)), however much later it is read.
type EchoSockets struct {
	mu    sync.Mutex
	token [tokenSize]byte // that answers to us carry
	id    uint16          // of requests by raw sockets; ping sockets have the kernel's
	open  [2]*echoSocket  // by family

	wall, mono time.Duration // of the last reading
	origin     time.Time
	buf        [512]byte
	control    [128]byte
}

type echoSocket struct {
	fd  int
	raw bool
}

// NewEchoSockets opens nothing yet.
func NewEchoSockets() *EchoSockets {
	s := &EchoSockets{id: uint16(rand.Uint32()), origin: time.Now()}
	binary.NativeEndian.PutUint64(s.token[:], rand.Uint64())
	s.slipped()
	return s
}

// Close gives the sockets back; the next Send opens them again.
func (s *EchoSockets) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for f, sock := range s.open {
		if sock != nil {
			errs = append(errs, unix.Close(sock.fd))
			s.open[f] = nil
		}
	}
	return errors.Join(errs...)
}

// Send does what Echo asks for.
func (s *EchoSockets) Send(target netip.Addr, n uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	target = target.Unmap()
	if err := s.send(familyOf(target), target, n); err != nil {
		return fmt.Errorf("ping %v: %w", target, err)
	}
	return nil
}

func (s *EchoSockets) send(f family, target netip.Addr, n uint64) error {
	sock, err := s.socket(f)
	if err != nil {
		return err
	}
	to, err := sockaddr(target)
	if err != nil {
		return err
	}
	data := binary.NativeEndian.AppendUint64(s.token[:tokenSize:tokenSize], n)
	m := icmp.Message{Type: ipv4.ICMPTypeEcho, Body: &icmp.Echo{ID: int(s.id), Seq: int(uint16(n)), Data: data}}
	if f == v6 {
		m.Type = ipv6.ICMPTypeEchoRequest // whose checksum is the kernel's matter
	}
	packet, err := m.Marshal(nil)
	if err != nil {
		return err
	}
	return unix.Sendto(sock.fd, packet, unix.MSG_DONTWAIT, to)
}

// sockaddr is where a target is, with its link by number.
func sockaddr(target netip.Addr) (unix.Sockaddr, error) {
	if target.Is4() {
		return &unix.SockaddrInet4{Addr: target.As4()}, nil
	}
	to := &unix.SockaddrInet6{Addr: target.As16()}
	if z := zone(target); z != "" {
		link, err := strconv.ParseUint(z, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("link %q: %w", z, unix.ENODEV)
		}
		to.ZoneId = uint32(link)
	}
	return to, nil
}

// socket is that of a family, a ping socket where one may be had.
func (s *EchoSockets) socket(f family) (*echoSocket, error) {
	if s.open[f] != nil {
		return s.open[f], nil
	}
	fd, err := icmpSocket(f, unix.SOCK_DGRAM)
	raw := err != nil
	if raw {
		if fd, err = icmpSocket(f, unix.SOCK_RAW); err != nil {
			return nil, fmt.Errorf("no ping socket (ping_group_range) and no raw socket: %w", err)
		}
		err = onlyReplies(fd, f)
	}
	if err == nil {
		err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1)
	}
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("set up a socket for echo requests: %w", err)
	}
	s.open[f] = &echoSocket{fd: fd, raw: raw}
	return s.open[f], nil
}

// onlyReplies keeps other ICMP of this host from a raw socket.
func onlyReplies(fd int, f family) error {
	if f == v4 {
		const replies = 1 << 0 // ICMP_ECHOREPLY; bits that are set are kept away
		mask := int32(^replies)
		return unix.SetsockoptInt(fd, unix.SOL_RAW, icmpFilter, int(mask))
	}
	var filter unix.ICMPv6Filter
	for i := range filter.Data {
		filter.Data[i] = ^uint32(0)
	}
	reply := ipv6.ICMPTypeEchoReply
	filter.Data[reply/32] &^= 1 << (reply % 32)
	return unix.SetsockoptICMPv6Filter(fd, unix.IPPROTO_ICMPV6, unix.ICMPV6_FILTER, &filter)
}

// Receive does what Echo asks for.
func (s *EchoSockets) Receive(answered func(from netip.Addr, n uint64, ago time.Duration)) (timed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	timed = !s.slipped()
	for f, sock := range s.open {
		if sock == nil {
			continue
		}
		for range mostReplies {
			from, n, stamp, ok, more := s.read(family(f), sock)
			if !more {
				break
			}
			if ok && timed {
				answered(from, n, max(0, time.Duration(time.Now().UnixNano())-stamp))
			}
		}
	}
	return timed
}

// slipped says whether the wall clock was set since it was last called.
func (s *EchoSockets) slipped() bool {
	now := time.Now()
	wall, mono := time.Duration(now.UnixNano()), now.Sub(s.origin)
	slip := (wall - s.wall) - (mono - s.mono)
	s.wall, s.mono = wall, mono
	return slip < -clockSlip || slip > clockSlip
}

// read takes one packet, if there is more to be had, and says whether it is an
// answer to us: from whom, to which request, and when by the wall clock it came.
func (s *EchoSockets) read(f family, sock *echoSocket) (from netip.Addr, n uint64, stamp time.Duration, ok, more bool) {
	size, controlSize, _, sa, err := unix.Recvmsg(sock.fd, s.buf[:], s.control[:], unix.MSG_DONTWAIT)
	if err != nil {
		return from, 0, 0, false, errors.Is(err, unix.EINTR)
	}
	n, ok = s.parse(f, sock.raw, s.buf[:size])
	stamp, stamped := timestamp(s.control[:controlSize])
	return bare(addrOf(sa)), n, stamp, ok && stamped, true
}

// parse finds the request that a packet answers; raw sockets of IPv4 give its
// header too (raw(7)).
func (s *EchoSockets) parse(f family, raw bool, packet []byte) (n uint64, ok bool) {
	if raw && f == v4 {
		if len(packet) == 0 {
			return 0, false
		}
		packet = packet[min(len(packet), int(packet[0]&0x0f)*4):]
	}
	m, err := icmp.ParseMessage(icmpSockets[f].protocol, packet)
	if err != nil || m.Type != ipv4.ICMPTypeEchoReply && m.Type != ipv6.ICMPTypeEchoReply {
		return 0, false
	}
	e, ok := m.Body.(*icmp.Echo)
	if !ok || len(e.Data) != echoDataSize || [tokenSize]byte(e.Data) != s.token || raw && e.ID != int(s.id) {
		return 0, false
	}
	return binary.NativeEndian.Uint64(e.Data[tokenSize:]), true
}

// timestamp is when the kernel took a packet in.
func timestamp(control []byte) (time.Duration, bool) {
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return 0, false
	}
	for _, m := range messages {
		var ts unix.Timespec
		if m.Header.Level == unix.SOL_SOCKET && m.Header.Type == unix.SCM_TIMESTAMPNS && len(m.Data) >= int(unsafe.Sizeof(ts)) {
			copy((*[unsafe.Sizeof(ts)]byte)(unsafe.Pointer(&ts))[:], m.Data)
			return time.Duration(ts.Nano()), true
		}
	}
	return 0, false
}

func addrOf(sa unix.Sockaddr) netip.Addr {
	switch a := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrFrom4(a.Addr)
	case *unix.SockaddrInet6:
		return netip.AddrFrom16(a.Addr)
	}
	return netip.Addr{}
}
