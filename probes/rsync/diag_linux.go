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

// diag asks sock_diag(7) for struct tcp_info of one connection of this network
// namespace: the way where a socket cannot be duplicated.
type diag struct {
	mu   sync.Mutex
	sock int // -1 until it is needed
	seq  uint32
}

// Sizes and numbers of linux/inet_diag.h.
const (
	diagRequest   = 56 // struct inet_diag_req_v2
	diagAnswer    = 72 // struct inet_diag_msg
	diagInodeAt   = 68
	diagInfo      = 2          // INET_DIAG_INFO
	diagNoCookie  = 0xffffffff // INET_DIAG_NOCOOKIE
	diagAllStates = 0xffffffff
)

func newDiag() *diag { return &diag{sock: -1} }

// tcpInfo gives struct tcp_info and the byte of its window scales.
func (d *diag) tcpInfo(s watchdog.Socket) (unix.TCPInfo, uint8, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	info, scales, err := d.ask(s)
	if err != nil {
		return info, scales, fmt.Errorf("sock_diag %v: %w", s.Remote, err)
	}
	return info, scales, nil
}

func (d *diag) ask(s watchdog.Socket) (unix.TCPInfo, uint8, error) {
	if err := d.open(); err != nil {
		return unix.TCPInfo{}, 0, err
	}
	d.seq++
	request := nl.NewNetlinkRequest(nl.SOCK_DIAG_BY_FAMILY, 0)
	request.Seq = d.seq
	request.AddRawData(diagQuestion(s.Local, s.Remote))
	if err := unix.Sendto(d.sock, request.Serialize(), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return unix.TCPInfo{}, 0, err
	}
	buf := make([]byte, 8192)
	for {
		n, err := unix.Read(d.sock, buf)
		if err != nil {
			return unix.TCPInfo{}, 0, err
		}
		if n < unix.SizeofNlMsghdr || binary.NativeEndian.Uint32(buf[8:]) != d.seq {
			continue // an answer that nobody waits for any more
		}
		if kind := binary.NativeEndian.Uint16(buf[4:]); kind == unix.NLMSG_ERROR {
			return unix.TCPInfo{}, 0, answerError(buf[:n])
		}
		return parseDiag(buf[unix.SizeofNlMsghdr:n], s.Inode)
	}
}

// open makes the socket. An answer comes at once or never.
func (d *diag) open() error {
	if d.sock >= 0 {
		return nil
	}
	sock, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return err
	}
	if err := unix.SetsockoptTimeval(sock, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 100_000}); err != nil {
		unix.Close(sock)
		return err
	}
	d.sock = sock
	return nil
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

// diagQuestion is struct inet_diag_req_v2 for one connection.
func diagQuestion(local, remote netip.AddrPort) []byte {
	b := make([]byte, diagRequest)
	b[0], b[1], b[2] = unix.AF_INET, unix.IPPROTO_TCP, 1<<(diagInfo-1)
	if local.Addr().Is6() {
		b[0] = unix.AF_INET6
	}
	binary.NativeEndian.PutUint32(b[4:], diagAllStates)
	binary.BigEndian.PutUint16(b[8:], local.Port())
	binary.BigEndian.PutUint16(b[10:], remote.Port())
	copy(b[12:], local.Addr().AsSlice())
	copy(b[28:], remote.Addr().AsSlice())
	binary.NativeEndian.PutUint32(b[48:], diagNoCookie)
	binary.NativeEndian.PutUint32(b[52:], diagNoCookie)
	return b
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
