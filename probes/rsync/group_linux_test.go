package rsync

import (
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Argument vectors as OpenSSH and rsync make them.
const (
	push   = "rsync --server -logDtpre.iLsfxCIvu . /backup/"
	pull   = "rsync --server --sender -logDtpre.iLsfxCIvu . /data/"
	rsyncd = "rsync --daemon"
)

// sshConnection is a connection of a user, as sshd splits it: the monitor (20)
// and its child (21), with the listener (10) above.
func sshConnection(h *host, exe string) {
	h.add(fake{pid: 10, ppid: 1, exe: "sshd", argv: "sshd:_/usr/sbin/sshd_[listener]", fds: "3=socket:[100]"})
	h.add(fake{pid: 20, ppid: 10, exe: exe, args: []string{"sshd: backup [priv]"}, fds: "4=socket:[200] 5=socket:[300]"})
	h.add(fake{pid: 21, ppid: 20, exe: exe, args: []string{"sshd: backup@notty"}, fds: "4=socket:[200] 6=socket:[301] 7=pipe:[1] 8=pipe:[2]"})
	h.listen(100, "0.0.0.0:22")
	h.conn(200, "10.0.0.1:22", "10.0.0.9:40000")
	h.unix(300, "", "")
	h.unix(301, "", "")
}

func TestGroup(t *testing.T) {
	const client = "the client end is never stopped"
	for name, c := range map[string]struct {
		make  func(h *host)
		want  []string
		young string // pids that are looked at again
	}{
		"daemon with a receiver and a sender": {
			make: func(h *host) {
				h.add(fake{pid: 10, ppid: 1, exe: "rsync", argv: rsyncd, fds: "0=/dev/null 4=socket:[100] 5=socket:[101]"})
				h.add(fake{pid: 20, ppid: 10, exe: "rsync", argv: rsyncd, fds: "5=socket:[200] 6=socket:[300]"})
				h.add(fake{pid: 21, ppid: 20, exe: "rsync", argv: rsyncd, fds: "5=socket:[200] 7=socket:[301] 8=/backup/.a.XXXXXX"})
				h.add(fake{pid: 30, ppid: 10, exe: "rsync", argv: rsyncd, fds: "5=socket:[201]"})
				h.listen(100, "0.0.0.0:873")
				h.listen(101, "[::]:873")
				h.conn(200, "10.0.0.1:873", "10.0.0.9:40000")
				h.conn(201, "10.0.0.1:873", "10.0.0.9:40001")
				h.unix(300, "", "")
				h.unix(301, "", "")
			},
			want: []string{"t200 daemon ? [20,21] by 20:5,21:5 pair full", "t201 daemon ? [30] by 30:5 full"},
		},
		"daemon's child before it closed the listener": {
			make: func(h *host) {
				h.add(fake{pid: 10, ppid: 1, exe: "rsync", argv: rsyncd, fds: "4=socket:[100]"})
				h.add(fake{pid: 20, ppid: 10, exe: "rsync", argv: rsyncd, fds: "4=socket:[100] 5=socket:[200]"})
				h.listen(100, "0.0.0.0:873")
				h.conn(200, "10.0.0.1:873", "10.0.0.9:40000")
			},
			young: "20",
		},
		"daemon under a supervisor that talks over a socketpair": {
			make: func(h *host) {
				h.add(fake{pid: 10, ppid: 1, exe: "rsync", argv: rsyncd, fds: "1=socket:[300] 4=socket:[100] 9=socket:[301]"})
				h.add(fake{pid: 20, ppid: 10, exe: "rsync", argv: rsyncd, fds: "1=socket:[300] 5=socket:[200] 9=socket:[301]"})
				h.listen(100, "0.0.0.0:873")
				h.conn(200, "10.0.0.1:873", "10.0.0.9:40000")
				h.unix(300, "", "")
				h.unix(301, "", "")
			},
			want: []string{"t200 daemon ? [20] by 20:5 full"},
		},
		"daemon in the foreground of a terminal": {
			make: func(h *host) {
				h.add(fake{pid: 10, ppid: 9, exe: "rsync", argv: rsyncd, tty: 34816, fds: "4=socket:[100]"})
				h.add(fake{pid: 20, ppid: 10, exe: "rsync", argv: rsyncd, tty: 34816, fds: "5=socket:[200]"})
				h.listen(100, "0.0.0.0:873")
				h.conn(200, "10.0.0.1:873", "10.0.0.9:40000")
			},
			want: []string{"t200 daemon ? [20] by 20:5 limit-only: pid 20 has a controlling terminal"},
		},
		"inetd": {
			make: func(h *host) {
				h.add(fake{pid: 10, ppid: 1, exe: "xinetd", fds: "5=socket:[100]"})
				h.add(fake{pid: 20, ppid: 10, exe: "rsync", argv: rsyncd, fds: "0=socket:[200] 1=socket:[200] 2=socket:[200]"})
				h.listen(100, "0.0.0.0:873")
				h.conn(200, "10.0.0.1:873", "10.0.0.9:40000")
			},
			want: []string{"t200 daemon ? [20] under 10 by 20:0,20:1,20:2 full"},
		},
		"systemd's socket": {
			make: func(h *host) {
				h.add(fake{pid: 1, ppid: 0, exe: "systemd", fds: "40=socket:[100]"})
				h.add(fake{pid: 20, ppid: 1, exe: "rsync", argv: rsyncd, fds: "0=socket:[200] 1=socket:[200] 2=socket:[300]"})
				h.conn(200, "10.0.0.1:873", "10.0.0.9:40000")
				h.unix(300, "", "/run/systemd/journal/stdout")
			},
			want: []string{"t200 daemon ? [20] by 20:0,20:1 full"},
		},
		"daemon behind stunnel": {
			make: func(h *host) {
				h.add(fake{pid: 10, ppid: 1, exe: "stunnel4", fds: "5=socket:[200] 6=socket:[201]"})
				h.add(fake{pid: 20, ppid: 10, exe: "rsync", argv: rsyncd, fds: "0=socket:[300] 1=socket:[300]"})
				h.conn(200, "10.0.0.1:874", "10.0.0.9:40000")
				h.conn(201, "10.0.0.1:874", "10.0.0.9:40001")
				h.unix(300, "", "")
			},
			want: []string{"p20 daemon ? [20] under 10 none: its connection belongs to a TLS proxy"},
		},
		"daemon whose descriptors may not be read": {
			make: func(h *host) {
				h.add(fake{pid: 10, ppid: 1, exe: "rsync", argv: rsyncd, fds: "4=socket:[100]"})
				h.add(fake{pid: 20, ppid: 10, exe: "rsync", argv: rsyncd, fds: "5=socket:[200]"})
				h.add(fake{pid: 21, ppid: 20, exe: "rsync", argv: rsyncd, fds: "5=socket:[200]"})
				h.denied[100], h.denied[200] = fs.ErrPermission, fs.ErrPermission
			},
			want: []string{"p20 daemon ? [20,21] none: the connection of pid 20 may not be looked at: permission denied"},
		},
		"client of a daemon whose descriptors may not be read": {
			make: func(h *host) {
				h.add(fake{pid: 20, ppid: 5, exe: "rsync", argv: "rsync -a src/ rsync://peer/mod/", fds: "3=socket:[200]"})
				h.denied[200] = fs.ErrPermission
			},
			want: []string{"p20 daemon-client tx [20] none: the connection of pid 20 may not be looked at: permission denied"},
		},
		"ssh server whose executables may not be read": {
			make: func(h *host) {
				h.add(fake{pid: 20, ppid: 10, exe: "-", comm: "sshd", args: []string{"sshd: root@notty"}, fds: "4=socket:[200]"})
				h.add(fake{pid: 21, ppid: 20, exe: "-", comm: "rsync", argv: push})
				h.denied[200] = fs.ErrPermission
			},
			want: []string{"p21 ssh-server rx [21] none: the connection of sshd (pid 20) may not be looked at: permission denied"},
		},
		"clients of a daemon": {
			make: func(h *host) {
				h.add(fake{pid: 20, ppid: 5, exe: "rsync", argv: "rsync -a src/ rsync://peer/mod/", fds: "3=socket:[200]"})
				h.add(fake{pid: 30, ppid: 5, exe: "rsync", argv: "rsync -a peer::mod/ dst", fds: "3=socket:[201] 4=socket:[300]"})
				h.add(fake{pid: 31, ppid: 30, exe: "rsync", argv: "rsync -a peer::mod/ dst", fds: "3=socket:[201] 5=socket:[301]"})
				h.conn(200, "10.0.0.1:40000", "10.0.0.9:873")
				h.conn(201, "10.0.0.1:40001", "10.0.0.9:873")
				h.unix(300, "", "")
				h.unix(301, "", "")
			},
			want: []string{
				"t200 daemon-client tx [20] by 20:3 limit-only: " + client,
				"t201 daemon-client rx [30,31] by 30:3,31:3 limit-only: " + client,
			},
		},
		"client of a daemon by rsync-ssl": {
			make: func(h *host) {
				h.add(fake{pid: 20, ppid: 5, exe: "rsync", args: []string{"rsync", "--rsh=rsync-ssl --HELPER", "-a", "peer::mod/", "dst"}, fds: "4=socket:[300] 5=socket:[301]"})
				h.add(fake{pid: 21, ppid: 20, exe: "openssl", argv: "openssl s_client -quiet -connect peer:874", fds: "0=socket:[302] 3=socket:[200]"})
				h.conn(200, "10.0.0.1:40000", "10.0.0.9:874")
				h.unix(300, "", "")
			},
			want: []string{"t200 daemon-client rx [20] by 21:3 limit-only: " + client},
		},
		"ssh server, one process of sshd (root)": {
			make: func(h *host) {
				h.add(fake{pid: 10, ppid: 1, exe: "sshd", fds: "3=socket:[100] 4=socket:[101]"})
				h.add(fake{pid: 20, ppid: 10, exe: "sshd", args: []string{"sshd: root@notty"}, fds: "4=socket:[200] 6=socket:[300] 7=pipe:[1]"})
				h.add(fake{pid: 21, ppid: 20, exe: "rsync", argv: push, fds: "1=pipe:[1] 3=socket:[301]"})
				h.add(fake{pid: 22, ppid: 21, exe: "rsync", argv: push, fds: "0=pipe:[2] 4=socket:[302]"})
				h.listen(100, "0.0.0.0:22")
				h.listen(101, "[::]:22")
				h.conn(200, "10.0.0.1:22", "10.0.0.9:40000")
				h.unix(300, "", "")
				h.unix(301, "", "")
				h.unix(302, "", "")
			},
			want: []string{"t200 ssh-server rx [21,22] by 20:4 full"},
		},
		"ssh server with sshd-session and a shell": {
			make: func(h *host) {
				sshConnection(h, "sshd-session")
				h.add(fake{pid: 30, ppid: 21, exe: "bash"})
				h.add(fake{pid: 31, ppid: 30, exe: "rsync", argv: pull})
			},
			want: []string{"t200 ssh-server tx [31] under 30 by 20:4,21:4 full"},
		},
		"ssh server after an upgrade of its executables": {
			make: func(h *host) {
				sshConnection(h, "sshd (deleted)")
				h.add(fake{pid: 31, ppid: 21, exe: "rsync (deleted)", argv: pull})
			},
			want: []string{"t200 ssh-server tx [31] by 20:4,21:4 full"},
		},
		"ssh server under sudo": {
			make: func(h *host) {
				sshConnection(h, "sshd")
				h.add(fake{pid: 30, ppid: 21, exe: "sudo", argv: "sudo " + push})
				h.add(fake{pid: 31, ppid: 30, exe: "rsync", argv: push})
			},
			want: []string{"t200 ssh-server rx [31] under 30 by 20:4,21:4 limit-only: runs under sudo (pid 30), which would stop itself with it"},
		},
		"ssh server by rrsync": {
			make: func(h *host) {
				sshConnection(h, "sshd")
				h.add(fake{pid: 30, ppid: 21, exe: "python3.11", argv: "python3 /usr/bin/rrsync /backup"})
				h.add(fake{pid: 31, ppid: 30, exe: "rsync", argv: push})
			},
			want: []string{"t200 ssh-server rx [31] under 30 by 20:4,21:4 full"},
		},
		"daemon's protocol over ssh": {
			make: func(h *host) {
				sshConnection(h, "sshd")
				h.add(fake{pid: 31, ppid: 21, exe: "rsync", argv: "rsync --server --daemon ."})
			},
			want: []string{"t200 ssh-server ? [31] by 20:4,21:4 full"},
		},
		"two rsyncs over one connection": {
			make: func(h *host) {
				sshConnection(h, "sshd")
				h.add(fake{pid: 31, ppid: 21, exe: "rsync", argv: push})
				h.add(fake{pid: 32, ppid: 21, exe: "rsync", argv: push + "2/"})
			},
			want: []string{"t200 ssh-server rx [31,32] by 20:4,21:4 full"},
		},
		"a person on the same connection": {
			make: func(h *host) {
				sshConnection(h, "sshd")
				h.add(fake{pid: 30, ppid: 21, exe: "bash"})
				h.add(fake{pid: 31, ppid: 21, exe: "rsync", argv: push})
			},
			want: []string{"t200 ssh-server rx [31] by 20:4,21:4 pause-only: its ssh connection also serves bash (pid 30)"},
		},
		"a person under sudo on the same connection": {
			make: func(h *host) {
				sshConnection(h, "sshd")
				h.add(fake{pid: 29, ppid: 21, exe: "sftp-server"})
				h.add(fake{pid: 30, ppid: 21, exe: "sudo"})
				h.add(fake{pid: 31, ppid: 30, exe: "rsync", argv: push})
			},
			want: []string{"t200 ssh-server rx [31] under 30 by 20:4,21:4 none: its ssh connection also serves sftp-server (pid 29); runs under sudo (pid 30), which would stop itself with it"},
		},
		"a dead session on the same connection": {
			make: func(h *host) {
				sshConnection(h, "sshd")
				h.add(fake{pid: 30, ppid: 21, exe: "-", comm: "bash", state: 'Z'})
				h.add(fake{pid: 31, ppid: 21, exe: "rsync", argv: push})
			},
			want: []string{"t200 ssh-server rx [31] by 20:4,21:4 full"},
		},
		"an internal sftp on the same connection": {
			make: func(h *host) {
				sshConnection(h, "sshd")
				h.add(fake{pid: 30, ppid: 21, exe: "sshd", args: []string{"sshd: backup@internal-sftp"}})
				h.add(fake{pid: 31, ppid: 21, exe: "rsync", argv: push})
			},
			want: []string{"t200 ssh-server rx [31] by 20:4,21:4 pause-only: its ssh connection also serves sshd (pid 30)"},
		},
		"a terminal on the same connection": {
			make: func(h *host) {
				sshConnection(h, "sshd")
				h.link("20/fd/9", "/dev/ptmx")
				h.add(fake{pid: 31, ppid: 21, exe: "rsync", argv: push})
			},
			want: []string{"t200 ssh-server rx [31] by 20:4,21:4 pause-only: its ssh connection also has a terminal"},
		},
		"a TCP forward in use, its socket first": {
			make: func(h *host) {
				sshConnection(h, "sshd")
				h.link("21/fd/3", "socket:[201]")
				h.conn(201, "10.0.0.1:50000", "10.0.0.7:443")
				h.add(fake{pid: 31, ppid: 21, exe: "rsync", argv: push})
			},
			want: []string{"t200 ssh-server rx [31] by 20:4,21:4 pause-only: its ssh connection also forwards TCP"},
		},
		"a TCP forward in use, one process of sshd": {
			make: func(h *host) {
				h.add(fake{pid: 10, ppid: 1, exe: "sshd", fds: "3=socket:[100]"})
				h.add(fake{pid: 20, ppid: 10, exe: "sshd", fds: "3=socket:[201] 4=socket:[200]"})
				h.add(fake{pid: 21, ppid: 20, exe: "rsync", argv: push})
				h.listen(100, "0.0.0.0:22")
				h.conn(200, "10.0.0.1:22", "10.0.0.9:40000")
				h.conn(201, "10.0.0.1:50000", "10.0.0.7:443")
			},
			want: []string{"t200 ssh-server rx [21] by 20:4 pause-only: its ssh connection also forwards TCP"},
		},
		"a remote forward": {
			make: func(h *host) {
				sshConnection(h, "sshd")
				h.link("21/fd/9", "socket:[202]")
				h.listen(202, "127.0.0.1:2222")
				h.add(fake{pid: 31, ppid: 21, exe: "rsync", argv: push})
			},
			want: []string{"t200 ssh-server rx [31] by 20:4,21:4 pause-only: its ssh connection also forwards TCP"},
		},
		"a forwarded unix socket": {
			make: func(h *host) {
				sshConnection(h, "sshd")
				h.link("21/fd/9", "socket:[302]")
				h.unix(302, "", "/run/docker.sock")
				h.add(fake{pid: 31, ppid: 21, exe: "rsync", argv: push})
			},
			want: []string{"t200 ssh-server rx [31] by 20:4,21:4 pause-only: its ssh connection also forwards a socket"},
		},
		"a forwarded agent and a login's own sockets": {
			make: func(h *host) {
				sshConnection(h, "sshd")
				h.link("21/fd/9", "socket:[302]")
				h.link("20/fd/9", "socket:[303]")
				h.unix(302, "/tmp/ssh-XXXX1234/agent.21", "-")
				h.unix(303, "", "/run/dbus/system_bus_socket")
				h.add(fake{pid: 31, ppid: 21, exe: "rsync", argv: push})
			},
			want: []string{"t200 ssh-server rx [31] by 20:4,21:4 full"},
		},
		"a terminal and a pty of rsync's own": {
			make: func(h *host) {
				sshConnection(h, "sshd")
				h.link("20/fd/9", "/dev/pts/ptmx")
				h.add(fake{pid: 31, ppid: 21, exe: "rsync", argv: push, tty: 34816})
			},
			want: []string{"t200 ssh-server rx [31] by 20:4,21:4 none: its ssh connection also has a terminal; pid 31 has a controlling terminal"},
		},
		"a user's program named sshd, above an rsync": {
			make: func(h *host) {
				h.add(fake{pid: 20, ppid: 1, exe: "sshd", uid: 65534, args: []string{"sshd: root@pts/0"}, fds: "4=socket:[200] 9=/dev/ptmx"})
				h.add(fake{pid: 21, ppid: 20, exe: "rsync", argv: push, uid: 65534})
				h.conn(200, "10.0.0.1:40000", "10.0.0.9:22")
			},
			want: []string{"p21 ssh-server rx [21] under 20 none: no sshd above it"},
		},
		"a user's program named sshd, in the session of the user": {
			make: func(h *host) {
				sshConnection(h, "sshd")
				h.add(fake{pid: 30, ppid: 21, exe: "sshd", uid: 65534, args: []string{"sshd: root@pts/0"}, fds: "4=socket:[201]"})
				h.add(fake{pid: 31, ppid: 30, exe: "rsync", argv: push, uid: 65534})
				h.conn(201, "10.0.0.1:40000", "10.0.0.7:22")
				id := h.who[21]
				id.UIDs = [3]uint32{65534, 65534, 65534}
				h.who[21] = id
			},
			want: []string{"t200 ssh-server rx [31] under 30 by 20:4,21:4 full"},
		},
		"another ssh server than OpenSSH's": {
			make: func(h *host) {
				h.add(fake{pid: 20, ppid: 1, exe: "dropbear", fds: "3=socket:[200]"})
				h.add(fake{pid: 21, ppid: 20, exe: "rsync", argv: push})
				h.conn(200, "10.0.0.1:22", "10.0.0.9:40000")
			},
			want: []string{"p21 ssh-server rx [21] under 20 none: no sshd above it"},
		},
		"a container's rsync started from this host": {
			make: func(h *host) {
				h.add(fake{pid: 20, ppid: 5, exe: "rsync", args: []string{"rsync", "-e", "docker exec -i", "c:/a", "/b"}})
				h.add(fake{pid: 21, ppid: 20, exe: "docker"})
				h.add(fake{pid: 22, ppid: 21, exe: "rsync", argv: pull})
			},
			want:  []string{"p20 ssh-client rx [20] none: no connection found below docker (pid 21): it uses that of another process"},
			young: "21",
		},
		"ssh client": {
			make: func(h *host) {
				h.add(fake{pid: 20, ppid: 5, exe: "rsync", argv: "rsync -a peer:/data/ /backup", fds: "4=socket:[300] 5=socket:[301]"})
				h.add(fake{pid: 21, ppid: 20, exe: "ssh", fds: "0=socket:[302] 3=socket:[200] 4=socket:[302]"})
				h.add(fake{pid: 22, ppid: 20, exe: "rsync", argv: "rsync -a peer:/data/ /backup", fds: "5=socket:[301]"})
				h.conn(200, "10.0.0.1:40000", "10.0.0.9:22")
			},
			want: []string{"t200 ssh-client rx [20,22] by 21:3 limit-only: " + client},
		},
		"ssh client through a ProxyCommand": {
			make: func(h *host) {
				h.add(fake{pid: 20, ppid: 5, exe: "rsync", argv: "rsync -a /data peer:/backup", fds: "4=socket:[300]"})
				h.add(fake{pid: 21, ppid: 20, exe: "ssh", fds: "0=socket:[302] 3=socket:[303]"})
				h.add(fake{pid: 22, ppid: 21, exe: "nc", fds: "0=socket:[304] 3=socket:[200]"})
				h.conn(200, "10.0.0.1:40000", "10.0.0.9:22")
			},
			want: []string{"t200 ssh-client tx [20] by 22:3 limit-only: " + client},
		},
		"ssh client of a multiplexer": {
			make: func(h *host) {
				h.add(fake{pid: 20, ppid: 5, exe: "rsync", argv: "rsync -a /data peer:/backup", fds: "4=socket:[300]"})
				h.add(fake{pid: 21, ppid: 20, exe: "ssh", fds: "0=socket:[302] 3=socket:[303]"})
				h.unix(303, "", "/root/.ssh/mux")
			},
			want:  []string{"p20 ssh-client tx [20] none: no connection found below ssh (pid 21): it uses that of another process"},
			young: "21",
		},
		"ssh client that is a multiplexer": {
			make: func(h *host) {
				h.add(fake{pid: 20, ppid: 5, exe: "rsync", argv: "rsync -a /data peer:/backup", fds: "4=socket:[300]"})
				h.add(fake{pid: 21, ppid: 20, exe: "ssh", fds: "3=socket:[200] 5=socket:[303]"})
				h.conn(200, "10.0.0.1:40000", "10.0.0.9:22")
				h.unix(303, "/root/.ssh/mux", "-")
			},
			want: []string{"t200 ssh-client tx [20] by 21:3 none: ssh (pid 21) carries other connections too; " + client},
		},
		"local copies and other programs": {
			make: func(h *host) {
				h.add(fake{pid: 20, ppid: 5, exe: "rsync", argv: "rsync -a /a /b", fds: "3=socket:[300]"})
				h.add(fake{pid: 21, ppid: 20, exe: "rsync", argv: "rsync -a /a /b", fds: "3=socket:[301]"})
				h.add(fake{pid: 30, ppid: 5, exe: "bash", comm: "rsync-ssl", argv: "bash /usr/bin/rsync-ssl x::y"})
				h.add(fake{pid: 40, ppid: 5, exe: "rsyslogd", fds: "3=socket:[200]"})
				h.conn(200, "10.0.0.1:40000", "10.0.0.9:514")
			},
		},
		"names that try the parser": {
			make: func(h *host) {
				h.add(fake{pid: 10, ppid: 1, exe: "rsync", comm: "rsync) S 1 (x", argv: rsyncd, fds: "4=socket:[100]"})
				h.add(fake{pid: 20, ppid: 10, exe: "rsync", comm: "two\nlines)", argv: rsyncd, fds: "5=socket:[200]"})
				h.listen(100, "0.0.0.0:873")
				h.conn(200, "10.0.0.1:873", "10.0.0.9:40000")
			},
			want: []string{"t200 daemon ? [20] by 20:5 full"},
		},
		"a zombie and a client that is not connected yet": {
			make: func(h *host) {
				h.add(fake{pid: 20, ppid: 5, exe: "-", comm: "rsync", args: []string{}, state: 'Z'})
				h.add(fake{pid: 30, ppid: 5, exe: "rsync", argv: "rsync -a peer:/x /y"})
			},
			young: "30",
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t)
			c.make(h)
			transfers, unfinished := h.group()
			var got, young []string
			for _, f := range transfers {
				got = append(got, f.summary())
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
