package sockopt

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"lifeline/remediate/process"
	"lifeline/watchdog"
)

// What lifts a limit. The clamp is never set back to the value that was read
// at birth: that one throttles for life. Pacing is unlimited at ~0.
const (
	NoWindowClamp = 1<<30 - 1
	NoPacing      = math.MaxUint64
)

// Visit runs f with a duplicate of the socket, taken from the first of s.Refs
// that still has it, and closes the duplicate at once: a held one would keep
// the connection open after its owner died. ErrGone when nobody named in
// s.Refs holds the socket any more.
func Visit(h *process.Handles, s watchdog.Socket, f func(fd int) error) error {
	var errs []error
	for _, ref := range s.Refs {
		visited := false
		err := h.WithPidfd(ref.Proc, func(pidfd int) error {
			dup, err := unix.PidfdGetfd(pidfd, ref.FD, 0)
			if errors.Is(err, unix.EBADF) {
				return nil
			}
			if err != nil {
				return fmt.Errorf("process %s: pidfd_getfd: %w", ref.Proc, err)
			}
			defer unix.Close(dup)
			if !sameSocket(dup, s) {
				return nil
			}
			visited = true
			return f(dup)
		})
		if visited {
			return err
		}
		if err != nil && !errors.Is(err, process.ErrGone) {
			errs = append(errs, err)
		}
	}
	if len(errs) > 0 {
		return fmt.Errorf("socket %d: %w", s.Inode, errors.Join(errs...))
	}
	return fmt.Errorf("socket %d: %w", s.Inode, process.ErrGone)
}

// VisitOnce is visit for a single use.
func VisitOnce(s watchdog.Socket, f func(fd int) error) error {
	var h process.Handles
	defer h.Close()
	return Visit(&h, s, f)
}

// sameSocket compares inode and, as inodes of sockets may come round again, the
// kernel's own number, else the address, where they are known.
func sameSocket(fd int, s watchdog.Socket) bool {
	var st unix.Stat_t
	if unix.Fstat(fd, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFSOCK || st.Ino != s.Inode {
		return false
	}
	if s.Cookie != 0 {
		cookie, err := unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_COOKIE)
		return err == nil && cookie == s.Cookie
	}
	if !s.Local.IsValid() {
		return true
	}
	local, ok := localAddr(fd)
	return ok && local.Port() == s.Local.Port() && local.Addr().Unmap() == s.Local.Addr().Unmap().WithZone("")
}

// localAddr is getsockname(2), of which the library makes two system calls. Of
// other families than IP, ok is false.
func localAddr(fd int) (a netip.AddrPort, ok bool) {
	var sa unix.RawSockaddrInet6 // the larger one
	n := uint32(unsafe.Sizeof(sa))
	_, _, e := unix.Syscall(unix.SYS_GETSOCKNAME, uintptr(fd), uintptr(unsafe.Pointer(&sa)), uintptr(unsafe.Pointer(&n)))
	if e != 0 {
		return a, false
	}
	switch sa.Family {
	case unix.AF_INET:
		sa4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(&sa))
		return netip.AddrPortFrom(netip.AddrFrom4(sa4.Addr), hostOrder(sa4.Port)), true
	case unix.AF_INET6:
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr), hostOrder(sa.Port)), true
	}
	return a, false
}

// hostOrder reads a number of the network.
func hostOrder(v uint16) uint16 {
	var b [2]byte
	binary.NativeEndian.PutUint16(b[:], v)
	return binary.BigEndian.Uint16(b[:])
}

func SetWindowClamp(fd int, bytes int64) error {
	err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_WINDOW_CLAMP, int(min(bytes, NoWindowClamp)))
	if err != nil {
		return fmt.Errorf("set TCP_WINDOW_CLAMP: %w", err)
	}
	return nil
}

// SetPacing limits the rate of a sender. The first limit switches the
// socket's internal pacing on for good: lifted, it paces at the rate that its
// congestion control wants, as it would under fq.
func SetPacing(fd int, bytesPerSecond uint64) error {
	b := binary.NativeEndian.AppendUint64(nil, bytesPerSecond)
	if err := setsockopt(fd, unix.SOL_SOCKET, unix.SO_MAX_PACING_RATE, b); err != nil {
		return fmt.Errorf("set SO_MAX_PACING_RATE: %w", err)
	}
	return nil
}

