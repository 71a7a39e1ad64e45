package rsync

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"

	"lifeline/watchdog"
)

// duplicator takes duplicates of other processes' sockets. It holds a handle
// per process, which says for certain whether the process is still the same,
// and never a duplicate: that would keep a dead connection open.
type duplicator struct {
	proc procFS

	using sync.RWMutex // held for reading while a handle is in use
	mu    sync.Mutex
	held  map[watchdog.ProcID]handle
}

// handle means one process for its whole life, as both of its descriptors do.
type handle struct {
	pidfd int
	stat  int // /proc/PID/stat; reading it anew costs a third of opening it anew
}

func (h handle) close() {
	unix.Close(h.pidfd)
	unix.Close(h.stat)
}

// handle gives the process's handle, opened once and checked by start time
// after it was opened.
func (d *duplicator) handle(id watchdog.ProcID) (handle, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if h, ok := d.held[id]; ok {
		return h, nil
	}
	var h handle
	var err error
	if h.pidfd, err = unix.PidfdOpen(id.PID, 0); err != nil {
		return h, gone(fmt.Errorf("pid %v: pidfd_open: %w", id, err))
	}
	if h.stat, err = openProc(d.proc.path(id.PID, "stat"), 0); err != nil {
		unix.Close(h.pidfd)
		return h, fmt.Errorf("pid %v: %w", id, errGone)
	}
	if st, err := h.read(); err != nil || st.ID != id {
		h.close()
		return h, fmt.Errorf("pid %v: %w", id, errGone)
	}
	if d.held == nil {
		d.held = map[watchdog.ProcID]handle{}
	}
	d.held[id] = h
	return h, nil
}

// read reads /proc/PID/stat again.
func (h handle) read() (stat, error) {
	var buf [1024]byte
	n, err := unix.Pread(h.stat, buf[:], 0)
	if err != nil {
		return stat{}, err
	}
	return parseStat(buf[:n])
}

// stat is what /proc/PID/stat says of exactly this process now.
func (d *duplicator) stat(id watchdog.ProcID) (stat, error) {
	d.using.RLock()
	defer d.using.RUnlock()
	h, err := d.handle(id)
	switch {
	case err == nil:
		return h.read()
	case errors.Is(err, errGone):
		return stat{}, err
	}
	st, err := d.proc.stat(id.PID) // no pidfd to be had (before Linux 5.3)
	if err == nil && st.ID != id {
		err = fmt.Errorf("pid %v: %w", id, errGone)
	}
	return st, err
}

// lives says whether exactly this process is still there: then what was just
// read by its pid was of it.
func (d *duplicator) lives(id watchdog.ProcID) bool {
	if lives, sure := d.signalled(id); sure {
		return lives
	}
	_, err := d.stat(id)
	return err == nil
}

// signalled asks the cheap way, by a signal that is none.
func (d *duplicator) signalled(id watchdog.ProcID) (lives, sure bool) {
	d.using.RLock()
	defer d.using.RUnlock()
	h, err := d.handle(id)
	if err != nil {
		return false, errors.Is(err, errGone)
	}
	err = unix.PidfdSendSignal(h.pidfd, 0, nil, 0)
	return err == nil, err == nil || err == unix.ESRCH
}

// keep closes the handles of all processes that are not wanted any more.
func (d *duplicator) keep(wanted func(watchdog.ProcID) bool) {
	d.using.Lock()
	defer d.using.Unlock()
	for id, h := range d.held {
		if !wanted(id) {
			h.close()
			delete(d.held, id)
		}
	}
}

// with calls use with a duplicate of the socket, which is closed when with
// returns. The inode is checked first: the descriptor may mean another socket
// by now.
func (d *duplicator) with(ref watchdog.FDRef, inode uint64, use func(sock int) error) error {
	d.using.RLock()
	defer d.using.RUnlock()
	h, err := d.handle(ref.Proc)
	if err != nil {
		return err
	}
	sock, err := unix.PidfdGetfd(h.pidfd, ref.FD, 0)
	if err != nil {
		return gone(fmt.Errorf("pid %v fd %d: pidfd_getfd: %w", ref.Proc, ref.FD, err))
	}
	defer unix.Close(sock)
	var st unix.Stat_t
	if err := unix.Fstat(sock, &st); err != nil {
		return fmt.Errorf("pid %v fd %d: fstat: %w", ref.Proc, ref.FD, err)
	}
	if st.Ino != inode || st.Mode&unix.S_IFMT != unix.S_IFSOCK {
		return fmt.Errorf("pid %v fd %d: not socket %d: %w", ref.Proc, ref.FD, inode, errGone)
	}
	return use(sock)
}

