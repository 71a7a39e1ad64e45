package rsync

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"lifeline/watchdog"
	"lifeline/watchdog/tcptest"
)

// strange gives somebody else's connection: the file of one end, to be inherited, its
// inode, and the other end.
func strange(t *testing.T) (f *os.File, inode uint64, far *net.TCPConn) {
	t.Helper()
	near, far := tcptest.Pair(t)
	inode, _ = tcptest.Inode(t, near)
	f, err := near.File()
	if err != nil {
		t.Fatal(err)
	}
	near.Close()
	t.Cleanup(func() { f.Close() })
	return f, inode, far
}

// startWith starts a program that inherits a file as descriptor 3.
func (s *site) startWith(f *os.File, argv ...string) *exec.Cmd {
	s.t.Helper()
	c := exec.Command(argv[0], argv[1:]...)
	c.Dir, c.ExtraFiles = s.dir, []*os.File{f}
	if err := c.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		c.Process.Kill()
		c.Wait()
	})
	return c
}

// An rsync that inherited somebody else's connection is known by its own one, and the
// other is never taken for a transfer's.
func TestInheritedConnectionIsNotTheTransfers(t *testing.T) {
	push := func(s *site, port int) []string {
		return []string{"rsync", "-a", "--bwlimit=2000", s.Path("src") + "/", fmt.Sprintf("rsync://127.0.0.1:%d/dst/9/", port)}
	}
	for name, run := range map[string]struct {
		argv func(s *site) []string
		via  watchdog.Via
		near bool // the port below is the local one
		port uint16
	}{
		"client of a daemon": {func(s *site) []string { return push(s, 8873) }, watchdog.ViaDaemonClient, false, 8873},
		"client of ssh": {func(s *site) []string {
			return []string{"rsync", "-a", "--bwlimit=2000", "-e", s.ssh, s.Path("src") + "/", "root@127.0.0.1:" + s.Path("dst") + "/9/"}
		}, watchdog.ViaSSHClient, false, 2222},
		"daemon": {func(s *site) []string {
			return []string{"rsync", "--daemon", "--no-detach", "--config=" + s.Path("rsyncd.conf"), "--port=8874"}
		}, watchdog.ViaDaemon, true, 8874},
	} {
		for parent, keeps := range map[string]bool{"its parent holds it too": true, "it alone holds it": false} {
			t.Run(name+", "+parent, func(t *testing.T) {
				s := newSite(t)
				f, inode, _ := strange(t)
				p := s.probe(Options{})
				s.startWith(f, run.argv(s)...)
				if !keeps {
					f.Close()
				}
				if run.near {
					s.await("daemon", func() bool { return answers("127.0.0.1:8874") })
					s.start(push(s, 8874)...)
				}
				s.await("transfer", func() bool {
					for _, x := range p.ours() {
						if x.Socket.Inode == inode && x.Control != watchdog.ControlNone {
							t.Fatalf("somebody else's connection would be limited: %+v", x)
						}
						port := x.Socket.Remote.Port()
						if run.near {
							port = x.Socket.Local.Port()
						}
						if x.Via == run.via && port == run.port && x.Control != watchdog.ControlNone && x.Bytes > 256<<10 {
							return true
						}
					}
					return false
				})
			})
		}
	}
}

// What copies between local files has no connection, whatever it inherited.
func TestLocalCopyHasNoConnection(t *testing.T) {
	s := newSite(t)
	f, inode, _ := strange(t)
	p := s.probe(Options{})
	c := s.startWith(f, "rsync", "-a", "--bwlimit=20000", s.Path("src")+"/", s.Path("local")+"/")
	f.Close()
	done := make(chan error, 1)
	go func() { done <- c.Wait() }()
	for {
		select {
		case <-done:
			return
		case <-time.After(20 * time.Millisecond):
		}
		for _, x := range p.ours() {
			if x.Socket.Inode == inode {
				t.Fatalf("somebody else's connection would be limited: %+v", x)
			}
		}
	}
}

// fakeRsync makes a program that is called rsync and moves nothing.
func (s *site) fakeRsync() string {
	s.t.Helper()
	for _, tail := range []string{"/bin/tail", "/usr/bin/tail"} {
		b, err := os.ReadFile(tail)
		if err != nil {
			continue
		}
		if err := os.MkdirAll(s.Path("fake"), 0o755); err != nil {
			s.t.Fatal(err)
		}
		if err := os.WriteFile(s.Path("fake/rsync"), b, 0o755); err != nil {
			s.t.Fatal(err)
		}
		return s.Path("fake/rsync")
	}
	s.t.Skip("no tail")
	return ""
}

