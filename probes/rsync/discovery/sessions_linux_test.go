package discovery

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"lifeline/probes/rsync/proc"
	"lifeline/probes/rsync/proctable"
	"lifeline/probes/rsync/proctest"
	"lifeline/probes/rsync/sockets"
)

// People come in where sshd listens and where they have come in; what a session
// forwards, and an sshd of another network namespace, are no way in.
func TestSSHPorts(t *testing.T) {
	const ours, other = 1, 2
	h := proctest.NewHost(t)
	h.Add(proctest.Process{PID: 10, PPID: 1, Exe: "sshd", Args: []string{"sshd: /usr/sbin/sshd -D [listener] 0 of 10-100 startups"}, Fds: "3=socket:[1] 4=socket:[2]"})
	h.Add(proctest.Process{PID: 11, PPID: 1, Exe: "sshd", Args: []string{"/usr/sbin/sshd", "-D"}, Fds: "3=socket:[3]"})
	h.Add(proctest.Process{PID: 30, PPID: 10, Exe: "sshd-session", Args: []string{"sshd-session: me [priv]"}, Fds: "4=socket:[4]"})
	h.Add(proctest.Process{PID: 31, PPID: 30, Exe: "sshd-session", Args: []string{"sshd-session: me@pts/1"}, Fds: "4=socket:[4] 5=socket:[5]"})
	h.Add(proctest.Process{PID: 40, PPID: 1, Exe: "sshd", Args: []string{"sshd: me@notty"}, Fds: "4=socket:[5]"}) // of a service manager's listener
	for inode, s := range map[uint64]sockets.Info{
		1: {Kind: sockets.TCPListening, Local: netip.MustParseAddrPort("0.0.0.0:2222"), Netns: ours},
		2: {Kind: sockets.TCPListening, Local: netip.MustParseAddrPort("[::]:22"), Netns: ours},
		3: {Kind: sockets.TCPListening, Local: netip.MustParseAddrPort("0.0.0.0:3022"), Netns: other},
		4: {Kind: sockets.TCPConnected, Local: netip.MustParseAddrPort("10.0.0.1:22"), Remote: netip.MustParseAddrPort("10.0.0.7:40000"), Netns: ours},
		5: {Kind: sockets.TCPListening, Local: netip.MustParseAddrPort("127.0.0.1:8080"), Netns: ours},
	} {
		h.Sockets[inode] = s
	}
	s := hostTable(h, true)
	for _, pid := range []int{10, 11, 30, 31, 40} {
		s.AddServer(pid)
	}
	sessions := []Session{{Local: netip.MustParseAddrPort("10.0.0.1:522")}}
	if got, want := sshPorts(s, ours, sessions), []uint16{22, 522, 2222}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := sshPorts(hostTable(h, true), ours, nil); len(got) != 0 {
		t.Errorf("without sshd: %v", got)
	}
}

// hostTable is the process table of a host at a moment.
func hostTable(h *proctest.Host, events bool) *proctable.Table {
	s := proctable.New(proc.FS{Root: h.Root}, h, nil)
	s.ReadIdentity, s.Events = h.Identify, events
	s.Begin(time.Unix(1000, 0))
	return s
}
