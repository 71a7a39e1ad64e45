package sockdiag

import (
	"encoding/binary"
	"errors"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// MemInfo is what a socket holds, in bytes with the kernel's overhead (SK_MEMINFO_* of
// linux/sock_diag.h).
type MemInfo struct {
	Received uint64 // SK_MEMINFO_RMEM_ALLOC: came, and was not read
	Backlog  uint64 // SK_MEMINFO_BACKLOG: came while the socket was in use
	Queued   uint64 // SK_MEMINFO_WMEM_QUEUED: written, and not acknowledged
}

// GetMemInfo asks for SO_MEMINFO of a socket that this process holds. The error wraps
// errors.ErrUnsupported where the kernel tells less.
func GetMemInfo(sock int) (MemInfo, error) {
	const rmemAlloc, wmemQueued, backlog, vars = 0, 5, 7, 9
	var mem [vars * 4]byte
	size := uint32(len(mem))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(sock), unix.SOL_SOCKET, unix.SO_MEMINFO,
		uintptr(unsafe.Pointer(&mem[0])), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 {
		return MemInfo{}, fmt.Errorf("SO_MEMINFO: %w", errno)
	}
	if int(size) < len(mem) {
		return MemInfo{}, fmt.Errorf("SO_MEMINFO of %d bytes: %w", size, errors.ErrUnsupported)
	}
	at := func(i int) uint64 { return uint64(binary.NativeEndian.Uint32(mem[4*i:])) }
	return MemInfo{Received: at(rmemAlloc), Backlog: at(backlog), Queued: at(wmemQueued)}, nil
}
