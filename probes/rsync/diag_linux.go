package rsync

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"unsafe"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"lifeline/watchdog"
)

// diag asks sock_diag(7) for struct tcp_info of connections of this network
// namespace, of many at once: two system calls for all, where a duplicate
// costs four for each.
type diag struct {
	mu      sync.Mutex
	sock    int // -1 until it is needed
	seq     uint32
	asks    []byte
	answers [diagBatch]answer
	heads   [diagBatch]mmsghdr
}

// answer has room for one answer, and says where that is.
type answer struct {
	bytes [diagRoom]byte
	vec   unix.Iovec
}

// mmsghdr is struct mmsghdr (recvmmsg(2)).
type mmsghdr struct {
	head unix.Msghdr
	size uint32
}

const (
	diagBatch = 32   // answers that the receive buffer surely has room for
	diagRoom  = 1024 // an answer has some 400 bytes
)

// Sizes and numbers of linux/inet_diag.h.
const (
	diagRequest   = 56 // struct inet_diag_req_v2
	diagAnswer    = 72 // struct inet_diag_msg
	diagInodeAt   = 68
	diagInfo      = 2          // INET_DIAG_INFO
	diagNoCookie  = 0xffffffff // INET_DIAG_NOCOOKIE
	diagAllStates = 0xffffffff
)

func newDiag() *diag {
	d := &diag{sock: -1}
	for i := range d.answers {
		a, h := &d.answers[i], &d.heads[i].head
		a.vec.Base = &a.bytes[0]
		a.vec.SetLen(len(a.bytes))
		h.Iov = &a.vec
		h.SetIovlen(1)
	}
	return d
}

// tcpInfo asks about connections and calls take with the index of each that
// answered, its struct tcp_info and the byte of its window scales. One that has
// ended, or whose addresses another has by now, does not answer.
func (d *diag) tcpInfo(sockets []watchdog.Socket, take func(i int, info *unix.TCPInfo, scales uint8)) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.open(); err != nil {
		return fmt.Errorf("sock_diag: %w", err)
	}
	for first := 0; first < len(sockets); first += diagBatch {
		batch := sockets[first:min(first+diagBatch, len(sockets))]
		err := d.batch(batch, func(i int, info *unix.TCPInfo, scales uint8) { take(first+i, info, scales) })
		if err != nil {
			return fmt.Errorf("sock_diag: %w", err)
		}
	}
	return nil
}

// batch asks about at most diagBatch connections. The kernel answers before the
// question returns.
func (d *diag) batch(sockets []watchdog.Socket, take func(i int, info *unix.TCPInfo, scales uint8)) error {
	first := d.seq + 1
	d.seq += uint32(len(sockets))
	d.asks = d.asks[:0]
	for i, s := range sockets {
		d.asks = appendQuestion(d.asks, first+uint32(i), s.Local, s.Remote)
	}
	if err := unix.Sendto(d.sock, d.asks, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	for heard := 0; heard < len(sockets); {
		n, err := d.receive()
		if err != nil || n == 0 {
			return err
		}
		for k := range n {
			b := d.answers[k].bytes[:min(d.heads[k].size, diagRoom)]
			i, info, scales, err := parseAnswer(b, first, sockets)
			if i < 0 {
				continue // to a question of before
			}
			heard++
			if err == nil {
				take(i, &info, scales)
			}
		}
	}
	return nil
}

// receive takes the answers that there are, 0 for none.
func (d *diag) receive() (n int, err error) {
	for {
		n, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, uintptr(d.sock), uintptr(unsafe.Pointer(&d.heads[0])), diagBatch,
			unix.MSG_DONTWAIT, 0, 0)
		switch errno {
		case 0:
			return int(n), nil
		case unix.EINTR:
		case unix.EAGAIN, unix.ENOBUFS: // the rest found no room
			return 0, nil
		default:
			return 0, errno
		}
	}
}

// open makes the socket.
func (d *diag) open() (err error) {
	if d.sock < 0 {
		d.sock, err = unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	}
	return err
}

// close frees the socket.
func (d *diag) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.sock >= 0 {
		unix.Close(d.sock)
		d.sock = -1
	}
}

