package sockopt

import (
	"encoding/binary"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

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
