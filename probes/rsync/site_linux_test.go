package rsync

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"lifeline/watchdog"
)

// insideNetns marks the copy of the test that runs in a network namespace of
// its own.
const insideNetns = "LIFELINE_RSYNC_TEST_NETNS"

// TestMain runs the tests in a new network namespace when it may: what they
// start there disturbs nobody, and nobody's transfers disturb them.
func TestMain(m *testing.M) {
	if where := os.Getenv(posing); where != "" {
		pose(where)
	}
	if os.Getenv(insideNetns) != "" || os.Geteuid() != 0 {
		goleak.VerifyTestMain(m)
		return
	}
	runtime.LockOSThread() // Pdeathsig is sent when the thread ends
	inside := exec.Command("/proc/self/exe", os.Args[1:]...)
	inside.Env = append(os.Environ(), insideNetns+"=1")
	inside.Stdin, inside.Stdout, inside.Stderr = os.Stdin, os.Stdout, os.Stderr
	inside.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET, Pdeathsig: unix.SIGKILL}
	err := inside.Run()
	var failed *exec.ExitError
	switch {
	case errors.As(err, &failed):
		os.Exit(failed.ExitCode())
	case err != nil:
		os.Exit(m.Run())
	}
}

// site is an rsync daemon and an sshd on the loopback link, with something to
// transfer.
type site struct {
	t    testing.TB
	dir  string
	ssh  string // the remote shell, with its options
	sshd string // its port
}

const (
	daemonAddr = "127.0.0.1:8873"
	sshPort    = "2222"
	bigFile    = 32 << 20
)

// newSite starts the servers, or skips the test where that cannot be.
func newSite(t testing.TB) *site {
	t.Helper()
	if os.Getenv(insideNetns) == "" {
		t.Skip("needs root and a network namespace of its own")
	}
	for _, tool := range []string{"rsync", "ssh", "ssh-keygen", "/usr/sbin/sshd"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("needs %s: %v", tool, err)
		}
	}
	loopbackUp(t)
	s := &site{t: t, dir: t.TempDir(), sshd: sshPort}
	s.prepare()
	s.start("rsync", "--daemon", "--no-detach", "--config="+s.Path("rsyncd.conf"), "--port=8873")
	s.start("/usr/sbin/sshd", "-D", "-e", "-f", s.Path("sshd_config"))
	s.await("servers", func() bool { return answers(daemonAddr) && answers("127.0.0.1:"+sshPort) })
	return s
}