// answerError reads struct nlmsgerr.
func answerError(b []byte) error {
	if len(b) < unix.SizeofNlMsghdr+4 {
		return fmt.Errorf("answer of %d bytes: %w", len(b), errFormat)
	}
	code := int32(binary.NativeEndian.Uint32(b[unix.SizeofNlMsghdr:]))
	if code == -int32(unix.ENOENT) {
		return fmt.Errorf("%w: %w", errGone, unix.ENOENT)
	}
	return unix.Errno(-code)
}

// appendQuestion appends a request with struct inet_diag_req_v2 for one
// connection.
func appendQuestion(b []byte, seq uint32, local, remote netip.AddrPort) []byte {
	const size = unix.SizeofNlMsghdr + diagRequest
	b = append(b, make([]byte, size)...)
	q := b[len(b)-size:]
	binary.NativeEndian.PutUint32(q, size)
	binary.NativeEndian.PutUint16(q[4:], nl.SOCK_DIAG_BY_FAMILY)
	binary.NativeEndian.PutUint16(q[6:], unix.NLM_F_REQUEST)
	binary.NativeEndian.PutUint32(q[8:], seq)
	q = q[unix.SizeofNlMsghdr:]
	q[0], q[1], q[2] = unix.AF_INET, unix.IPPROTO_TCP, 1<<(diagInfo-1)
	if local.Addr().Is6() {
		q[0] = unix.AF_INET6
	}
	binary.NativeEndian.PutUint32(q[4:], diagAllStates)
	binary.BigEndian.PutUint16(q[8:], local.Port())
	binary.BigEndian.PutUint16(q[10:], remote.Port())
	copy(q[12:28], local.Addr().AsSlice())
	copy(q[28:44], remote.Addr().AsSlice())
	binary.NativeEndian.PutUint32(q[48:], diagNoCookie)
	binary.NativeEndian.PutUint32(q[52:], diagNoCookie)
	return b
}

// parseAnswer reads one datagram and says which of the questions it answers,
// -1 for none. They are numbered from first.
func parseAnswer(b []byte, first uint32, sockets []watchdog.Socket) (i int, info unix.TCPInfo, scales uint8, err error) {
	if len(b) < unix.SizeofNlMsghdr {
		return -1, info, 0, errFormat
	}
	n := binary.NativeEndian.Uint32(b[8:]) - first
	if n >= uint32(len(sockets)) {
		return -1, info, 0, errFormat
	}
	if kind := binary.NativeEndian.Uint16(b[4:]); kind == unix.NLMSG_ERROR {
		return int(n), info, 0, answerError(b)
	}
	info, scales, err = parseDiag(b[unix.SizeofNlMsghdr:], sockets[n].Inode)
	return int(n), info, scales, err
}

// errOther says that the addresses belong to another connection by now.
var errOther = errors.New("another socket")

// parseDiag reads struct inet_diag_msg and the attribute after it that holds
// struct tcp_info, of which an old kernel knows less.
func parseDiag(b []byte, inode uint64) (info unix.TCPInfo, scales uint8, err error) {
	if len(b) < diagAnswer {
		return info, 0, fmt.Errorf("answer of %d bytes: %w", len(b), errFormat)
	}
	if uint64(binary.NativeEndian.Uint32(b[diagInodeAt:])) != inode {
		return info, 0, fmt.Errorf("%w: %w", errGone, errOther)
	}
	for b = b[diagAnswer:]; len(b) >= unix.SizeofRtAttr; {
		size, kind := int(binary.NativeEndian.Uint16(b)), binary.NativeEndian.Uint16(b[2:])
		if size < unix.SizeofRtAttr || size > len(b) {
			break
		}
		if kind == diagInfo {
			raw := (*[unsafe.Sizeof(info)]byte)(unsafe.Pointer(&info))
			copy(raw[:], b[unix.SizeofRtAttr:size])
			return info, raw[wscales], nil
		}
		b = b[min(len(b), (size+3)&^3):]
	}
	return info, 0, fmt.Errorf("no tcp_info: %w", errFormat)
}
