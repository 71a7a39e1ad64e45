// Package sshd tells the ssh server of this host from what only calls itself so.
//
// A process may choose its name and its title; it cannot choose who owns it, which
// file it executes, who started it, and what the kernel lets it listen on. So a
// connection is one of an ssh session only where all of this holds:
//
//   - It is held by a process of root (real, effective and saved user id) whose
//     executable is OpenSSH's sshd or sshd-session, a file that is root's and that
//     nobody else may write to.
//   - It was accepted: its local address and port are those of a socket that the
//     process which started this one listens on (sshd, or a service manager), or
//     another sshd of root, where the one that accepted it was started anew.
//
// With privilege separation a child of that process serves the user, as the user. It
// executes the same file, and holds the same connection. What the user starts below
// it is the user's, whatever it executes or has inherited.
//
// The server of an unprivileged user, of a container in a user namespace, and other
// servers than OpenSSH's (dropbear, tinysshd) do not count.
package sshd

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
)

// Identity is who a process is, by what it cannot choose itself.
type Identity struct {
	PID, Parent int
	UIDs        [3]uint32 // real, effective and saved, as our user namespace has them
	Exe         File
	// Err says why Exe is not known: it may not be looked at.
	Err error
}

// File is an executable.
type File struct {
	Name       string // last part of its path
	Dev, Inode uint64
	Guarded    bool // it is root's, and nobody else may write to it
}

// Named tells the names of the parts of OpenSSH's server: one executable until 9.7,
// split into sshd, sshd-session and sshd-auth since. A name proves nothing.
func Named(base string) bool {
	return base == "sshd" || base == "sshd-session" || base == "sshd-auth"
}

// Root says whether a process is root's for good, and executes a file of root's.
func (i Identity) Root() bool {
	return i.Err == nil && i.UIDs == [3]uint32{} && i.Exe.Guarded
}

// Server says whether a process is root's sshd: one that listens, or that serves a
// connection with root's power.
func (i Identity) Server() bool {
	return i.Root() && (i.Exe.Name == "sshd" || i.Exe.Name == "sshd-session")
}

// same says whether two processes execute the same file.
func (i Identity) same(other Identity) bool {
	return i.Err == nil && other.Err == nil && i.Exe.Dev == other.Exe.Dev && i.Exe.Inode == other.Exe.Inode
}

// Socket is a TCP socket.
type Socket struct {
	Inode         uint64
	Netns         uint64 // inode of its network namespace; 0 when unknown
	Listening     bool
	Local, Remote netip.AddrPort // without IPv4 in IPv6
}

// accepts says whether a connection may have come in at a listening socket.
func (l Socket) accepts(c Socket) bool {
	return l.Listening && !c.Listening && l.Local.Port() == c.Local.Port() &&
		(l.Netns == c.Netns || l.Netns == 0 || c.Netns == 0) &&
		(l.Local.Addr().IsUnspecified() || l.Local.Addr() == c.Local.Addr())
}

// Host is what is asked about processes. The answers may be a moment old.
type Host interface {
	// Identity tells who a process is; ErrGone is one that has ended.
	Identity(pid int) (Identity, error)
	// TCP lists the TCP sockets that a process holds, with an error where some may
	// be missing.
	TCP(pid int) ([]Socket, error)
	// Listeners lists the processes of root's sshd that are no session by their
	// titles, which are root's word.
	Listeners() []int
}

var (
	// ErrGone says that a process has ended.
	ErrGone = errors.New("the process has ended")
	// ErrForeign says that a process is no part of the host's sshd.
	ErrForeign = errors.New("it is no part of the host's sshd")
)

// Connection is an ssh connection that the host's sshd accepted.
type Connection struct {
	Socket
	Server int // the process of root that holds it
	// User is the process that serves it as the user who is logged in, or before
	// anybody is as nobody in particular; Server where that does both.
	User int
}

// Belongs says whether a process is a part of the host's sshd: root's, or what that
// has forked to serve a user. A process that may not be looked at counts.
func Belongs(h Host, pid int) bool {
	id, err := h.Identity(pid)
	if err != nil {
		return false
	}
	if id.Err != nil || id.Server() {
		return true
	}
	parent, err := h.Identity(id.Parent)
	return err == nil && parent.Server() && id.same(parent)
}

// Accepted finds the connection that a process of the host's sshd serves. The error
// says why there is none: ErrForeign, or that something may not be looked at.
func Accepted(h Host, pid int) (Connection, error) {
	id, err := h.Identity(pid)
	if err != nil {
		return Connection{}, err
	}
	if id.Err != nil {
		return Connection{}, fmt.Errorf("pid %d may not be looked at: %w", pid, id.Err)
	}
	parent := known(h, id.Parent)
	none := id.foreign()
	if parent.Server() && id.same(parent) {
		s, err := serves(h, parent, known(h, parent.Parent))
		none = also(none, err)
		if err == nil {
			own, err := h.TCP(pid)
			if slices.ContainsFunc(own, func(o Socket) bool { return o.Inode == s.Inode }) {
				return Connection{s, parent.PID, pid}, nil
			}
			none = also(fmt.Errorf("pid %d does not hold the connection of pid %d: %w", pid, parent.PID, ErrForeign), err)
		}
	}
	if id.Server() {
		s, err := serves(h, id, parent)
		if err == nil {
			return Connection{s, pid, pid}, nil
		}
		none = err
	}
	return Connection{}, none
}

// also is both errors, in one line.
func also(a, b error) error {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	}
	return fmt.Errorf("%w; %w", a, b)
}

// known is who a process is, or nobody where that is not known.
func known(h Host, pid int) Identity {
	id, err := h.Identity(pid)
	if err != nil || id.Err != nil {
		return Identity{}
	}
	return id
}

// serves finds the connection of a process of root's that its parent, or another
// sshd of root, listened for.
func serves(h Host, server, parent Identity) (Socket, error) {
	own, trouble := h.TCP(server.PID)
	find := func(pid int) (Socket, bool) {
		if pid == server.PID || len(own) == 0 {
			return Socket{}, false
		}
		at, err := h.TCP(pid)
		for _, c := range own {
			if slices.ContainsFunc(at, func(l Socket) bool { return l.accepts(c) }) {
				return c, true
			}
		}
		trouble = also(trouble, err)
		return Socket{}, false
	}
	if parent.Server() {
		if c, ok := find(parent.PID); ok {
			return c, nil
		}
	}
	for _, pid := range h.Listeners() {
		if c, ok := find(pid); ok {
			return c, nil
		}
	}
	if parent.Root() && !parent.Server() {
		if c, ok := find(parent.PID); ok {
			return c, nil
		}
	}
	return Socket{}, also(fmt.Errorf("pid %d holds no connection that came to a port on which sshd listens: %w", server.PID, ErrForeign), trouble)
}

// foreign says why a process is no part of the host's sshd.
func (i Identity) foreign() error {
	switch {
	case i.UIDs != [3]uint32{}:
		return fmt.Errorf("pid %d runs as uid %d and was not started by root's sshd: %w", i.PID, i.UIDs[0], ErrForeign)
	case !i.Exe.Guarded:
		return fmt.Errorf("the executable of pid %d is not root's alone: %w", i.PID, ErrForeign)
	}
	return fmt.Errorf("pid %d: %w", i.PID, ErrForeign)
}
