package sockets

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"

	"lifeline/probes/rsync/proc"
	"lifeline/watchdog"
	"lifeline/watchdog/sockdiag"
)

// Duplicator takes duplicates of other processes' sockets. It holds a handle
// per process, which says for certain whether the process is still the same,
// and never a duplicate: that would keep a dead connection open.
type Duplicator struct {
	proc proc.FS

	using   sync.RWMutex // held for reading while a handle is in use
	mu      sync.Mutex
	handles map[watchdog.ProcID]handle
}

// NewDuplicator makes one that finds processes in a /proc tree.
func NewDuplicator(proc proc.FS) *Duplicator { return &Duplicator{proc: proc} }

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
func (d *Duplicator) handle(id watchdog.ProcID) (handle, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if h, ok := d.handles[id]; ok {
		return h, nil
	}
	var h handle
	var err error
	if h.pidfd, err = unix.PidfdOpen(id.PID, 0); err != nil {
		return h, markGone(fmt.Errorf("pid %v: pidfd_open: %w", id, err))
	}
	if h.stat, err = proc.OpenProc(d.proc.Path(id.PID, "stat"), 0); err != nil {
		unix.Close(h.pidfd)
		return h, fmt.Errorf("pid %v: %w", id, proc.ErrGone)
	}
	if st, err := h.read(); err != nil || st.ID != id {
		h.close()
		return h, fmt.Errorf("pid %v: %w", id, proc.ErrGone)
	}
	if d.handles == nil {
		d.handles = map[watchdog.ProcID]handle{}
	}
	d.handles[id] = h
	return h, nil
}

// read reads /proc/PID/stat again.
func (h handle) read() (proc.Stat, error) {
	var buf [1024]byte
	n, err := unix.Pread(h.stat, buf[:], 0)
	if err != nil {
		return proc.Stat{}, err
	}
	return proc.ParseStat(buf[:n])
}

// Stat is what /proc/PID/stat says of exactly this process now.
func (d *Duplicator) Stat(id watchdog.ProcID) (proc.Stat, error) {
	d.using.RLock()
	defer d.using.RUnlock()
	h, err := d.handle(id)
	switch {
	case err == nil:
		return h.read()
	case errors.Is(err, proc.ErrGone):
		return proc.Stat{}, err
	}
	st, err := d.proc.Stat(id.PID) // no pidfd to be had (before Linux 5.3)
	if err == nil && st.ID != id {
		err = fmt.Errorf("pid %v: %w", id, proc.ErrGone)
	}
	return st, err
}

// Alive says whether exactly this process is still there: then what was just
// read by its pid was of it.
func (d *Duplicator) Alive(id watchdog.ProcID) bool {
	if lives, sure := d.signalled(id); sure {
		return lives
	}
	_, err := d.Stat(id)
	return err == nil
}

// signalled asks the cheap way, by a signal that is none.
func (d *Duplicator) signalled(id watchdog.ProcID) (lives, sure bool) {
	d.using.RLock()
	defer d.using.RUnlock()
	h, err := d.handle(id)
	if err != nil {
		return false, errors.Is(err, proc.ErrGone)
	}
	err = unix.PidfdSendSignal(h.pidfd, 0, nil, 0)
	return err == nil, err == nil || err == unix.ESRCH
}

// Retain closes the handles of all processes that are not wanted any more.
func (d *Duplicator) Retain(wanted func(watchdog.ProcID) bool) {
	d.using.Lock()
	defer d.using.Unlock()
	for id, h := range d.handles {
		if !wanted(id) {
			h.close()
			delete(d.handles, id)
		}
	}
}

// With calls use with a duplicate of the socket, which is closed when with
// returns. The inode is checked first: the descriptor may mean another socket
// by now.
func (d *Duplicator) With(ref watchdog.FDRef, inode uint64, use func(sock int) error) error {
	d.using.RLock()
	defer d.using.RUnlock()
	h, err := d.handle(ref.Proc)
	if err != nil {
		return err
	}
	sock, err := unix.PidfdGetfd(h.pidfd, ref.FD, 0)
	if err != nil {
		return markGone(fmt.Errorf("pid %v fd %d: pidfd_getfd: %w", ref.Proc, ref.FD, err))
	}
	defer unix.Close(sock)
	var st unix.Stat_t
	if err := unix.Fstat(sock, &st); err != nil {
		return fmt.Errorf("pid %v fd %d: fstat: %w", ref.Proc, ref.FD, err)
	}
	if st.Ino != inode || st.Mode&unix.S_IFMT != unix.S_IFSOCK {
		return fmt.Errorf("pid %v fd %d: not socket %d: %w", ref.Proc, ref.FD, inode, proc.ErrGone)
	}
	return use(sock)
}

