package sshd

import (
	"errors"
	"net/netip"
	"os"
	"strings"
	"testing"
)

// fakeHost is a host made of values.
type fakeHost struct {
	who       map[int]Identity
	sockets   map[int][]Socket
	listeners []int
	hidden    error // of every list of sockets
}

func (h *fakeHost) Identity(pid int) (Identity, error) {
	id, ok := h.who[pid]
	if !ok {
		return id, ErrGone
	}
	return id, nil
}
func (h *fakeHost) TCP(pid int) ([]Socket, error) { return h.sockets[pid], h.hidden }
func (h *fakeHost) Listeners() []int              { return h.listeners }

const user = 65534

var programs = map[string]File{
	"sshd":          {Name: "sshd", Dev: 1, Inode: 10, Guarded: true},
	"sshd-session":  {Name: "sshd-session", Dev: 1, Inode: 11, Guarded: true},
	"sshd upgraded": {Name: "sshd", Dev: 1, Inode: 12, Guarded: true},
	"systemd":       {Name: "systemd", Dev: 1, Inode: 13, Guarded: true},
	"bash":          {Name: "bash", Dev: 1, Inode: 14, Guarded: true},
	"a copy":        {Name: "sshd", Dev: 2, Inode: 10},
}

func (h *fakeHost) add(pid, parent int, uid uint32, program string, sockets ...Socket) {
	h.who[pid] = Identity{PID: pid, Parent: parent, UIDs: [3]uint32{uid, uid, uid}, Exe: programs[program]}
	h.sockets[pid] = sockets
}

func listen(inode uint64, at string) Socket {
	return Socket{Inode: inode, Listening: true, Local: netip.MustParseAddrPort(at)}
}

func conn(inode uint64, local string) Socket {
	return Socket{Inode: inode, Local: netip.MustParseAddrPort(local), Remote: netip.MustParseAddrPort("10.0.0.9:40000")}
}

