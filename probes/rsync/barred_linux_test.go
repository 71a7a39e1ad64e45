package rsync

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"lifeline/watchdog"
	"lifeline/watchdog/sockdiag"
)

// barred is a kernel that gives no duplicates.
type barred struct{}

func (barred) inspect(watchdog.FDRef, uint64) (socketInfo, error) {
	return socketInfo{}, unix.ENOSYS
}

// loopback makes a TCP connection to itself over the loopback link.
func loopback(t testing.TB) (near, far *net.TCPConn) {
	t.Helper()
	loopbackUp(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Skip(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	s, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return c.(*net.TCPConn), s.(*net.TCPConn)
}

// inodeOf is the inode and descriptor of a connection.
func inodeOf(t testing.TB, c *net.TCPConn) (inode uint64, fd int) {
	t.Helper()
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var st unix.Stat_t
	if err := raw.Control(func(s uintptr) { fd, err = int(s), unix.Fstat(int(s), &st) }); err != nil {
		t.Fatal(err)
	}
	return st.Ino, fd
}

func TestWithoutDuplicates(t *testing.T) {
	near, far := loopback(t)
	proc := procFS{root: "/proc"}
	self, err := proc.stat(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	inode, fd := inodeOf(t, near)
	f := newFallback(barred{}, proc)
	info, err := f.inspect(watchdog.FDRef{Proc: self.ID, FD: fd}, inode)
	if err != nil || info.Kind != tcpConnected || !errors.Is(info.OutOfReach, unix.ENOSYS) {
		t.Fatalf("got %+v, %v", info, err)
	}
	local := near.LocalAddr().(*net.TCPAddr).AddrPort()
	remote := near.RemoteAddr().(*net.TCPAddr).AddrPort()
	if info.Local != local || info.Remote != remote {
		t.Errorf("addresses %v and %v, want %v and %v", info.Local, info.Remote, local, remote)
	}
	if _, err := f.inspect(watchdog.FDRef{Proc: self.ID, FD: fd}, inode+1<<40); !errors.Is(err, unix.ENOSYS) {
		t.Errorf("an unknown socket: %v", err)
	}
	if _, err := far.Write(make([]byte, 4711)); err != nil {
		t.Fatal(err)
	}
	d := sockdiag.NewClient()
	defer d.Close()
	socket := watchdog.Socket{Inode: inode, Local: local, Remote: remote}
	other, ended := socket, socket
	other.Inode++
	ended.Remote = netip.MustParseAddrPort("127.0.0.1:1")
	await(t, "bytes in sock_diag", func() bool {
		var told []int
		var bytes uint64
		err := d.TCPInfo([]watchdog.Socket{other, socket, ended}, func(i int, info *sockdiag.TCPInfo) {
			told, bytes = append(told, i), info.Bytes_received
			if info.RcvWscale == 0 {
				t.Error("no window scale")
			}
		})
		if err != nil || !slices.Equal(told, []int{1}) {
			t.Fatalf("told of %v, want 1, for 0 is another socket by now and 2 none: %v", told, err)
		}
		return bytes == 4711
	})
}

func TestBarredTransfers(t *testing.T) {
	h := newHost(t)
	sshConnection(h, "sshd")
	h.add(fake{pid: 31, ppid: 21, exe: "rsync", argv: push})
	h.add(fake{pid: 40, ppid: 5, exe: "rsync", argv: "rsync -a a rsync://peer/b", fds: "3=socket:[400]"})
	h.conn(400, "10.0.0.1:40000", "10.0.0.9:873")
	for inode, info := range h.sockets {
		info.OutOfReach = unix.EPERM
		h.sockets[inode] = info
	}
	transfers, _ := h.group()
	want := []string{
		"t200 ssh-server rx [31] by 20:4,21:4 pause-only: its socket cannot be reached: operation not permitted",
		"t400 daemon-client tx [40] by 40:3 none: its socket cannot be reached: operation not permitted; the client end is never stopped",
	}
	for i, f := range transfers {
		if got := f.summary(); i >= len(want) || got != want[i] {
			t.Errorf("got %s", got)
		}
	}
}