// bufferUnit is what the kernel makes of a byte asked of SO_RCVBUF: it counts
// its own overhead too (socket(7)).
const bufferUnit = 2

// openBuffer is the least receive buffer that a socket gets back, in bytes as
// the kernel counts: enough for a window of a megabyte.
const openBuffer = 3 << 20

// SetReceiveBuffer fixes the receive buffer of a socket, in bytes as the kernel counts.
func SetReceiveBuffer(fd int, bytes int64) error {
	v := int(bytes / bufferUnit)
	err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, v)
	if errors.Is(err, unix.EPERM) {
		err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, v)
	}
	if err != nil {
		return fmt.Errorf("set SO_RCVBUF: %w", err)
	}
	return nil
}

// RestoreReceiveBuffer undoes setBuffer: at least the size that there was, and tuned by
// the kernel again. Before Linux 5.14 that cannot be had back; the largest size
// that the kernel would have come to stands in for it.
func RestoreReceiveBuffer(fd int, was int64) error {
	if err := SetReceiveBuffer(fd, max(was, openBuffer)); err != nil {
		return err
	}
	err := SetAutotuning(fd, true)
	if errors.Is(err, unix.ENOPROTOOPT) {
		return SetReceiveBuffer(fd, max(was, largestBuffer()))
	}
	return err
}

// SetAutotuning lets the kernel tune the receive buffer of a socket, or not.
// ENOPROTOOPT before Linux 5.14.
func SetAutotuning(fd int, on bool) error {
	locks, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_BUF_LOCK)
	if err != nil {
		return fmt.Errorf("get SO_BUF_LOCK: %w", err)
	}
	want := locks | unix.SOCK_RCVBUF_LOCK
	if on {
		want = locks &^ unix.SOCK_RCVBUF_LOCK
	}
	if want == locks {
		return nil
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_BUF_LOCK, want); err != nil {
		return fmt.Errorf("set SO_BUF_LOCK: %w", err)
	}
	return nil
}

// largestBuffer is the third value of net.ipv4.tcp_rmem, which serves IPv6 too.
func largestBuffer() int64 {
	b, err := os.ReadFile("/proc/sys/net/ipv4/tcp_rmem")
	if f := strings.Fields(string(b)); err == nil && len(f) == 3 {
		if v, err := strconv.ParseInt(f[2], 10, 64); err == nil {
			return v
		}
	}
	return 6 << 20 // the kernel's default
}

// bufferFixed says whether the size of the receive buffer was set by hand or
// fixed by us. Before Linux 5.14 that is not told, and "no" is likelier.
func bufferFixed(fd int) (fixed, told bool) {
	locks, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_BUF_LOCK)
	return err == nil && locks&unix.SOCK_RCVBUF_LOCK != 0, err == nil
}

// State is the state of a TCP socket that limiting it depends on.
type State struct {
	Established   bool
	Listening     bool
	MSS           int64 // bytes: what the peer may send at once
	WindowScale   uint8 // window scale that we announced
	Window        int64 // bytes: the receive window that stands; -1 on kernels before 6.2
	Unread        int64 // bytes of receive buffer in use, with overhead
	ReceiveBuffer int64 // bytes of receive buffer
	Received      uint64
	Acked         uint64
	Pacing        uint64 // bytes/s; liftedPacing for none
	WindowClamp   int64  // TCP_WINDOW_CLAMP that stands
	BufferLocked  bool   // the kernel does not tune the receive buffer
	LockKnown     bool   // bufferFixed is told, and can be set
}

// MinWindow is the smallest window that the kernel can announce usefully: two
// segments, so that the sender's silly-window rule lets it send, and one unit
// of the window scale.
func (c State) MinWindow() int64 { return max(2*c.MSS, 1<<c.WindowScale) }

// Full says that the receiver has no room for a segment. Setting a clamp then
// may wedge the connection on kernels that lack "tcp: fix mid stream window
// clamp": it makes what is offered now the most that will ever be offered.
func (c State) Full() bool {
	if c.Window < 0 {
		return 4*c.Unread > 3*c.ReceiveBuffer
	}
	return c.Window < c.MSS
}

