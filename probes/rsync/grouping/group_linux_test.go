package grouping

import (
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lifeline/probes/rsync/proctest"
)

// addSSHConnection is a connection of a user, as sshd splits it: the monitor (20)
// and its child (21), with the listener (10) above.
func addSSHConnection(h *proctest.Host, exe string) {
	h.Add(proctest.Process{PID: 10, PPID: 1, Exe: "sshd", Argv: "sshd:_/usr/sbin/sshd_[listener]", Fds: "3=socket:[100]"})
	h.Add(proctest.Process{PID: 20, PPID: 10, Exe: exe, Args: []string{"sshd: backup [priv]"}, Fds: "4=socket:[200] 5=socket:[300]"})
	h.Add(proctest.Process{PID: 21, PPID: 20, Exe: exe, Args: []string{"sshd: backup@notty"}, Fds: "4=socket:[200] 6=socket:[301] 7=pipe:[1] 8=pipe:[2]"})
	h.Listen(100, "0.0.0.0:22")
	h.Conn(200, "10.0.0.1:22", "10.0.0.9:40000")
	h.Unix(300, "", "")
	h.Unix(301, "", "")
}

func TestGroup(t *testing.T) {
	const client = "the client end is never stopped"
	for name, c := range map[string]struct {
		make  func(h *proctest.Host)
		want  []string
		young string // pids that are looked at again
	}{
		"daemon with a receiver and a sender": {
			make: func(h *proctest.Host) {
				h.Add(proctest.Process{PID: 10, PPID: 1, Exe: "rsync", Argv: proctest.Rsyncd, Fds: "0=/dev/null 4=socket:[100] 5=socket:[101]"})
				h.Add(proctest.Process{PID: 20, PPID: 10, Exe: "rsync", Argv: proctest.Rsyncd, Fds: "5=socket:[200] 6=socket:[300]"})
				h.Add(proctest.Process{PID: 21, PPID: 20, Exe: "rsync", Argv: proctest.Rsyncd, Fds: "5=socket:[200] 7=socket:[301] 8=/backup/.a.XXXXXX"})
				h.Add(proctest.Process{PID: 30, PPID: 10, Exe: "rsync", Argv: proctest.Rsyncd, Fds: "5=socket:[201]"})
				h.Listen(100, "0.0.0.0:873")
				h.Listen(101, "[::]:873")
				h.Conn(200, "10.0.0.1:873", "10.0.0.9:40000")
				h.Conn(201, "10.0.0.1:873", "10.0.0.9:40001")
				h.Unix(300, "", "")
				h.Unix(301, "", "")
			},
			want: []string{"t200 daemon ? [20,21] by 20:5,21:5 pair full", "t201 daemon ? [30] by 30:5 full"},
		},
		"daemon's child before it closed the listener": {
			make: func(h *proctest.Host) {
				h.Add(proctest.Process{PID: 10, PPID: 1, Exe: "rsync", Argv: proctest.Rsyncd, Fds: "4=socket:[100]"})
				h.Add(proctest.Process{PID: 20, PPID: 10, Exe: "rsync", Argv: proctest.Rsyncd, Fds: "4=socket:[100] 5=socket:[200]"})
				h.Listen(100, "0.0.0.0:873")
				h.Conn(200, "10.0.0.1:873", "10.0.0.9:40000")
			},
			young: "20",
		},
		"daemon under a supervisor that talks over a socketpair": {
			make: func(h *proctest.Host) {
				h.Add(proctest.Process{PID: 10, PPID: 1, Exe: "rsync", Argv: proctest.Rsyncd, Fds: "1=socket:[300] 4=socket:[100] 9=socket:[301]"})
				h.Add(proctest.Process{PID: 20, PPID: 10, Exe: "rsync", Argv: proctest.Rsyncd, Fds: "1=socket:[300] 5=socket:[200] 9=socket:[301]"})
				h.Listen(100, "0.0.0.0:873")
				h.Conn(200, "10.0.0.1:873", "10.0.0.9:40000")
				h.Unix(300, "", "")
				h.Unix(301, "", "")
			},
			want: []string{"t200 daemon ? [20] by 20:5 full"},
		},
		"daemon in the foreground of a terminal": {
			make: func(h *proctest.Host) {
				h.Add(proctest.Process{PID: 10, PPID: 9, Exe: "rsync", Argv: proctest.Rsyncd, Tty: 34816, Fds: "4=socket:[100]"})
				h.Add(proctest.Process{PID: 20, PPID: 10, Exe: "rsync", Argv: proctest.Rsyncd, Tty: 34816, Fds: "5=socket:[200]"})
				h.Listen(100, "0.0.0.0:873")
				h.Conn(200, "10.0.0.1:873", "10.0.0.9:40000")
			},
			want: []string{"t200 daemon ? [20] by 20:5 limit-only: pid 20 has a controlling terminal"},
		},
		"inetd": {
			make: func(h *proctest.Host) {
				h.Add(proctest.Process{PID: 10, PPID: 1, Exe: "xinetd", Fds: "5=socket:[100]"})
				h.Add(proctest.Process{PID: 20, PPID: 10, Exe: "rsync", Argv: proctest.Rsyncd, Fds: "0=socket:[200] 1=socket:[200] 2=socket:[200]"})
				h.Listen(100, "0.0.0.0:873")
				h.Conn(200, "10.0.0.1:873", "10.0.0.9:40000")
			},
			want: []string{"t200 daemon ? [20] under 10 by 20:0,20:1,20:2 full"},
		},
		"systemd's socket": {
			make: func(h *proctest.Host) {
				h.Add(proctest.Process{PID: 1, PPID: 0, Exe: "systemd", Fds: "40=socket:[100]"})
				h.Add(proctest.Process{PID: 20, PPID: 1, Exe: "rsync", Argv: proctest.Rsyncd, Fds: "0=socket:[200] 1=socket:[200] 2=socket:[300]"})
				h.Conn(200, "10.0.0.1:873", "10.0.0.9:40000")
				h.Unix(300, "", "/run/systemd/journal/stdout")
			},
			want: []string{"t200 daemon ? [20] by 20:0,20:1 full"},
		},
		"daemon behind stunnel": {
			make: func(h *proctest.Host) {
				h.Add(proctest.Process{PID: 10, PPID: 1, Exe: "stunnel4", Fds: "5=socket:[200] 6=socket:[201]"})
				h.Add(proctest.Process{PID: 20, PPID: 10, Exe: "rsync", Argv: proctest.Rsyncd, Fds: "0=socket:[300] 1=socket:[300]"})
				h.Conn(200, "10.0.0.1:874", "10.0.0.9:40000")
				h.Conn(201, "10.0.0.1:874", "10.0.0.9:40001")
				h.Unix(300, "", "")
			},
			want: []string{"p20 daemon ? [20] under 10 none: its connection belongs to a TLS proxy"},
		},
		"daemon whose descriptors may not be read": {
			make: func(h *proctest.Host) {
				h.Add(proctest.Process{PID: 10, PPID: 1, Exe: "rsync", Argv: proctest.Rsyncd, Fds: "4=socket:[100]"})
				h.Add(proctest.Process{PID: 20, PPID: 10, Exe: "rsync", Argv: proctest.Rsyncd, Fds: "5=socket:[200]"})
				h.Add(proctest.Process{PID: 21, PPID: 20, Exe: "rsync", Argv: proctest.Rsyncd, Fds: "5=socket:[200]"})
				h.Denied[100], h.Denied[200] = fs.ErrPermission, fs.ErrPermission
			},
			want: []string{"p20 daemon ? [20,21] none: the connection of pid 20 may not be looked at: permission denied"},
		},
		"client of a daemon whose descriptors may not be read": {
			make: func(h *proctest.Host) {
				h.Add(proctest.Process{PID: 20, PPID: 5, Exe: "rsync", Argv: "rsync -a src/ rsync://peer/mod/", Fds: "3=socket:[200]"})
				h.Denied[200] = fs.ErrPermission
			},
			want: []string{"p20 daemon-client tx [20] none: the connection of pid 20 may not be looked at: permission denied"},
		},
		"ssh server whose executables may not be read": {
			make: func(h *proctest.Host) {
				h.Add(proctest.Process{PID: 20, PPID: 10, Exe: "-", Comm: "sshd", Args: []string{"sshd: root@notty"}, Fds: "4=socket:[200]"})
				h.Add(proctest.Process{PID: 21, PPID: 20, Exe: "-", Comm: "rsync", Argv: proctest.Push})
				h.Denied[200] = fs.ErrPermission
			},
			want: []string{"p21 ssh-server rx [21] none: the connection of sshd (pid 20) may not be looked at: permission denied"},
		},
		"clients of a daemon": {
			make: func(h *proctest.Host) {
				h.Add(proctest.Process{PID: 20, PPID: 5, Exe: "rsync", Argv: "rsync -a src/ rsync://peer/mod/", Fds: "3=socket:[200]"})
				h.Add(proctest.Process{PID: 30, PPID: 5, Exe: "rsync", Argv: "rsync -a peer::mod/ dst", Fds: "3=socket:[201] 4=socket:[300]"})
				h.Add(proctest.Process{PID: 31, PPID: 30, Exe: "rsync", Argv: "rsync -a peer::mod/ dst", Fds: "3=socket:[201] 5=socket:[301]"})
				h.Conn(200, "10.0.0.1:40000", "10.0.0.9:873")
				h.Conn(201, "10.0.0.1:40001", "10.0.0.9:873")
				h.Unix(300, "", "")
				h.Unix(301, "", "")
			},
			want: []string{
				"t200 daemon-client tx [20] by 20:3 limit-only: " + client,
				"t201 daemon-client rx [30,31] by 30:3,31:3 limit-only: " + client,
			},
		},
		"client of a daemon by rsync-ssl": {
			make: func(h *proctest.Host) {
				h.Add(proctest.Process{PID: 20, PPID: 5, Exe: "rsync", Args: []string{"rsync", "--rsh=rsync-ssl --HELPER", "-a", "peer::mod/", "dst"}, Fds: "4=socket:[300] 5=socket:[301]"})
				h.Add(proctest.Process{PID: 21, PPID: 20, Exe: "openssl", Argv: "openssl s_client -quiet -connect peer:874", Fds: "0=socket:[302] 3=socket:[200]"})
				h.Conn(200, "10.0.0.1:40000", "10.0.0.9:874")
				h.Unix(300, "", "")
			},
			want: []string{"t200 daemon-client rx [20] by 21:3 limit-only: " + client},
		},
		"ssh server, one process of sshd (root)": {
			make: func(h *proctest.Host) {
				h.Add(proctest.Process{PID: 10, PPID: 1, Exe: "sshd", Fds: "3=socket:[100] 4=socket:[101]"})
				h.Add(proctest.Process{PID: 20, PPID: 10, Exe: "sshd", Args: []string{"sshd: root@notty"}, Fds: "4=socket:[200] 6=socket:[300] 7=pipe:[1]"})
				h.Add(proctest.Process{PID: 21, PPID: 20, Exe: "rsync", Argv: proctest.Push, Fds: "1=pipe:[1] 3=socket:[301]"})
				h.Add(proctest.Process{PID: 22, PPID: 21, Exe: "rsync", Argv: proctest.Push, Fds: "0=pipe:[2] 4=socket:[302]"})
				h.Listen(100, "0.0.0.0:22")
				h.Listen(101, "[::]:22")
				h.Conn(200, "10.0.0.1:22", "10.0.0.9:40000")
				h.Unix(300, "", "")
				h.Unix(301, "", "")
				h.Unix(302, "", "")
			},
			want: []string{"t200 ssh-server rx [21,22] by 20:4 full"},
		},
		"ssh server with sshd-session and a shell": {
			make: func(h *proctest.Host) {
				addSSHConnection(h, "sshd-session")
				h.Add(proctest.Process{PID: 30, PPID: 21, Exe: "bash"})
				h.Add(proctest.Process{PID: 31, PPID: 30, Exe: "rsync", Argv: proctest.Pull})
			},
			want: []string{"t200 ssh-server tx [31] under 30 by 20:4,21:4 full"},
		},
		"ssh server after an upgrade of its executables": {
			make: func(h *proctest.Host) {
				addSSHConnection(h, "sshd (deleted)")
				h.Add(proctest.Process{PID: 31, PPID: 21, Exe: "rsync (deleted)", Argv: proctest.Pull})
			},
			want: []string{"t200 ssh-server tx [31] by 20:4,21:4 full"},
		},
		"ssh server under sudo": {
			make: func(h *proctest.Host) {
				addSSHConnection(h, "sshd")
				h.Add(proctest.Process{PID: 30, PPID: 21, Exe: "sudo", Argv: "sudo " + proctest.Push})
				h.Add(proctest.Process{PID: 31, PPID: 30, Exe: "rsync", Argv: proctest.Push})
			},
			want: []string{"t200 ssh-server rx [31] under 30 by 20:4,21:4 limit-only: runs under sudo (pid 30), which would stop itself with it"},
		},
		"ssh server by rrsync": {
			make: func(h *proctest.Host) {
				addSSHConnection(h, "sshd")
				h.Add(proctest.Process{PID: 30, PPID: 21, Exe: "python3.11", Argv: "python3 /usr/bin/rrsync /backup"})
				h.Add(proctest.Process{PID: 31, PPID: 30, Exe: "rsync", Argv: proctest.Push})
			},
			want: []string{"t200 ssh-server rx [31] under 30 by 20:4,21:4 full"},
		},
		"daemon's protocol over ssh": {
			make: func(h *proctest.Host) {
				addSSHConnection(h, "sshd")
				h.Add(proctest.Process{PID: 31, PPID: 21, Exe: "rsync", Argv: "rsync --server --daemon ."})
			},
			want: []string{"t200 ssh-server ? [31] by 20:4,21:4 full"},
		},
		"two rsyncs over one connection": {
			make: func(h *proctest.Host) {
				addSSHConnection(h, "sshd")
				h.Add(proctest.Process{PID: 31, PPID: 21, Exe: "rsync", Argv: proctest.Push})
				h.Add(proctest.Process{PID: 32, PPID: 21, Exe: "rsync", Argv: proctest.Push + "2/"})
			},
			want: []string{"t200 ssh-server rx [31,32] by 20:4,21:4 full"},
		},
		"a person on the same connection": {
			make: func(h *proctest.Host) {
				addSSHConnection(h, "sshd")
				h.Add(proctest.Process{PID: 30, PPID: 21, Exe: "bash"})
				h.Add(proctest.Process{PID: 31, PPID: 21, Exe: "rsync", Argv: proctest.Push})
			},
			want: []string{"t200 ssh-server rx [31] by 20:4,21:4 pause-only: its ssh connection also serves bash (pid 30)"},
		},
		"a person under sudo on the same connection": {
			make: func(h *proctest.Host) {
				addSSHConnection(h, "sshd")
				h.Add(proctest.Process{PID: 29, PPID: 21, Exe: "sftp-server"})
				h.Add(proctest.Process{PID: 30, PPID: 21, Exe: "sudo"})
				h.Add(proctest.Process{PID: 31, PPID: 30, Exe: "rsync", Argv: proctest.Push})
			},
			want: []string{"t200 ssh-server rx [31] under 30 by 20:4,21:4 none: its ssh connection also serves sftp-server (pid 29); runs under sudo (pid 30), which would stop itself with it"},
		},
		"a dead session on the same connection": {
			make: func(h *proctest.Host) {
				addSSHConnection(h, "sshd")
				h.Add(proctest.Process{PID: 30, PPID: 21, Exe: "-", Comm: "bash", State: 'Z'})
				h.Add(proctest.Process{PID: 31, PPID: 21, Exe: "rsync", Argv: proctest.Push})
			},
			want: []string{"t200 ssh-server rx [31] by 20:4,21:4 full"},
		},
		"an internal sftp on the same connection": {
			make: func(h *proctest.Host) {
				addSSHConnection(h, "sshd")
				h.Add(proctest.Process{PID: 30, PPID: 21, Exe: "sshd", Args: []string{"sshd: backup@internal-sftp"}})
				h.Add(proctest.Process{PID: 31, PPID: 21, Exe: "rsync", Argv: proctest.Push})
			},
			want: []string{"t200 ssh-server rx [31] by 20:4,21:4 pause-only: its ssh connection also serves sshd (pid 30)"},
		},
		"a terminal on the same connection": {
			make: func(h *proctest.Host) {
				addSSHConnection(h, "sshd")
				h.Link("20/fd/9", "/dev/ptmx")
				h.Add(proctest.Process{PID: 31, PPID: 21, Exe: "rsync", Argv: proctest.Push})
			},
			want: []string{"t200 ssh-server rx [31] by 20:4,21:4 pause-only: its ssh connection also has a terminal"},
		},
		"a TCP forward in use, its socket first": {
			make: func(h *proctest.Host) {
				addSSHConnection(h, "sshd")
				h.Link("21/fd/3", "socket:[201]")
				h.Conn(201, "10.0.0.1:50000", "10.0.0.7:443")
				h.Add(proctest.Process{PID: 31, PPID: 21, Exe: "rsync", Argv: proctest.Push})
			},
			want: []string{"t200 ssh-server rx [31] by 20:4,21:4 pause-only: its ssh connection also forwards TCP"},
		},
		"a TCP forward in use, one process of sshd": {
			make: func(h *proctest.Host) {
				h.Add(proctest.Process{PID: 10, PPID: 1, Exe: "sshd", Fds: "3=socket:[100]"})
				h.Add(proctest.Process{PID: 20, PPID: 10, Exe: "sshd", Fds: "3=socket:[201] 4=socket:[200]"})
				h.Add(proctest.Process{PID: 21, PPID: 20, Exe: "rsync", Argv: proctest.Push})
				h.Listen(100, "0.0.0.0:22")
				h.Conn(200, "10.0.0.1:22", "10.0.0.9:40000")
				h.Conn(201, "10.0.0.1:50000", "10.0.0.7:443")
			},
			want: []string{"t200 ssh-server rx [21] by 20:4 pause-only: its ssh connection also forwards TCP"},
		},
		"a remote forward": {
			make: func(h *proctest.Host) {
				addSSHConnection(h, "sshd")
				h.Link("21/fd/9", "socket:[202]")
				h.Listen(202, "127.0.0.1:2222")
				h.Add(proctest.Process{PID: 31, PPID: 21, Exe: "rsync", Argv: proctest.Push})
			},
			want: []string{"t200 ssh-server rx [31] by 20:4,21:4 pause-only: its ssh connection also forwards TCP"},
		},
		"a forwarded unix socket": {
			make: func(h *proctest.Host) {
				addSSHConnection(h, "sshd")
				h.Link("21/fd/9", "socket:[302]")
				h.Unix(302, "", "/run/docker.sock")
				h.Add(proctest.Process{PID: 31, PPID: 21, Exe: "rsync", Argv: proctest.Push})
			},
			want: []string{"t200 ssh-server rx [31] by 20:4,21:4 pause-only: its ssh connection also forwards a socket"},
		},
		"a forwarded agent and a login's own sockets": {
			make: func(h *proctest.Host) {
				addSSHConnection(h, "sshd")
				h.Link("21/fd/9", "socket:[302]")
				h.Link("20/fd/9", "socket:[303]")
				h.Unix(302, "/tmp/ssh-XXXX1234/agent.21", "-")
				h.Unix(303, "", "/run/dbus/system_bus_socket")
				h.Add(proctest.Process{PID: 31, PPID: 21, Exe: "rsync", Argv: proctest.Push})
			},
			want: []string{"t200 ssh-server rx [31] by 20:4,21:4 full"},
		},
		"a terminal and a pty of rsync's own": {
			make: func(h *proctest.Host) {
				addSSHConnection(h, "sshd")
				h.Link("20/fd/9", "/dev/pts/ptmx")
				h.Add(proctest.Process{PID: 31, PPID: 21, Exe: "rsync", Argv: proctest.Push, Tty: 34816})
			},
			want: []string{"t200 ssh-server rx [31] by 20:4,21:4 none: its ssh connection also has a terminal; pid 31 has a controlling terminal"},
		},
		"a user's program named sshd, above an rsync": {
			make: func(h *proctest.Host) {
				h.Add(proctest.Process{PID: 20, PPID: 1, Exe: "sshd", Uid: 65534, Args: []string{"sshd: root@pts/0"}, Fds: "4=socket:[200] 9=/dev/ptmx"})
				h.Add(proctest.Process{PID: 21, PPID: 20, Exe: "rsync", Argv: proctest.Push, Uid: 65534})
				h.Conn(200, "10.0.0.1:40000", "10.0.0.9:22")
			},
			want: []string{"p21 ssh-server rx [21] under 20 none: no sshd above it"},
		},
		"a user's program named sshd, in the session of the user": {
			make: func(h *proctest.Host) {
				addSSHConnection(h, "sshd")
				h.Add(proctest.Process{PID: 30, PPID: 21, Exe: "sshd", Uid: 65534, Args: []string{"sshd: root@pts/0"}, Fds: "4=socket:[201]"})
				h.Add(proctest.Process{PID: 31, PPID: 30, Exe: "rsync", Argv: proctest.Push, Uid: 65534})
				h.Conn(201, "10.0.0.1:40000", "10.0.0.7:22")
				id := h.Identities[21]
				id.UIDs = [3]uint32{65534, 65534, 65534}
				h.Identities[21] = id
			},
			want: []string{"t200 ssh-server rx [31] under 30 by 20:4,21:4 full"},
		},
		"another ssh server than OpenSSH's": {
			make: func(h *proctest.Host) {
				h.Add(proctest.Process{PID: 20, PPID: 1, Exe: "dropbear", Fds: "3=socket:[200]"})
				h.Add(proctest.Process{PID: 21, PPID: 20, Exe: "rsync", Argv: proctest.Push})
				h.Conn(200, "10.0.0.1:22", "10.0.0.9:40000")
			},
			want: []string{"p21 ssh-server rx [21] under 20 none: no sshd above it"},
		},
		"a container's rsync started from this host": {
			make: func(h *proctest.Host) {
				h.Add(proctest.Process{PID: 20, PPID: 5, Exe: "rsync", Args: []string{"rsync", "-e", "docker exec -i", "c:/a", "/b"}})
				h.Add(proctest.Process{PID: 21, PPID: 20, Exe: "docker"})
				h.Add(proctest.Process{PID: 22, PPID: 21, Exe: "rsync", Argv: proctest.Pull})
			},
			want:  []string{"p20 ssh-client rx [20] none: no connection found below docker (pid 21): it uses that of another process"},
			young: "21",
		},
		"ssh client": {
			make: func(h *proctest.Host) {
				h.Add(proctest.Process{PID: 20, PPID: 5, Exe: "rsync", Argv: "rsync -a peer:/data/ /backup", Fds: "4=socket:[300] 5=socket:[301]"})
				h.Add(proctest.Process{PID: 21, PPID: 20, Exe: "ssh", Fds: "0=socket:[302] 3=socket:[200] 4=socket:[302]"})
				h.Add(proctest.Process{PID: 22, PPID: 20, Exe: "rsync", Argv: "rsync -a peer:/data/ /backup", Fds: "5=socket:[301]"})
				h.Conn(200, "10.0.0.1:40000", "10.0.0.9:22")
			},
			want: []string{"t200 ssh-client rx [20,22] by 21:3 limit-only: " + client},
		},
		"ssh client through a ProxyCommand": {
			make: func(h *proctest.Host) {
				h.Add(proctest.Process{PID: 20, PPID: 5, Exe: "rsync", Argv: "rsync -a /data peer:/backup", Fds: "4=socket:[300]"})
				h.Add(proctest.Process{PID: 21, PPID: 20, Exe: "ssh", Fds: "0=socket:[302] 3=socket:[303]"})
				h.Add(proctest.Process{PID: 22, PPID: 21, Exe: "nc", Fds: "0=socket:[304] 3=socket:[200]"})
				h.Conn(200, "10.0.0.1:40000", "10.0.0.9:22")
			},
			want: []string{"t200 ssh-client tx [20] by 22:3 limit-only: " + client},
		},
		"ssh client of a multiplexer": {
			make: func(h *proctest.Host) {
				h.Add(proctest.Process{PID: 20, PPID: 5, Exe: "rsync", Argv: "rsync -a /data peer:/backup", Fds: "4=socket:[300]"})
				h.Add(proctest.Process{PID: 21, PPID: 20, Exe: "ssh", Fds: "0=socket:[302] 3=socket:[303]"})
				h.Unix(303, "", "/root/.ssh/mux")
			},
			want:  []string{"p20 ssh-client tx [20] none: no connection found below ssh (pid 21): it uses that of another process"},
			young: "21",
		},
		"ssh client that is a multiplexer": {
			make: func(h *proctest.Host) {
				h.Add(proctest.Process{PID: 20, PPID: 5, Exe: "rsync", Argv: "rsync -a /data peer:/backup", Fds: "4=socket:[300]"})
				h.Add(proctest.Process{PID: 21, PPID: 20, Exe: "ssh", Fds: "3=socket:[200] 5=socket:[303]"})
				h.Conn(200, "10.0.0.1:40000", "10.0.0.9:22")
				h.Unix(303, "/root/.ssh/mux", "-")
			},
			want: []string{"t200 ssh-client tx [20] by 21:3 none: ssh (pid 21) carries other connections too; " + client},
		},
		"local copies and other programs": {
			make: func(h *proctest.Host) {
				h.Add(proctest.Process{PID: 20, PPID: 5, Exe: "rsync", Argv: "rsync -a /a /b", Fds: "3=socket:[300]"})
				h.Add(proctest.Process{PID: 21, PPID: 20, Exe: "rsync", Argv: "rsync -a /a /b", Fds: "3=socket:[301]"})
				h.Add(proctest.Process{PID: 30, PPID: 5, Exe: "bash", Comm: "rsync-ssl", Argv: "bash /usr/bin/rsync-ssl x::y"})
				h.Add(proctest.Process{PID: 40, PPID: 5, Exe: "rsyslogd", Fds: "3=socket:[200]"})
				h.Conn(200, "10.0.0.1:40000", "10.0.0.9:514")
			},
		},
		"names that try the parser": {
			make: func(h *proctest.Host) {
				h.Add(proctest.Process{PID: 10, PPID: 1, Exe: "rsync", Comm: "rsync) S 1 (x", Argv: proctest.Rsyncd, Fds: "4=socket:[100]"})
				h.Add(proctest.Process{PID: 20, PPID: 10, Exe: "rsync", Comm: "two\nlines)", Argv: proctest.Rsyncd, Fds: "5=socket:[200]"})
				h.Listen(100, "0.0.0.0:873")
				h.Conn(200, "10.0.0.1:873", "10.0.0.9:40000")
			},
			want: []string{"t200 daemon ? [20] by 20:5 full"},
		},
		"a zombie and a client that is not connected yet": {
			make: func(h *proctest.Host) {
				h.Add(proctest.Process{PID: 20, PPID: 5, Exe: "-", Comm: "rsync", Args: []string{}, State: 'Z'})
				h.Add(proctest.Process{PID: 30, PPID: 5, Exe: "rsync", Argv: "rsync -a peer:/x /y"})
			},
			young: "30",
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := proctest.NewHost(t)
			c.make(h)
			transfers, unfinished := groupAll(h)
			var got, young []string
			for _, f := range transfers {
				got = append(got, summary(f))
			}
			for _, p := range unfinished {
				young = append(young, fmt.Sprint(p.ID.PID))
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("transfers (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(c.young, strings.Join(young, ",")); diff != "" {
				t.Errorf("looked at again (-want +got):\n%s", diff)
			}
		})
	}
}
