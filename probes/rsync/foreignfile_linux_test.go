package rsync

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lifeline/probes/rsync/rsyncd"
	"lifeline/watchdog"
)

// posing marks the copy of the test binary that only looks like an rsync daemon's
// child; its value is where it connects to, and the directory that it goes to.
const posing = "LIFELINE_RSYNC_TEST_POSING"

// pose holds a connection in a directory as a module's, until its input ends.
func pose(where string) {
	addr, dir, _ := strings.Cut(where, " ")
	c, err := net.Dial("tcp", addr)
	if err == nil {
		err = os.Chdir(dir)
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("ready")
	_, _ = io.Copy(c, os.Stdin)
	os.Exit(0)
}

// nobody is the user and group of one without privileges.
const nobody = 65534

// poser starts a process named rsync with a daemon's command line that names a
// configuration, below a root directory, and gives its pid.
func (s *site) poser(root, dir, config string) int {
	s.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { l.Close() })
	if _, err := os.Stat(filepath.Join(root, s.Path("rsync"))); err != nil {
		s.implant(root)
	}
	c := exec.Command(s.Path("rsync"))
	c.Args = []string{"rsync", "--daemon", "--config=" + config}
	c.Env = []string{posing + "=" + l.Addr().String() + " " + dir}
	c.SysProcAttr = &syscall.SysProcAttr{
		Credential: &syscall.Credential{Uid: nobody, Gid: nobody}, Chroot: root, Setsid: true,
	}
	c.Dir = "/"
	in, err := c.StdinPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { in.Close(); _ = c.Wait() })
	said := make([]byte, len("ready"))
	if _, err := io.ReadFull(out, said); err != nil || string(said) != "ready" {
		rest, _ := io.ReadAll(out)
		s.t.Fatalf("the poser: %v: %s%s", err, said, rest)
	}
	return c.Process.Pid
}

// implant puts this binary under the name of rsync below a root directory, with the
// libraries that it needs there.
func (s *site) implant(root string) {
	s.t.Helper()
	self, err := os.Executable()
	if err != nil {
		s.t.Fatal(err)
	}
	s.Run("install", "-D", "-m", "755", self, filepath.Join(root, s.Path("rsync")))
	if root == "/" {
		return
	}
	libraries, _ := exec.Command("ldd", self).Output() // fails where it is a static one
	for _, word := range strings.Fields(string(libraries)) {
		if filepath.IsAbs(word) {
			s.Run("install", "-D", "-m", "755", word, filepath.Join(root, word))
		}
	}
}

// opens counts how often files are opened from now on, by this process alone: whoever
// else watches over this machine may look at the posers, too.
func opens(t *testing.T, paths ...string) func() map[string]int {
	t.Helper()
	watched := map[string]int{}
	for _, p := range paths {
		in, err := unix.FanotifyInit(unix.FAN_CLASS_NOTIF|unix.FAN_REPORT_FID|unix.FAN_CLOEXEC|unix.FAN_NONBLOCK, 0)
		if err == nil {
			t.Cleanup(func() { unix.Close(in) })
			err = unix.FanotifyMark(in, unix.FAN_MARK_ADD|unix.FAN_MARK_DONT_FOLLOW, unix.FAN_OPEN, unix.AT_FDCWD, p)
		}
		if err != nil {
			t.Skipf("no fanotify(7) of %s: %v", p, err)
		}
		watched[p] = in
	}
	counts := map[string]int{}
	return func() map[string]int {
		buf := make([]byte, 64<<10)
		for p, in := range watched {
			n, _ := unix.Read(in, buf)
			for n > 0 {
				for b := buf[:n]; len(b) > 0; b = b[binary.NativeEndian.Uint32(b):] { // fanotify_event_metadata
					if int(binary.NativeEndian.Uint32(b[20:])) == os.Getpid() {
						counts[p]++
					}
				}
				n, _ = unix.Read(in, buf)
			}
		}
		return counts
	}
}

