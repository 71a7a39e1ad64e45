// Package tcptest makes TCP connections for tests: both ends are this process's, over
// loopback. It asserts nothing, and leaves nothing behind when its test ends.
package tcptest

import (
	"net"
	"testing"

	"golang.org/x/sys/unix"
)

// Pair is one connection, both ends of it. They are closed when the test ends. It skips
// the test where nothing can listen.
func Pair(t testing.TB) (near, far *net.TCPConn) {
	t.Helper()
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

// Inode is the inode and the descriptor of a connection's socket.
func Inode(t testing.TB, c *net.TCPConn) (inode uint64, fd int) {
	t.Helper()
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var st unix.Stat_t
	if e := raw.Control(func(s uintptr) { fd, err = int(s), unix.Fstat(int(s), &st) }); e != nil || err != nil {
		t.Fatal(e, err)
	}
	return st.Ino, fd
}
