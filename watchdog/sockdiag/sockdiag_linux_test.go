package sockdiag

import (
	"errors"
	"net"
	"testing"
	"time"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"lifeline/watchdog"
	"lifeline/watchdog/tcptest"
)

// socketOf names a connection as discovery would.
func socketOf(t testing.TB, c *net.TCPConn) watchdog.Socket {
	t.Helper()
	inode, fd := tcptest.Inode(t, c)
	cookie, err := unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_COOKIE)
	if err != nil {
		t.Fatal(err)
	}
	return watchdog.Socket{Inode: inode, Cookie: cookie,
		Local: c.LocalAddr().(*net.TCPAddr).AddrPort(), Remote: c.RemoteAddr().(*net.TCPAddr).AddrPort()}
}

// await polls until a condition holds.
func await(t *testing.T, what string, met func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !met(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

// Any number of connections is asked for, and each answer is for its question.
func TestManyConnectionsAreAsked(t *testing.T) {
	const n = 3*batchSize + 5
	var sockets []watchdog.Socket
	for i := range n {
		near, far := tcptest.Pair(t)
		if _, err := far.Write(make([]byte, 1000+i)); err != nil {
			t.Fatal(err)
		}
		sockets = append(sockets, socketOf(t, near))
	}
	d := NewClient()
	defer d.Close()
	await(t, "all bytes", func() bool {
		got := map[int]uint64{}
		if err := d.TCPInfo(sockets, func(i int, info *TCPInfo) { got[i] = info.Bytes_received }); err != nil {
			t.Fatal(err)
		}
		for i := range n {
			if got[i] != uint64(1000+i) {
				return false
			}
		}
		return len(got) == n
	})
}

// What remediation asks about a connection, one at a time or all with its ports.
func TestAnswersNameTheirSocket(t *testing.T) {
	near, _ := tcptest.Pair(t)
	s := socketOf(t, near)
	for _, flags := range []int{0, unix.NLM_F_DUMP} {
		req := nl.NewNetlinkRequest(nl.SOCK_DIAG_BY_FAMILY, flags)
		req.AddData(RequestFor(s.Local, s.Remote))
		messages, err := req.Execute(unix.NETLINK_SOCK_DIAG, 0)
		if err != nil {
			t.Fatal(err)
		}
		other := s
		other.Cookie++
		found := 0
		for _, m := range messages {
			a, err := ParseAnswer(m)
			if err != nil {
				t.Fatal(err)
			}
			if a.Is(s) {
				found++
			}
			if a.Is(other) {
				t.Errorf("flags %#x: the answer is taken for a socket with another cookie", flags)
			}
			if _, err := a.TCPInfo(); !errors.Is(err, ErrFormat) {
				t.Errorf("flags %#x: struct tcp_info that was not asked for: %v", flags, err)
			}
		}
		if found != 1 {
			t.Errorf("flags %#x: %d answers about the socket, want 1 of %d", flags, found, len(messages))
		}
	}
}

func FuzzParseDiag(f *testing.F) {
	asked := make([]watchdog.Socket, 2)
	f.Add(make([]byte, unix.SizeofNlMsghdr+answerSize+8))
	f.Fuzz(func(t *testing.T, b []byte) {
		var info TCPInfo
		if i, err := parseReply(b, 0, asked, &info); i >= len(asked) || i < 0 && err == nil {
			t.Errorf("%x: answers %d, %v", b, i, err)
		}
		if err := parseError(b); err == nil {
			t.Errorf("%x: no error", b)
		}
	})
}
