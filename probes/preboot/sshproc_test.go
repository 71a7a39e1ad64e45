package preboot

import (
	"net/netip"
	"slices"
	"testing"
)

func sock(local, remote string, inode uint32) tcpSocket {
	return tcpSocket{local: netip.MustParseAddrPort(local), remote: netip.MustParseAddrPort(remote), inode: inode}
}

func listener(local string) tcpSocket {
	return tcpSocket{local: netip.MustParseAddrPort(local), listening: true}
}

func TestPeopleSessions(t *testing.T) {
	procs := []procInfo{
		{pid: 1, comm: "systemd"},
		{pid: 10, ppid: 1, comm: "sshd", title: "sshd: /usr/sbin/sshd -D [listener] 0 of 10-100 startups"},
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
		{pid: 60, ppid: 10, comm: "sshd", title: "sshd: ben@pts/1,pts/2", sockets: []uint32{5}},
		{pid: 61, ppid: 60, comm: "bash"}, {pid: 62, ppid: 61, comm: "rsync"},
		// Forwarding only.
		{pid: 70, ppid: 10, comm: "sshd", title: "sshd: cat", sockets: []uint32{6}},
		// Not sshd at all, whatever it calls itself.
		{pid: 80, ppid: 1, comm: "evil", title: "sshd: eve@pts/0", sockets: []uint32{8}},
	}
	socks := []tcpSocket{
		listener("0.0.0.0:22"), listener("[::]:2222"),
		sock("192.0.2.10:22", "10.0.0.1:5001", 1), sock("192.0.2.10:22", "10.0.0.2:5002", 2), sock("192.0.2.10:22", "10.0.0.3:5003", 3),
		sock("192.0.2.10:22", "10.0.0.4:5004", 4), sock("[2001:db8::10]:2222", "[2001:db8::5]:5005", 5), sock("192.0.2.10:22", "10.0.0.6:5006", 6),
		sock("192.0.2.10:22", "10.0.0.7:5007", 7), sock("192.0.2.10:22", "10.0.0.8:5008", 8),
		sock("192.0.2.10:40000", "10.9.9.9:3306", 99), // a forwarded connection: outgoing
		sock("127.0.0.1:22", "127.0.0.1:5010", 1), sock("192.0.2.10:22", "10.0.0.1:5011", 1),
	}
	list, ports := peopleSessions(procs, socks)
	var got []string
	for _, s := range list {
		got = append(got, s.Src.String()+" "+s.Local.String())
	}
	want := []string{"10.0.0.1 192.0.2.10", "10.0.0.2 192.0.2.10", "2001:db8::5 2001:db8::10", "10.0.0.6 192.0.2.10"}
	if !slices.Equal(got, want) || !slices.Equal(ports, []uint16{22, 2222}) {
		t.Errorf("%q, ports %d", got, ports)
	}
	// A loop of parents, as a reused pid may make it look, must end.
	loop := []procInfo{{pid: 2, ppid: 3, comm: "sshd", sockets: []uint32{1}}, {pid: 3, ppid: 2, comm: "sshd"}}
	if list, _ := peopleSessions(loop, socks); len(list) != 0 {
		t.Errorf("%v", list)
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
