package rsync

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Session is a live, authenticated ssh session on this host that carries no
// rsync: somebody manages the host over it.
type Session struct {
	Peer  netip.Addr
	Local netip.AddrPort
	Since time.Time // when sshd's process of it was started

	Authenticated bool // always true: one that is not is no session yet
}

// sessionsOf sorts the processes of the host's sshd into connections, and keeps those
// that are authenticated and carry no transfer.
func sessionsOf(w world, busy func(inode uint64) bool) []held {
	var out []held
	g := grouping{world: w}
	for _, p := range w.sshds() {
		if p.State == 'Z' || !authenticated(p) {
			continue
		}
		c := g.connection(p)
		if !c.found || busy(c.socket.Inode) || slices.ContainsFunc(out, func(s held) bool { return s.Inode == c.socket.Inode }) {
			continue
		}
		c.socket.FD = p.ID.PID
		out = append(out, c.socket)
	}
	slices.SortFunc(out, func(a, b held) int { return cmp.Compare(a.FD, b.FD) })
	return out
}

// authenticated reads sshd's title for its own process (setproctitle in
// session.c and sshd.c): "sshd: USER@pts/0" or "sshd: USER@notty" once a
// session is open. Before authentication it is "sshd: USER [priv]", "[net]",
// "[accepted]" or "[preauth]", and any USER there is one that exists.
func authenticated(p *process) bool {
	if p.Exe == "sshd-auth" || len(p.Argv) != 1 {
		return false
	}
	title, ours := strings.CutPrefix(p.Argv[0], "sshd: ")
	if !ours {
		title, ours = strings.CutPrefix(p.Argv[0], "sshd-session: ")
	}
	user, where, ok := cutLast(title, '@')
	if !ours || !ok || user == "" || strings.ContainsAny(where, " []") {
		return false
	}
	return slices.ContainsFunc([]string{"notty", "pts/", "tty", "internal-sftp"}, func(s string) bool {
		return strings.HasPrefix(where, s)
	})
}
