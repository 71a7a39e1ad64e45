package sockopt

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

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