// markGone marks the errors that mean that the process or descriptor has ended.
func markGone(err error) error {
	if errors.Is(err, unix.ESRCH) || errors.Is(err, unix.EBADF) {
		return fmt.Errorf("%w: %w", proc.ErrGone, err)
	}
	return err
}

// Inspect implements Inspector.
func (d *Duplicator) Inspect(ref watchdog.FDRef, inode uint64) (Info, error) {
	var info Info
	err := d.With(ref, inode, func(sock int) (err error) {
		info, err = describe(sock)
		return err
	})
	return info, err
}

// describe asks the kernel what a socket is.
func describe(sock int) (Info, error) {
	domain, err := unix.GetsockoptInt(sock, unix.SOL_SOCKET, unix.SO_DOMAIN)
	if err != nil {
		return Info{}, fmt.Errorf("SO_DOMAIN: %w", err)
	}
	kind, err := unix.GetsockoptInt(sock, unix.SOL_SOCKET, unix.SO_TYPE)
	if err != nil {
		return Info{}, fmt.Errorf("SO_TYPE: %w", err)
	}
	if kind != unix.SOCK_STREAM {
		return Info{}, nil
	}
	listening, err := unix.GetsockoptInt(sock, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	if err != nil {
		return Info{}, fmt.Errorf("SO_ACCEPTCONN: %w", err)
	}
	switch domain {
	case unix.AF_INET, unix.AF_INET6:
		return describeTCP(sock, listening != 0)
	case unix.AF_UNIX:
		return describeUnix(sock, listening != 0)
	}
	return Info{}, nil
}

func describeTCP(sock int, listening bool) (Info, error) {
	// MPTCP is a stream of AF_INET too, and obeys neither clamp nor pacing.
	proto, err := unix.GetsockoptInt(sock, unix.SOL_SOCKET, unix.SO_PROTOCOL)
	if err != nil {
		return Info{}, fmt.Errorf("SO_PROTOCOL: %w", err)
	}
	if proto != unix.IPPROTO_TCP {
		return Info{}, nil
	}
	info := Info{Kind: TCPListening, Netns: socketNetns(sock)}
	local, err := unix.Getsockname(sock)
	if err != nil {
		return Info{}, fmt.Errorf("getsockname: %w", err)
	}
	info.Local = addrPort(local)
	if listening {
		return info, nil
	}
	remote, err := unix.Getpeername(sock)
	if err != nil {
		return Info{Kind: Idle}, nil // not yet, or not any more
	}
	info.Kind, info.Remote = TCPConnected, addrPort(remote)
	info.Cookie, _ = unix.GetsockoptUint64(sock, unix.SOL_SOCKET, unix.SO_COOKIE) // before Linux 4.12 it has none
	return info, nil
}

func describeUnix(sock int, listening bool) (Info, error) {
	info := Info{Kind: UnixListening}
	local, err := unix.Getsockname(sock)
	if err != nil {
		return Info{}, fmt.Errorf("getsockname: %w", err)
	}
	info.Path = unixName(local)
	if listening {
		return info, nil
	}
	peer, err := unix.Getpeername(sock)
	if err != nil {
		return Info{Kind: Idle}, nil
	}
	info.Kind, info.Peer = UnixStream, unixName(peer)
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

// Passed implements counter.
func (d *Duplicator) Passed(p *proc.Process, s Held) (proc.IO, error) {
	var c proc.IO
	err := d.With(s.ref(p), s.Inode, func(sock int) error {
		info, err := sockdiag.GetTCPInfo(sock)
		c = proc.IO{In: info.Bytes_received, Out: info.Bytes_acked}
		return err
	})
	return c, err
}
