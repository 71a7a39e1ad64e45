package sockdiag

import (
	"encoding/binary"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// TCPInfo is struct tcp_info (linux/tcp.h). What an older kernel does not fill in is 0.
type TCPInfo struct {
	unix.TCPInfo
	RcvWscale uint8 // tcpi_rcv_wscale, a bit field that unix.TCPInfo leaves out
}

// wscalesAt is the place of the byte that holds tcpi_snd_wscale and tcpi_rcv_wscale.
const wscalesAt = unsafe.Offsetof(unix.TCPInfo{}.Options) + 1

// GetTCPInfo asks for TCP_INFO (tcp(7)) of a socket that this process holds.
func GetTCPInfo(sock int) (TCPInfo, error) {
	var buf [unsafe.Sizeof(unix.TCPInfo{})]byte
	size := uint32(len(buf))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(sock), unix.IPPROTO_TCP, unix.TCP_INFO,
		uintptr(unsafe.Pointer(&buf[0])), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 {
		return TCPInfo{}, fmt.Errorf("TCP_INFO: %w", errno)
	}
	return parseTCPInfo(buf[:]), nil
}

// parseTCPInfo reads as much as there is of it.
func parseTCPInfo(b []byte) TCPInfo {
	var t TCPInfo
	raw := (*[unsafe.Sizeof(t.TCPInfo)]byte)(unsafe.Pointer(&t.TCPInfo))
	copy(raw[:], b)
	t.RcvWscale = receiveScale(raw[wscalesAt])
	return t
}

// receiveScale takes tcpi_rcv_wscale out of its byte: the order of bit fields follows the
// byte order.
func receiveScale(b byte) uint8 {
	if binary.NativeEndian.Uint16([]byte{1, 0}) == 1 {
		return b >> 4
	}
	return b & 0xf
}