// A connection that moves without the process is let go, with the reason: it is
// somebody else's who holds it too.
func TestConnectionThatMovesWithoutTheProcessIsLetGo(t *testing.T) {
	s := newSite(t)
	f, inode, far := strange(t)
	p := s.probe(Options{})
	port := far.LocalAddr().(*net.TCPAddr).Port
	s.startWith(f, s.fakeRsync(), "-f", "/dev/null", "rsync://127.0.0.1:"+strconv.Itoa(port)+"/x/", s.Path("local"))
	reader := exec.Command("cat")
	reader.Stdin = f
	if err := reader.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		reader.Process.Kill()
		reader.Wait()
	})
	f.Close()
	stop := make(chan struct{})
	t.Cleanup(func() { close(stop) })
	go func() {
		buf := make([]byte, 64<<10)
		for {
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
				if _, err := far.Write(buf); err != nil {
					return
				}
			}
		}
	}()
	s.await("it is let go", func() bool {
		for _, x := range p.ours() {
			if x.Socket.Inode == inode || x.Control == watchdog.ControlNone {
				return x.Control == watchdog.ControlNone && x.Why != ""
			}
		}
		return false
	})
}

// A transfer's own connection is never let go: not while its processes stand still, nor
// by what they read of their own files.
func TestOwnConnectionIsKept(t *testing.T) {
	s := newSite(t)
	p := s.probe(Options{})
	var clients []*exec.Cmd
	for i, more := range [][]string{{"--bwlimit=0"}, {"--bwlimit=0", "-z"}, {"--bwlimit=8000", "--checksum"}, {"--bwlimit=8000"}} {
		clients = append(clients, s.client("daemon-push", i, more...), s.client("daemon-pull", 10+i, more...))
	}
	compared := 0
	for n := range 400 {
		for _, x := range p.ours() {
			if x.Control == watchdog.ControlNone && x.Socket.Inode != 0 {
				t.Fatalf("let go: %+v", x)
			}
			for _, id := range x.Procs {
				switch n % 100 {
				case 40:
					syscall.Kill(id.PID, syscall.SIGSTOP)
				case 80:
					syscall.Kill(id.PID, syscall.SIGCONT)
				}
			}
		}
		p.mu.Lock()
		for _, x := range p.transfers {
			if x.bytes.procs != nil && x.ownSocket {
				compared++
			}
		}
		p.mu.Unlock()
		time.Sleep(10 * time.Millisecond)
	}
	for _, c := range clients {
		end(c)
	}
	if compared == 0 {
		t.Error("nothing was compared: nothing is tested")
	}
}

// Where nothing else tells which of several connections is the transfer's, its bytes do:
// of a daemon's child whose daemon has ended, at a port that only its configuration names.
func TestConnectionIsFoundByItsBytes(t *testing.T) {
	s := newSite(t)
	f, inode, _ := strange(t)
	conf, err := os.ReadFile(s.Path("rsyncd.conf"))
	if err != nil {
		t.Fatal(err)
	}
	s.Write("other.conf", "port = 8875\n"+string(conf))
	daemon := s.startWith(f, "rsync", "--daemon", "--no-detach", "--config="+s.Path("other.conf"))
	f.Close()
	s.await("daemon", func() bool { return answers("127.0.0.1:8875") })
	s.start("rsync", "-a", "--bwlimit=2000", "rsync://127.0.0.1:8875/src/", s.Path("local"))
	s.await("data", func() bool {
		parts, _ := filepath.Glob(s.Path("local/.*"))
		return len(parts) > 0
	})
	daemon.Process.Kill()
	daemon.Wait()
	p := s.probe(Options{})
	s.await("transfer", func() bool {
		for _, x := range p.ours() {
			if x.Socket.Inode == inode {
				t.Fatalf("somebody else's connection: %+v", x)
			}
			if x.Via == watchdog.ViaDaemon && x.Socket.Local.Port() == 8875 && x.Control == watchdog.ControlFull {
				return true
			}
		}
		return false
	})
}
