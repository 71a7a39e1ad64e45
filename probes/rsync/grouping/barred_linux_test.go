package grouping

import (
	"testing"

	"golang.org/x/sys/unix"

	"lifeline/probes/rsync/proctest"
)

func TestBarredTransfers(t *testing.T) {
	h := proctest.NewHost(t)
	addSSHConnection(h, "sshd")
	h.Add(proctest.Process{PID: 31, PPID: 21, Exe: "rsync", Argv: proctest.Push})
	h.Add(proctest.Process{PID: 40, PPID: 5, Exe: "rsync", Argv: "rsync -a a rsync://peer/b", Fds: "3=socket:[400]"})
	h.Conn(400, "10.0.0.1:40000", "10.0.0.9:873")
	for inode, info := range h.Sockets {
		info.OutOfReach = unix.EPERM
		h.Sockets[inode] = info
	}
	transfers, _ := groupAll(h)
	want := []string{
		"t200 ssh-server rx [31] by 20:4,21:4 pause-only: its socket cannot be reached: operation not permitted",
		"t400 daemon-client tx [40] by 40:3 none: its socket cannot be reached: operation not permitted; the client end is never stopped",
	}
	for i, f := range transfers {
		if got := summary(f); i >= len(want) || got != want[i] {
			t.Errorf("got %s", got)
		}
	}
}
