package hostinfo

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"lifeline/probes/sshd"
)

func sock(local, remote string, inode uint32) tcpSocket {
	return tcpSocket{local: netip.MustParseAddrPort(local), remote: netip.MustParseAddrPort(remote), inode: inode}
}

func listener(local string) tcpSocket {
	return tcpSocket{local: netip.MustParseAddrPort(local), listening: true}
}

// parts are processes with identities: sshd and its like are root's programs, run by
// root unless a uid is named.
func parts(procs []procInfo, uids map[int]uint32) []procInfo {
	for i := range procs {
		p := &procs[i]
		if !sshd.Named(p.comm) && p.pid != 1 {
			continue
		}
		uid := uids[p.pid]
		p.id = sshd.Identity{PID: p.pid, Parent: p.ppid, UIDs: [3]uint32{uid, uid, uid},
			Exe: sshd.File{Name: p.comm, Dev: 1, Inode: uint64(len(p.comm)), Guarded: true}}
	}
	return procs
}

func listenerOf(local string, inode uint32) tcpSocket {
	l := listener(local)
	l.inode = inode
	return l
}

func TestPeopleSessions(t *testing.T) {
	procs := parts([]procInfo{
		{pid: 1, comm: "systemd"},
		{pid: 10, ppid: 1, comm: "sshd", title: "sshd: /usr/sbin/sshd -D [listener] 0 of 10-100 startups", sockets: []uint32{100, 101}},
		// Somebody at a terminal, with privilege separation.
		{pid: 20, ppid: 10, comm: "sshd", title: "sshd: ann [priv]", sockets: []uint32{1}},
		{pid: 21, ppid: 20, comm: "sshd", title: "sshd: ann@pts/0", sockets: []uint32{1, 99}},
		{pid: 22, ppid: 21, comm: "bash"},
		// Root in OpenSSH 9.8: one process, another name.
		{pid: 30, ppid: 10, comm: "sshd-session", title: "sshd-session: root@notty", sockets: []uint32{2}},
		// Not logged in yet.
		{pid: 40, ppid: 10, comm: "sshd", title: "sshd: unknown [priv]", sockets: []uint32{3}},
		{pid: 41, ppid: 40, comm: "sshd", title: "sshd: unknown [net]", sockets: []uint32{3}},
		{pid: 45, ppid: 10, comm: "sshd-session", title: "sshd-session: [accepted]", sockets: []uint32{7}},
		// A backup over ssh.
		{pid: 50, ppid: 10, comm: "sshd", title: "sshd: backup@notty", sockets: []uint32{4}},
		{pid: 51, ppid: 50, comm: "rsync"},
		// Somebody who runs an rsync in his shell.
		{pid: 60, ppid: 10, comm: "sshd", title: "sshd: ben@pts/1,pts/2", sockets: []uint32{5, 11}},
		{pid: 61, ppid: 60, comm: "bash"}, {pid: 62, ppid: 61, comm: "rsync"},
		// Forwarding only.
		{pid: 70, ppid: 10, comm: "sshd", title: "sshd: cat", sockets: []uint32{6}},
		// Not sshd at all, whatever it calls itself.
		{pid: 80, ppid: 1, comm: "evil", title: "sshd: eve@pts/0", sockets: []uint32{8}},
		// A user's programs that are named so: with a listener of their own, below the
		// user's session, and with a connection of the session's process.
		{pid: 81, ppid: 1, comm: "sshd", title: "sshd: root@pts/0", sockets: []uint32{9, 102}},
		{pid: 82, ppid: 21, comm: "sshd", title: "sshd: root@pts/0", sockets: []uint32{1, 12}},
		{pid: 83, ppid: 50, comm: "sshd", title: "sshd: root@pts/0", sockets: []uint32{12}},
		// A service manager's connection.
		{pid: 90, ppid: 1, comm: "sshd", title: "sshd: dan@notty", sockets: []uint32{13}},
	}, map[int]uint32{21: 1000, 41: 104, 81: 65534, 82: 1000, 83: 1000})
	procs[0].sockets = []uint32{103}
	socks := []tcpSocket{
		listenerOf("0.0.0.0:22", 100), listenerOf("[::]:2222", 101), listenerOf("0.0.0.0:2022", 102), listenerOf("0.0.0.0:522", 103),
		sock("192.0.2.10:22", "10.0.0.1:5001", 1), sock("192.0.2.10:22", "10.0.0.2:5002", 2), sock("192.0.2.10:22", "10.0.0.3:5003", 3),
		sock("192.0.2.10:22", "10.0.0.4:5004", 4), sock("[2001:db8::10]:2222", "[2001:db8::5]:5005", 5), sock("192.0.2.10:22", "10.0.0.6:5006", 6),
		sock("192.0.2.10:22", "10.0.0.7:5007", 7), sock("192.0.2.10:22", "10.0.0.8:5008", 8),
		sock("192.0.2.10:40000", "10.9.9.9:3306", 99), // a forwarded connection: outgoing
		sock("127.0.0.1:22", "127.0.0.1:5010", 14), sock("192.0.2.10:22", "10.0.0.1:5011", 11),
		sock("192.0.2.10:2022", "10.0.0.66:5012", 9), sock("192.0.2.10:40001", "10.0.0.67:22", 12), sock("192.0.2.10:522", "10.0.0.9:5013", 13),
	}
	procs = append(procs, parts([]procInfo{{pid: 95, ppid: 10, comm: "sshd", title: "sshd: root@pts/7", sockets: []uint32{14}}}, nil)...)
	s := newSnapshot(procs, socks)
	list, ports := s.sessions()
	var got []string
	for _, s := range list {
		got = append(got, s.Src.String()+" "+s.Local.String()+" "+s.User)
	}
	want := []string{"10.0.0.1 192.0.2.10 1000", "10.0.0.2 192.0.2.10 0", "2001:db8::5 2001:db8::10 0", "10.0.0.6 192.0.2.10 0", "10.0.0.9 192.0.2.10 0"}
	if !slices.Equal(got, want) || !slices.Equal(ports, []uint16{22, 2222, 522}) {
		t.Errorf("%q, ports %d", got, ports)
	}
	told := strings.Join(s.foreign(), "\n")
	for _, pid := range []string{"pid 81", "pid 82", "runs as uid 65534"} {
		if !strings.Contains(told, pid) {
			t.Errorf("%s is not told of:\n%s", pid, told)
		}
	}
	if strings.Contains(told, "pid 2") || strings.Contains(told, "pid 41") || len(s.foreign()) != 2 {
		t.Errorf("told:\n%s", told)
	}
	// A loop of parents, as a reused pid may make it look, must end.
	loop := parts([]procInfo{{pid: 2, ppid: 3, comm: "sshd", sockets: []uint32{1}}, {pid: 3, ppid: 2, comm: "sshd"}}, nil)
	if list, _ := newSnapshot(loop, socks).sessions(); len(list) != 0 {
		t.Errorf("%v", list)
	}
}

// Anybody may start any number of programs that are named sshd.
func TestForeignIsBounded(t *testing.T) {
	var procs []procInfo
	uids := map[int]uint32{}
	for pid := 100; pid < 1100; pid++ {
		procs = append(procs, procInfo{pid: pid, ppid: 1, comm: "sshd", sockets: []uint32{1}})
		uids[pid] = 65534
	}
	told := newSnapshot(parts(procs, uids), []tcpSocket{sock("192.0.2.10:40001", "10.0.0.67:22", 1)}).foreign()
	if len(told) != maxForeign+1 || !strings.HasPrefix(told[maxForeign], "992 more") {
		t.Errorf("%q", told)
	}
}

func TestParseStat(t *testing.T) {
	p, ok := parseStat("42 (a) b (c) S 7 42 42 0")
	if !ok || p.pid != 42 || p.ppid != 7 || p.comm != "a) b (c" {
		t.Errorf("%+v %v", p, ok)
	}
	for _, bad := range []string{"", "42", "42 (x", "x (y) S 1", "42 (y)", "42 (y) S z", ")("} {
		if _, ok := parseStat(bad); ok {
			t.Errorf("%q is taken", bad)
		}
	}
}