func TestAccepted(t *testing.T) {
	const here = "192.0.2.10:22"
	for name, c := range map[string]struct {
		make func(h *fakeHost)
		want Connection // of pid 30; Server 0 for none
		why  string     // in its error
	}{
		"root": {
			make: func(h *fakeHost) { h.add(30, 10, 0, "sshd", conn(200, here)) },
			want: Connection{Socket{Inode: 200}, 30, 30},
		},
		"a user, with privilege separation": {
			make: func(h *fakeHost) {
				h.add(20, 10, 0, "sshd", conn(200, here))
				h.add(30, 20, user, "sshd", conn(201, "192.0.2.10:50000"), conn(200, here))
			},
			want: Connection{Socket{Inode: 200}, 20, 30},
		},
		"OpenSSH 9.8": {
			make: func(h *fakeHost) {
				h.add(20, 10, 0, "sshd-session", conn(200, here))
				h.add(30, 20, user, "sshd-session", conn(200, here))
			},
			want: Connection{Socket{Inode: 200}, 20, 30},
		},
		"the listener was started anew, with another program": {
			make: func(h *fakeHost) {
				h.add(1, 0, 0, "systemd", listen(7, "0.0.0.0:111"))
				h.add(10, 1, 0, "sshd upgraded", listen(100, "0.0.0.0:22"))
				h.add(30, 1, 0, "sshd", conn(200, here))
			},
			want: Connection{Socket{Inode: 200}, 30, 30},
		},
		"a service manager listens": {
			make: func(h *fakeHost) {
				h.listeners = nil
				h.add(1, 0, 0, "systemd", listen(100, "[::]:22"))
				h.add(20, 1, 0, "sshd", conn(200, here))
				h.add(30, 20, user, "sshd", conn(200, here))
			},
			want: Connection{Socket{Inode: 200}, 20, 30},
		},
		"root's forwards: the one that was accepted counts": {
			make: func(h *fakeHost) {
				h.add(30, 10, 0, "sshd", conn(198, "192.0.2.10:50000"), conn(199, "192.0.2.10:8080"), listen(197, "0.0.0.0:8080"), conn(200, here))
				h.listeners = []int{10, 30}
			},
			want: Connection{Socket{Inode: 200}, 30, 30},
		},
		"a user's copy": {
			make: func(h *fakeHost) { h.add(30, 1, user, "a copy", conn(200, here)) },
			why:  "runs as uid 65534",
		},
		"a user's copy, started by root": {
			make: func(h *fakeHost) { h.add(30, 10, 0, "a copy", conn(200, here)) },
			why:  "not root's alone",
		},
		"a user's own sshd": {
			make: func(h *fakeHost) {
				h.add(11, 1, user, "sshd", listen(101, "0.0.0.0:2022"))
				h.add(20, 11, user, "sshd", conn(200, "192.0.2.10:2022"))
				h.add(30, 20, user, "sshd", conn(200, "192.0.2.10:2022"))
			},
			why: "runs as uid 65534",
		},
		"sshd as a user's program, with the connection of the session": {
			make: func(h *fakeHost) {
				h.add(20, 10, 0, "sshd", conn(200, here))
				h.add(21, 20, user, "sshd", conn(200, here))
				h.add(30, 21, user, "sshd", conn(200, here), conn(201, "192.0.2.10:50000"))
			},
			why: "runs as uid 65534",
		},
		"what the process of a user has connected to": {
			make: func(h *fakeHost) {
				h.add(20, 10, 0, "sshd", conn(200, here))
				h.add(30, 20, user, "sshd", conn(201, "192.0.2.10:50000"))
			},
			why: "does not hold the connection of pid 20",
		},
		"a user's program as a child of root's sshd": {
			make: func(h *fakeHost) {
				h.add(20, 10, 0, "sshd", conn(200, here))
				h.add(30, 20, user, "a copy", conn(200, here))
			},
			why: "runs as uid 65534",
		},
		"to another address than is listened on": {
			make: func(h *fakeHost) {
				h.add(10, 1, 0, "sshd", listen(100, "192.0.2.11:22"))
				h.add(30, 10, 0, "sshd", conn(200, here))
			},
			why: "no connection that came to a port on which sshd listens",
		},
		"in another network namespace than is listened in": {
			make: func(h *fakeHost) {
				l, in := listen(100, "0.0.0.0:22"), conn(200, here)
				l.Netns, in.Netns = 1, 2
				h.add(10, 1, 0, "sshd", l)
				h.add(30, 10, 0, "sshd", in)
			},
			why: "no connection that came to a port on which sshd listens",
		},
		"root's, outgoing": {
			make: func(h *fakeHost) { h.add(30, 10, 0, "sshd", conn(200, "192.0.2.10:50000")) },
			why:  "no connection that came to a port on which sshd listens",
		},
		"a port on which only a user's process listens": {
			make: func(h *fakeHost) {
				h.add(11, 1, user, "a copy", listen(101, "0.0.0.0:2022"))
				h.add(30, 11, 0, "sshd", conn(200, "192.0.2.10:2022"))
			},
			why: "no connection that came to a port on which sshd listens",
		},
		"real user id of a user: a setuid program": {
			make: func(h *fakeHost) {
				h.add(30, 10, 0, "sshd", conn(200, here))
				id := h.who[30]
				id.UIDs[0] = user
				h.who[30] = id
			},
			why: "runs as uid 65534",
		},
		"it may not be looked at": {
			make: func(h *fakeHost) { h.who[30] = Identity{PID: 30, Parent: 10, Err: os.ErrPermission} },
			why:  "permission denied",
		},
		"its sockets may not be looked at": {
			make: func(h *fakeHost) {
				h.add(30, 10, 0, "sshd")
				h.hidden = os.ErrPermission
			},
			why: "permission denied",
		},
		"it has ended": {make: func(*fakeHost) {}, why: "has ended"},
	} {
		h := &fakeHost{who: map[int]Identity{}, sockets: map[int][]Socket{}, listeners: []int{10}}
		h.add(1, 0, 0, "systemd")
		h.add(10, 1, 0, "sshd", listen(100, "0.0.0.0:22"))
		c.make(h)
		got, err := Accepted(h, 30)
		switch {
		case c.want.Server == 0 && (err == nil || !strings.Contains(err.Error(), c.why)):
			t.Errorf("%s: %+v, %v; want %q", name, got, err, c.why)
		case c.want.Server != 0 && (err != nil || got.Inode != c.want.Inode || got.Server != c.want.Server || got.User != c.want.User):
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func TestBelongs(t *testing.T) {
	h := &fakeHost{who: map[int]Identity{}, sockets: map[int][]Socket{}}
	h.add(10, 1, 0, "sshd")
	h.add(20, 10, 0, "sshd-session")
	h.add(21, 20, user, "sshd-session")
	h.add(22, 21, user, "bash")
	h.add(23, 22, user, "sshd")
	h.add(24, 21, user, "sshd-session") // a user executed it
	h.add(25, 20, user, "a copy")
	h.who[26] = Identity{PID: 26, Err: os.ErrPermission}
	for pid, want := range map[int]bool{10: true, 20: true, 21: true, 22: false, 23: false, 24: false, 25: false, 26: true, 99: false} {
		if got := Belongs(h, pid); got != want {
			t.Errorf("pid %d: %v", pid, got)
		}
	}
	if _, err := Accepted(h, 24); !errors.Is(err, ErrForeign) {
		t.Errorf("pid 24: %v", err)
	}
}