// What a user's process names as its configuration is not opened unless its own
// user could read it.
func TestUsersConfigIsNotOpened(t *testing.T) {
	s := newSite(t)
	s.Run("chmod", "755", s.dir, filepath.Dir(s.dir))
	s.Run("mkdir", "-m", "700", s.Path("private"))
	s.Run("mkdir", "-m", "777", s.Path("open"))
	s.Write("secret", "[a]\npath = /\n")
	s.Write("private/readable", "[a]\npath = /\n")
	s.Write("mine", "[mine]\npath = "+s.dir+"\n")
	s.Run("chmod", "600", s.Path("secret"), s.Path("mine"))
	s.Run("chown", "65534:65534", s.Path("mine"))
	s.Run("truncate", "-s", "32M", s.Path("huge"))
	for name, make := range map[string]func(string) error{
		"fifo":        func(p string) error { return unix.Mkfifo(p, 0o666) },
		"device":      func(p string) error { return unix.Mknod(p, unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))) },
		"watched":     func(p string) error { return unix.Mkfifo(p, 0o600) },
		"rootfifo":    func(p string) error { return unix.Mkfifo(p, 0o600) },
		"open/link":   func(p string) error { return os.Symlink(s.Path("secret"), p) },
		"open/device": func(p string) error { return os.Symlink(s.Path("device"), p) },
	} {
		if err := make(s.Path(name)); err != nil {
			t.Fatal(err)
		}
	}
	s.Run("chmod", "666", s.Path("fifo"), s.Path("device"))
	s.Write("includer", "&include "+s.Path("fifo")+"\n&merge "+s.Path("secret")+"\n")
	refused := []string{"secret", "private/readable", "huge", "fifo", "rootfifo", "device"}
	var paths []string
	for _, name := range refused {
		paths = append(paths, s.Path(name))
	}
	// A read that is allowed shows that this one looks where the daemon reads.
	count := opens(t, append(paths, s.Path("mine"), s.Path("watched"))...)
	if f, err := os.OpenFile(s.Path("watched"), os.O_RDONLY|unix.O_NONBLOCK, 0); err != nil || count()[s.Path("watched")] != 1 {
		t.Fatalf("a pipe that is opened is not noticed: %v", err)
	} else {
		f.Close()
	}
	p := s.probe(Options{})
	names := append([]string{"open/link", "open/device", "includer"}, refused...)
	pids := map[int]string{}
	for _, name := range names {
		pids[s.poser("/", s.dir, s.Path(name))] = name
	}
	own := s.poser("/", s.dir, s.Path("mine"))
	s.await("all of them, and the module of the one that may be read", func() bool {
		seen, named := 0, false
		for _, f := range p.ours() {
			if f.Via == watchdog.ViaDaemon {
				seen++
			}
			if f.Procs[0].PID == own {
				named = f.Module == "mine"
			} else if f.Module != "" {
				t.Errorf("%s gave the module %q", pids[f.Procs[0].PID], f.Module)
			}
		}
		count()
		return named && seen == len(names)+1
	})
	// For whatever is tried again. Openings that nobody has heard of yet are one.
	for until := time.Now().Add(3 * rsyncd.RecheckAfter); time.Now().Before(until); time.Sleep(rsyncd.RecheckAfter / 10) {
		count()
	}
	for path, n := range count() {
		if path == s.Path("watched") {
			continue
		}
		if path != s.Path("mine") {
			t.Errorf("%s was opened %d times", path, n)
		} else if n != 1 {
			t.Errorf("%s was opened %d times and did not change", path, n)
		}
	}
}

// A process in another root directory names files below that one.
func TestConfigOfAnotherRoot(t *testing.T) {
	s := newSite(t)
	s.Run("chmod", "755", s.dir, filepath.Dir(s.dir))
	jail := s.Path("jail")
	s.Run("mkdir", "-p", filepath.Join(jail, "srv"))
	s.Write("outside", "[outside]\npath = /\n")
	count := opens(t, s.Path("outside"))
	p := s.probe(Options{})
	s.poser(jail, "/srv", s.Path("outside"))
	s.await("it", func() bool { _, ok := p.by(watchdog.ViaDaemon); return ok })
	time.Sleep(2 * rsyncd.RecheckAfter)
	if n := count()[s.Path("outside")]; n > 0 {
		t.Errorf("a file of the host was opened %d times for a process in another root directory", n)
	}
	if f, _ := p.by(watchdog.ViaDaemon); f.Module != "" {
		t.Errorf("got the module %q", f.Module)
	}
}

// A daemon of root serves as nobody, from inside the module, by a configuration that
// only root may read and that a link leads to.
func TestConfigThatOnlyRootReads(t *testing.T) {
	s := newSite(t)
	s.Run("chmod", "755", s.dir, filepath.Dir(s.dir))
	s.Run("chmod", "777", s.Path("dst"))
	s.Write("private.conf", fmt.Sprintf("use chroot = yes\nuid = nobody\n[jail]\npath = %s\nread only = no\n", s.Path("dst")))
	s.Run("chmod", "600", s.Path("private.conf"))
	s.Run("ln", "-s", "private.conf", s.Path("linked.conf"))
	p := s.probe(Options{})
	s.start("rsync", "--daemon", "--no-detach", "--config="+s.Path("linked.conf"), "--port=8876")
	s.await("daemon", func() bool { return answers("127.0.0.1:8876") })
	s.start("rsync", "-a", "--bwlimit=2000", s.Path("src")+"/", "rsync://127.0.0.1:8876/jail/")
	s.await("transfer", func() bool {
		f, ok := p.by(watchdog.ViaDaemon)
		return ok && f.Direction == watchdog.Rx && f.Module == "jail"
	})
}

// Being root in a user namespace of one's own gives no right to the host's files.
func TestConfigOfAnotherUserNamespace(t *testing.T) {
	s := newSite(t)
	s.Run("chmod", "755", s.dir, filepath.Dir(s.dir))
	s.Write("secret", "[a]\npath = /\n")
	s.Run("chmod", "600", s.Path("secret"))
	s.implant("/")
	count := opens(t, s.Path("secret"))
	p := s.probe(Options{})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c := exec.Command("unshare", "--user", "--map-root-user", "--mount", "bash", "-c",
		fmt.Sprintf("exec -a rsync %s --daemon --config=%s", s.Path("rsync"), s.Path("secret")))
	c.Env = append(os.Environ(), posing+"="+l.Addr().String()+" "+s.dir)
	c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}, Setsid: true}
	said, err := os.Create(s.Path("unshare.out"))
	if err != nil {
		t.Fatal(err)
	}
	defer said.Close()
	c.Stdout, c.Stderr = said, said
	in, err := c.StdinPipe()
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	defer end(c)
	defer in.Close()
	s.await("it", func() bool { _, ok := p.by(watchdog.ViaDaemon); return ok })
	time.Sleep(2 * rsyncd.RecheckAfter)
	if n := count()[s.Path("secret")]; n > 0 {
		t.Errorf("was opened %d times", n)
	}
}
