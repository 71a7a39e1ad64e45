package grouping

import (
	"cmp"
	"slices"

	"lifeline/probes/rsync/proctable"
	"lifeline/probes/rsync/sockets"
	"lifeline/watchdog"
)

// Session is the connection of a session, with sshd's process of it.
type Session struct {
	Socket  sockets.Held
	Process watchdog.ProcID
}

// Sessions sorts the processes of the host's sshd into connections, and keeps those
// that are authenticated and carry no transfer.
func Sessions(t *proctable.Table, busy func(inode uint64) bool) []Session {
	var out []Session
	g := grouper{table: t}
	for _, p := range t.SSHDs() {
		if p.State == 'Z' || !proctable.Authenticated(p) {
			continue
		}
		c := g.sshConnection(p)
		if !c.found || busy(c.socket.Inode) || slices.ContainsFunc(out, func(s Session) bool { return s.Socket.Inode == c.socket.Inode }) {
			continue
		}
		out = append(out, Session{Socket: c.socket, Process: p.ID})
	}
	slices.SortFunc(out, func(a, b Session) int { return cmp.Compare(a.Process.PID, b.Process.PID) })
	return out
}