// Wedged says that the receiver has read all and still offers nothing.
func (c State) Wedged() bool { return c.Window == 0 && c.Unread == 0 }

// States of net/tcp_states.h.
const (
	tcpEstablished = 1
	tcpListen      = 10
)

// Inspect reads the state of a TCP socket.
func Inspect(fd int) (State, error) {
	var buf [unsafe.Sizeof(unix.TCPInfo{})]byte
	n, err := getsockopt(fd, unix.IPPROTO_TCP, unix.TCP_INFO, buf[:])
	if err != nil {
		return State{}, fmt.Errorf("get TCP_INFO: %w", err)
	}
	c, err := parseTCPInfo(buf[:n])
	if err != nil {
		return State{}, err
	}
	var mem [9 * 4]byte // SK_MEMINFO_VARS of linux/sock_diag.h
	if n, err = getsockopt(fd, unix.SOL_SOCKET, unix.SO_MEMINFO, mem[:]); err != nil || n < 8 {
		return State{}, fmt.Errorf("get SO_MEMINFO: %d bytes, %w", n, err)
	}
	c.Unread = int64(binary.NativeEndian.Uint32(mem[0:]))        // SK_MEMINFO_RMEM_ALLOC
	c.ReceiveBuffer = int64(binary.NativeEndian.Uint32(mem[4:])) // SK_MEMINFO_RCVBUF
	clamp, err := unix.GetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_WINDOW_CLAMP)
	if err != nil {
		return State{}, fmt.Errorf("get TCP_WINDOW_CLAMP: %w", err)
	}
	c.WindowClamp = int64(clamp)
	c.BufferLocked, c.LockKnown = bufferFixed(fd)
	return c, nil
}

// parseTCPInfo reads struct tcp_info (linux/tcp.h), of which older kernels
// give less.
func parseTCPInfo(b []byte) (State, error) {
	var t unix.TCPInfo
	if len(b) < int(unsafe.Offsetof(t.Segs_out)) {
		return State{}, fmt.Errorf("tcp_info of %d bytes is too short", len(b))
	}
	u32 := func(off uintptr) uint32 { return binary.NativeEndian.Uint32(b[off:]) }
	u64 := func(off uintptr) uint64 { return binary.NativeEndian.Uint64(b[off:]) }
	c := State{
		Established: b[0] == tcpEstablished,
		Listening:   b[0] == tcpListen,
		MSS:         int64(max(u32(unsafe.Offsetof(t.Advmss)), u32(unsafe.Offsetof(t.Rcv_mss)))),
		WindowScale: receiveScale(b[6]),
		Window:      -1,
		Received:    u64(unsafe.Offsetof(t.Bytes_received)),
		Acked:       u64(unsafe.Offsetof(t.Bytes_acked)),
		Pacing:      u64(unsafe.Offsetof(t.Max_pacing_rate)),
	}
	if off := unsafe.Offsetof(t.Rcv_wnd); len(b) >= int(off)+4 {
		c.Window = int64(u32(off))
	}
	return c, nil
}

// receiveScale takes tcpi_rcv_wscale out of its byte, a bit field whose order
// follows the byte order.
func receiveScale(b byte) uint8 {
	if binary.NativeEndian.Uint16([]byte{1, 0}) == 1 {
		return b >> 4
	}
	return b & 0xf
}

func getsockopt(fd, level, name int, buf []byte) (int, error) {
	n := uint32(len(buf))
	_, _, e := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), uintptr(level), uintptr(name),
		uintptr(unsafe.Pointer(&buf[0])), uintptr(unsafe.Pointer(&n)), 0)
	if e != 0 {
		return 0, e
	}
	return int(n), nil
}

func setsockopt(fd, level, name int, buf []byte) error {
	_, _, e := unix.Syscall6(unix.SYS_SETSOCKOPT, uintptr(fd), uintptr(level), uintptr(name),
		uintptr(unsafe.Pointer(&buf[0])), uintptr(len(buf)), 0)
	if e != 0 {
		return e
	}
	return nil
}