// gone marks the errors that mean that the process or descriptor has ended.
func gone(err error) error {
	if errors.Is(err, unix.ESRCH) || errors.Is(err, unix.EBADF) {
		return fmt.Errorf("%w: %w", errGone, err)
	}
	return err
}

// inspect implements inspector.
func (d *duplicator) inspect(ref watchdog.FDRef, inode uint64) (socketInfo, error) {
	var info socketInfo
	err := d.with(ref, inode, func(sock int) (err error) {
		info, err = describe(sock)
		return err
	})
	return info, err
}

// describe asks the kernel what a socket is.
func describe(sock int) (socketInfo, error) {
	domain, err := unix.GetsockoptInt(sock, unix.SOL_SOCKET, unix.SO_DOMAIN)
	if err != nil {
		return socketInfo{}, fmt.Errorf("SO_DOMAIN: %w", err)
	}
	kind, err := unix.GetsockoptInt(sock, unix.SOL_SOCKET, unix.SO_TYPE)
	if err != nil {
		return socketInfo{}, fmt.Errorf("SO_TYPE: %w", err)
	}
	if kind != unix.SOCK_STREAM {
		return socketInfo{}, nil
	}
	listening, err := unix.GetsockoptInt(sock, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	if err != nil {
		return socketInfo{}, fmt.Errorf("SO_ACCEPTCONN: %w", err)
	}
	switch domain {
	case unix.AF_INET, unix.AF_INET6:
		return describeTCP(sock, listening != 0)
	case unix.AF_UNIX:
		return describeUnix(sock, listening != 0)
	}
	return socketInfo{}, nil
}

func describeTCP(sock int, listening bool) (socketInfo, error) {
	// MPTCP is a stream of AF_INET too, and obeys neither clamp nor pacing.
	proto, err := unix.GetsockoptInt(sock, unix.SOL_SOCKET, unix.SO_PROTOCOL)
	if err != nil {
		return socketInfo{}, fmt.Errorf("SO_PROTOCOL: %w", err)
	}
	if proto != unix.IPPROTO_TCP {
		return socketInfo{}, nil
	}
	info := socketInfo{Kind: tcpListening, Netns: socketNetns(sock)}
	local, err := unix.Getsockname(sock)
	if err != nil {
		return socketInfo{}, fmt.Errorf("getsockname: %w", err)
	}
	info.Local = addrPort(local)
	if listening {
		return info, nil
	}
	remote, err := unix.Getpeername(sock)
	if err != nil {
		return socketInfo{Kind: idleSocket}, nil // not yet, or not any more
	}
	info.Kind, info.Remote = tcpConnected, addrPort(remote)
	info.Cookie, _ = unix.GetsockoptUint64(sock, unix.SOL_SOCKET, unix.SO_COOKIE) // before Linux 4.12 it has none
	return info, nil
}

func describeUnix(sock int, listening bool) (socketInfo, error) {
	info := socketInfo{Kind: unixListening}
	local, err := unix.Getsockname(sock)
	if err != nil {
		return socketInfo{}, fmt.Errorf("getsockname: %w", err)
	}
	info.Path = unixName(local)
	if listening {
		return info, nil
	}
	peer, err := unix.Getpeername(sock)
	if err != nil {
		return socketInfo{Kind: idleSocket}, nil
	}
	info.Kind, info.Peer = unixStream, unixName(peer)
	return info, nil
}

// unixName is the address of a unix socket, "" for one without: x/sys writes
// the leading NUL of an abstract name as '@', and also the one of no name.
func unixName(a unix.Sockaddr) string {
	if u, ok := a.(*unix.SockaddrUnix); ok && u.Name != "@" {
		return u.Name
	}
	return ""
}

// addrPort converts a socket address; IPv4 in IPv6 becomes IPv4.
func addrPort(a unix.Sockaddr) netip.AddrPort {
	switch a := a.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port))
	case *unix.SockaddrInet6:
		addr := netip.AddrFrom16(a.Addr).Unmap()
		if a.ZoneId != 0 {
			addr = addr.WithZone(strconv.FormatUint(uint64(a.ZoneId), 10))
		}
		return netip.AddrPortFrom(addr, uint16(a.Port))
	}
	return netip.AddrPort{}
}

// socketNetns asks which network namespace a socket belongs to (SIOCGSKNS),
// which is not always its holder's. 0 when it may not be known.
func socketNetns(sock int) uint64 {
	fd, err := unix.IoctlRetInt(sock, unix.SIOCGSKNS)
	if err != nil {
		return 0
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if unix.Fstat(fd, &st) != nil {
		return 0
	}
	return st.Ino
}
