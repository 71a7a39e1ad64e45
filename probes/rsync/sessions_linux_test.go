package rsync

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestAuthenticated(t *testing.T) {
	for title, want := range map[string]bool{
		"sshd: root@pts/0":                            true,
		"sshd: root@pts/0,pts/1":                      true,
		"sshd: me@example.org@notty":                  true,
		"sshd-session: me@notty":                      true,
		"sshd: me@internal-sftp":                      true,
		"sshd: root [priv]":                           false,
		"sshd: root [net]":                            false,
		"sshd: unknown [priv]":                        false,
		"sshd: [accepted]":                            false,
		"sshd-session: me@notty [priv]":               false,
		"sshd: x@pts/0 [preauth]":                     false,
		"sshd: me@example.org":                        false,
		"sshd: root":                                  false,
		"sshd: /usr/sbin/sshd -f a@notty [listener] ": false,
		"bash": false,
		"":     false,
	} {
		p := &process{Exe: "sshd", Argv: []string{title}}
		if got := authenticated(p); got != want {
			t.Errorf("%q: got %v", title, got)
		}
	}
	if authenticated(&process{Exe: "sshd-auth", Argv: []string{"sshd: root@notty"}}) {
		t.Error("the process that authenticates")
	}
	if authenticated(&process{Exe: "sshd", Argv: []string{"sshd:", "root@notty"}}) {
		t.Error("a command line that is no title")
	}
}

func TestSessionsOf(t *testing.T) {
	h := newHost(t)
	sshConnection(h, "sshd-session") // carries rsync
	h.add(fake{pid: 30, ppid: 10, exe: "sshd-session", args: []string{"sshd-session: me [priv]"}, fds: "4=socket:[400]"})
	h.add(fake{pid: 31, ppid: 30, exe: "sshd-session", args: []string{"sshd-session: me@pts/1"}, fds: "4=socket:[400]"})
	h.add(fake{pid: 40, ppid: 10, exe: "sshd-session", args: []string{"sshd-session: root [priv]"}, fds: "4=socket:[500]"})
	h.add(fake{pid: 41, ppid: 40, exe: "sshd-auth", args: []string{"sshd-session: root [net]"}, fds: "4=socket:[500]"})
	h.conn(400, "10.0.0.1:22", "10.0.0.7:40000")
	h.conn(500, "10.0.0.1:22", "10.0.0.6:40000")
	s := h.scanner(true)
	for _, pid := range []int{10, 20, 21, 30, 31, 40, 41} {
		s.servers[pid] = struct{}{}
	}
	got := sessionsOf(s, func(inode uint64) bool { return inode == 200 })
	if len(got) != 1 || got[0].Remote.String() != "10.0.0.7:40000" {
		t.Errorf("got %+v", got)
	}
}

// The command line lies in the memory of its process, which can keep a reader waiting:
// that of a user's program that is named sshd is not read at all.
func TestForeignTitleIsNotRead(t *testing.T) {
	h := newHost(t)
	sshConnection(h, "sshd")
	h.add(fake{pid: 30, ppid: 1, exe: "sshd", uid: 65534, fds: "4=socket:[400]"})
	h.conn(400, "10.0.0.1:22", "10.0.0.7:40000")
	waits := filepath.Join(h.root, "30/cmdline")
	if err := errors.Join(os.Remove(waits), unix.Mkfifo(waits, 0o644)); err != nil {
		t.Fatal(err)
	}
	s := h.scanner(true)
	for _, pid := range []int{10, 20, 21, 30} {
		s.servers[pid] = struct{}{}
	}
	done := make(chan []held)
	go func() { done <- sessionsOf(s, func(uint64) bool { return false }) }()
	select {
	case got := <-done:
		if len(got) != 1 || got[0].Inode != 200 {
			t.Errorf("%+v", got)
		}
	case <-time.After(30 * time.Second):
		t.Error("waits for a user's program")
	}
}
