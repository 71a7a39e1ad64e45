package proctable

import (
	"slices"
	"strings"

	"lifeline/probes/rsync/proc"
	"lifeline/probes/rsync/sockets"
	"lifeline/probes/sshd"
)

// SSHHost is a Table as package sshd asks about it.
type SSHHost struct{ *Table }

// Identity implements sshd.Host.
func (h SSHHost) Identity(pid int) (sshd.Identity, error) {
	p := h.Process(pid)
	if p == nil {
		return sshd.Identity{}, sshd.ErrGone
	}
	return h.identity(p)
}

// TCP implements sshd.Host.
func (h SSHHost) TCP(pid int) ([]sshd.Socket, error) {
	p := h.Process(pid)
	if p == nil {
		return nil, sshd.ErrGone
	}
	holding := h.Holds(p)
	var out []sshd.Socket
	for _, s := range holding.Sockets {
		if s.Kind == sockets.TCPConnected || s.Kind == sockets.TCPListening {
			out = append(out, sshd.Socket{Inode: s.Inode, Netns: s.Netns, Listening: s.Kind == sockets.TCPListening, Local: s.Local, Remote: s.Remote})
		}
	}
	return out, holding.Err
}

// Listeners implements sshd.Host.
func (h SSHHost) Listeners() []int {
	var out []int
	for _, p := range h.SSHDs() {
		if p.State == 'Z' || Authenticated(p) {
			continue
		}
		if id, err := h.identity(p); err != nil || !id.Server() {
			continue
		}
		if parent, err := h.Identity(p.PPID); err == nil && parent.Server() {
			continue
		}
		out = append(out, p.ID.PID)
	}
	return out
}

// Authenticated reads sshd's title for its own process (setproctitle in
// session.c and sshd.c): "sshd: USER@pts/0" or "sshd: USER@notty" once a
// session is open. Before authentication it is "sshd: USER [priv]", "[net]",
// "[accepted]" or "[preauth]", and any USER there is one that exists.
func Authenticated(p *proc.Process) bool {
	if p.Exe == "sshd-auth" || len(p.Argv) != 1 {
		return false
	}
	title, ours := strings.CutPrefix(p.Argv[0], "sshd: ")
	if !ours {
		title, ours = strings.CutPrefix(p.Argv[0], "sshd-session: ")
	}
	at := strings.LastIndexByte(title, '@')
	if !ours || at < 1 || strings.ContainsAny(title[at+1:], " []") {
		return false
	}
	return slices.ContainsFunc([]string{"notty", "pts/", "tty", "internal-sftp"}, func(s string) bool {
		return strings.HasPrefix(title[at+1:], s)
	})
}
