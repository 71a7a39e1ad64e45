package grouping

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lifeline/probes/rsync/proctest"
)

func TestSessionsOf(t *testing.T) {
	h := proctest.NewHost(t)
	addSSHConnection(h, "sshd-session") // carries rsync
	h.Add(proctest.Process{PID: 30, PPID: 10, Exe: "sshd-session", Args: []string{"sshd-session: me [priv]"}, Fds: "4=socket:[400]"})
	h.Add(proctest.Process{PID: 31, PPID: 30, Exe: "sshd-session", Args: []string{"sshd-session: me@pts/1"}, Fds: "4=socket:[400]"})
	h.Add(proctest.Process{PID: 40, PPID: 10, Exe: "sshd-session", Args: []string{"sshd-session: root [priv]"}, Fds: "4=socket:[500]"})
	h.Add(proctest.Process{PID: 41, PPID: 40, Exe: "sshd-auth", Args: []string{"sshd-session: root [net]"}, Fds: "4=socket:[500]"})
	h.Conn(400, "10.0.0.1:22", "10.0.0.7:40000")
	h.Conn(500, "10.0.0.1:22", "10.0.0.6:40000")
	s := hostTable(h, true)
	for _, pid := range []int{10, 20, 21, 30, 31, 40, 41} {
		s.AddServer(pid)
	}
	got := Sessions(s, func(inode uint64) bool { return inode == 200 })
	if len(got) != 1 || got[0].Socket.Remote.String() != "10.0.0.7:40000" {
		t.Errorf("got %+v", got)
	}
}

// The command line lies in the memory of its process, which can keep a reader waiting:
// that of a user's program that is named sshd is not read at all.
func TestForeignTitleIsNotRead(t *testing.T) {
	h := proctest.NewHost(t)
	addSSHConnection(h, "sshd")
	h.Add(proctest.Process{PID: 30, PPID: 1, Exe: "sshd", Uid: 65534, Fds: "4=socket:[400]"})
	h.Conn(400, "10.0.0.1:22", "10.0.0.7:40000")
	waits := filepath.Join(h.Root, "30/cmdline")
	if err := errors.Join(os.Remove(waits), unix.Mkfifo(waits, 0o644)); err != nil {
		t.Fatal(err)
	}
	s := hostTable(h, true)
	for _, pid := range []int{10, 20, 21, 30} {
		s.AddServer(pid)
	}
	done := make(chan []Session)
	go func() { done <- Sessions(s, func(uint64) bool { return false }) }()
	select {
	case got := <-done:
		if len(got) != 1 || got[0].Socket.Inode != 200 {
			t.Errorf("%+v", got)
		}
	case <-time.After(30 * time.Second):
		t.Error("waits for a user's program")
	}
}
