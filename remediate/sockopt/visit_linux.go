package sockopt

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net/netip"
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