// loopbackUp brings up the loopback link of the test's own namespace.
func loopbackUp(t testing.TB) {
	t.Helper()
	if os.Getenv(insideNetns) == "" {
		return
	}
	lo, err := netlink.LinkByName("lo")
	if err == nil {
		err = netlink.LinkSetUp(lo)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func answers(addr string) bool {
	c, err := net.Dial("tcp", addr)
	if err == nil {
		c.Close()
	}
	return err == nil
}

func (s *site) Path(name string) string { return filepath.Join(s.dir, name) }

// prepare writes keys, configurations and data.
func (s *site) prepare() {
	s.t.Helper()
	for _, dir := range []string{"src", "dst", "local", "/run/sshd"} {
		if !filepath.IsAbs(dir) {
			dir = s.Path(dir)
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			s.t.Fatal(err)
		}
	}
	for _, key := range []string{"id", "host_key"} {
		s.Run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", s.Path(key))
	}
	s.Write("src/big", strings.Repeat("0123456789abcde\n", bigFile/16))
	s.Write("rsyncd.conf", fmt.Sprintf(
		"use chroot = no\nlog file = %[1]s/rsyncd.log\nuid = root\ngid = root\ntimeout = 3\n"+
			"[src]\npath = %[1]s/src\n[both]\npath = %[1]s/local\nread only = no\n[dst]\npath = %[1]s/dst\nread only = no\ntimeout = 60\n", s.dir))
	s.Write("sshd_config", fmt.Sprintf(
		"Port %[2]s\nListenAddress 127.0.0.1\nHostKey %[1]s/host_key\nAuthorizedKeysFile %[1]s/id.pub\n"+
			"StrictModes no\nUsePAM no\nPermitRootLogin yes\nPidFile none\nMaxStartups 100\n", s.dir, s.sshd))
	s.ssh = fmt.Sprintf("ssh -p %s -i %s -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR -o BatchMode=yes",
		s.sshd, s.Path("id"))
}

func (s *site) Write(name, text string) {
	s.t.Helper()
	if err := os.WriteFile(s.Path(name), []byte(text), 0o644); err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) Run(argv ...string) {
	s.t.Helper()
	if out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil {
		s.t.Fatalf("%v: %v: %s", argv, err, out)
	}
}

// start starts a command that ends with the test.
func (s *site) start(argv ...string) *exec.Cmd {
	s.t.Helper()
	c := exec.Command(argv[0], argv[1:]...)
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	log, err := os.Create(s.Path(filepath.Base(argv[0]) + ".out"))
	if err != nil {
		s.t.Fatal(err)
	}
	defer log.Close()
	c.Stdout, c.Stderr = log, log
	if err := c.Start(); err != nil {
		s.t.Fatalf("%v: %v", argv, err)
	}
	s.t.Cleanup(func() { end(c) })
	return c
}

// end ends a command and what is left of its session.
func end(c *exec.Cmd) {
	if c.ProcessState != nil {
		return
	}
	_ = unix.Kill(-c.Process.Pid, unix.SIGCONT)
	_ = unix.Kill(-c.Process.Pid, unix.SIGKILL)
	_ = c.Wait()
}

// kinds of transfers, by what the client is told.
var kinds = []string{"daemon-push", "daemon-pull", "ssh-push", "ssh-pull"}

// client starts one, slow enough to be looked at. n tells several apart.
func (s *site) client(kind string, n int, more ...string) *exec.Cmd {
	s.t.Helper()
	argv := append([]string{"rsync", "-a", "--bwlimit=2000"}, more...)
	src, dst := s.Path("src")+"/", fmt.Sprintf("%s/%d/", s.Path("dst"), n)
	switch kind {
	case "daemon-push":
		argv = append(argv, src, fmt.Sprintf("rsync://%s/dst/%d/", daemonAddr, n))
	case "daemon-pull":
		argv = append(argv, "rsync://"+daemonAddr+"/src/", dst)
	case "daemon-pull-both": // from a module that may be written to
		argv = append(argv, "rsync://"+daemonAddr+"/both/", dst)
	case "ssh-push":
		argv = append(argv, "-e", s.ssh, src, "root@127.0.0.1:"+dst)
	case "ssh-pull":
		argv = append(argv, "-e", s.ssh, "root@127.0.0.1:"+src, dst)
	}
	return s.start(argv...)
}

// await waits for a condition, for as long as a busy machine may need.
func (s *site) await(what string, met func() bool) {
	s.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !met(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			s.t.Fatalf("waited in vain: %s\n%s", what, s.outputs())
		}
	}
}

// outputs is what the commands have said so far.
func (s *site) outputs() string {
	var all strings.Builder
	names, _ := filepath.Glob(s.Path("*.out"))
	for _, name := range append(names, s.Path("rsyncd.log")) {
		text, _ := os.ReadFile(name)
		fmt.Fprintf(&all, "%s: %s\n", filepath.Base(name), text)
	}
	return all.String()
}

// probe runs a Probe until the test ends.
func (s *site) probe(opts Options) *running {
	s.t.Helper()
	opts.Log = slog.New(slog.DiscardHandler)
	p, err := New(opts)
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	s.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			s.t.Errorf("probe: %v", err)
		}
	})
	r := &running{Probe: p, t: s.t, began: time.Now()}
	s.await("the first look at all processes", func() bool { return !p.discovery.Alive().IsZero() })
	if !opts.NoConnector && !p.Capability().Available {
		s.t.Skipf("proc connector: %s", p.Capability().Why)
	}
	return r
}

// running is a probe at work.
type running struct {
	*Probe
	t     testing.TB
	began time.Time
}

// ours samples the transfers of this namespace.
func (r *running) ours() []watchdog.Transfer {
	r.t.Helper()
	transfers, _, failures := r.Sample(time.Since(r.began), false)
	if len(failures) > 0 {
		r.t.Errorf("probe errors: %v", failures)
	}
	return slices.DeleteFunc(slices.Clone(transfers), func(t watchdog.Transfer) bool { return t.Foreign })
}

// by gives the one transfer of a kind, if there is exactly one.
func (r *running) by(via watchdog.Via) (watchdog.Transfer, bool) {
	r.t.Helper()
	all := slices.DeleteFunc(r.ours(), func(t watchdog.Transfer) bool { return t.Via != via })
	if len(all) != 1 {
		return watchdog.Transfer{}, false
	}
	return all[0], true
}

// dialIdle connects and says nothing.
func dialIdle(t *testing.T, addr string) (hangUp func()) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	return func() { c.Close() }
}
