package rsync

import (
	"net/netip"
	"slices"
	"testing"
)

// People come in where sshd listens and where they have come in; what a session
// forwards, and an sshd of another network namespace, are no way in.
func TestSSHPorts(t *testing.T) {
	const ours, other = 1, 2
	h := newHost(t)
	h.add(fake{pid: 10, ppid: 1, exe: "sshd", args: []string{"sshd: /usr/sbin/sshd -D [listener] 0 of 10-100 startups"}, fds: "3=socket:[1] 4=socket:[2]"})
	h.add(fake{pid: 11, ppid: 1, exe: "sshd", args: []string{"/usr/sbin/sshd", "-D"}, fds: "3=socket:[3]"})
	h.add(fake{pid: 30, ppid: 10, exe: "sshd-session", args: []string{"sshd-session: me [priv]"}, fds: "4=socket:[4]"})
	h.add(fake{pid: 31, ppid: 30, exe: "sshd-session", args: []string{"sshd-session: me@pts/1"}, fds: "4=socket:[4] 5=socket:[5]"})
	h.add(fake{pid: 40, ppid: 1, exe: "sshd", args: []string{"sshd: me@notty"}, fds: "4=socket:[5]"}) // of a service manager's listener
	for inode, s := range map[uint64]socketInfo{
		1: {Kind: tcpListening, Local: netip.MustParseAddrPort("0.0.0.0:2222"), Netns: ours},
		2: {Kind: tcpListening, Local: netip.MustParseAddrPort("[::]:22"), Netns: ours},
		3: {Kind: tcpListening, Local: netip.MustParseAddrPort("0.0.0.0:3022"), Netns: other},
		4: {Kind: tcpConnected, Local: netip.MustParseAddrPort("10.0.0.1:22"), Remote: netip.MustParseAddrPort("10.0.0.7:40000"), Netns: ours},
		5: {Kind: tcpListening, Local: netip.MustParseAddrPort("127.0.0.1:8080"), Netns: ours},
	} {
		h.sockets[inode] = s
	}
	s := h.scanner(true)
	for _, pid := range []int{10, 11, 30, 31, 40} {
		s.servers[pid] = struct{}{}
	}
	sessions := []Session{{Local: netip.MustParseAddrPort("10.0.0.1:522")}}
	if got, want := sshPortsOf(s, ours, sessions), []uint16{22, 522, 2222}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	clear(s.servers)
	if got := sshPortsOf(s, ours, nil); len(got) != 0 {
		t.Errorf("without sshd: %v", got)
	}
}
