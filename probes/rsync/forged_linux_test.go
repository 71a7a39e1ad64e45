package rsync

import (
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"

	"lifeline/probes/sshd/sshdtest"
)

// connections makes a TCP connection over the loopback link and gives the files of
// the listener, the end that was accepted and the one that called.
func connections(t *testing.T) (listener, accepted, called *os.File, port uint16) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	out, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	in, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	file := func(c interface{ File() (*os.File, error) }) *os.File {
		f, err := c.File()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return f
	}
	return file(l.(*net.TCPListener)), file(in.(*net.TCPConn)), file(out.(*net.TCPConn)), netip.MustParseAddrPort(l.Addr().String()).Port()
}

// A program of a user that is named sshd, has a session's title and holds
// connections is no session, and the port that it listens on none by which people
// get in.
func TestForgedSession(t *testing.T) {
	bothWays(t, func(t *testing.T, s *site, opts Options) {
		listener, accepted, called, port := connections(t)
		sshdtest.Forge(t, "sshd: root@pts/0", called)
		sshdtest.Forge(t, "sshd: root@pts/1", accepted, listener)
		sshdtest.Forge(t, "sshd: /usr/sbin/sshd -D [listener] 0 of 10-100 startups", listener)
		p := s.probe(opts)
		s.Write("stay", "")
		s.start(append(strings.Fields(s.ssh+" root@127.0.0.1"), "while [ -e "+s.Path("stay")+" ]; do sleep 0.1; done")...)
		s.await("the session", func() bool {
			for _, v := range p.Sessions() {
				if v.Local.String() != "127.0.0.1:"+sshPort {
					t.Fatalf("counts as a session: %+v", v)
				}
			}
			for _, forged := range p.SSHPorts() {
				if forged == port {
					t.Fatalf("counts as a port of sshd: %d", forged)
				}
			}
			return len(p.Sessions()) > 0
		})
	})
}
