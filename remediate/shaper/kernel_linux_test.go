package shaper

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"lifeline/remediate/process"
	"lifeline/remediate/sockopt"
	"lifeline/watchdog"
	"lifeline/watchdog/ledger"
)

// testNS is a network namespace without a name: it ends with its test.
type testNS struct {
	t    testing.TB
	ns   netns.NsHandle
	link int // of eth0
}

func newTestNS(t testing.TB) *testNS {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("network namespaces need root")
	}
	n := &testNS{t: t}
	made := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends here
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			n.ns, err = netns.Get()
		}
		made <- err
	}()
	if err := <-made; err != nil {
		t.Skipf("no network namespace: %v", err)
	}
	t.Cleanup(func() { n.ns.Close() })
	return n
}

// do runs f on a thread in the namespace.
func (n *testNS) do(f func() error) {
	n.t.Helper()
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		err := netns.Set(n.ns)
		if err == nil {
			err = f()
		}
		done <- err
	}()
	if err := <-done; err != nil {
		n.t.Fatal(err)
	}
}

// run runs tc(8) or ip(8) in the namespace.
func (n *testNS) run(argv ...string) string {
	n.t.Helper()
	path, err := exec.LookPath(argv[0])
	if err != nil {
		n.t.Skip(err)
	}
	var out bytes.Buffer
	n.do(func() error {
		ctx, cancel := context.WithTimeout(n.t.Context(), 20*time.Second)
		defer cancel()
		c := exec.CommandContext(ctx, path, argv[1:]...)
		c.Stdout, c.Stderr = &out, &out
		if err := c.Run(); err != nil {
			return fmt.Errorf("%s: %w: %s", strings.Join(argv, " "), err, out.Bytes())
		}
		return nil
	})
	return out.String()
}

// shown is all traffic control of eth0 as tc(8) prints it.
func (n *testNS) shown() string {
	n.t.Helper()
	s := n.run("tc", "qdisc", "show", "dev", "eth0") + n.run("tc", "class", "show", "dev", "eth0")
	s += n.run("tc", "filter", "show", "dev", "eth0") + n.filtersShown("ingress") + n.filtersShown("egress")
	s += n.run("ip", "-o", "link", "show", "type", "ifb")
	return directPackets.ReplaceAllString(s, "")
}

// directPackets is a counter that HTB shows among its parameters.
var directPackets = regexp.MustCompile(` direct_packets_stat \d+`)

// filtersShown is empty where the hook is not there.
func (n *testNS) filtersShown(hook string) (s string) {
	n.do(func() error {
		out, _ := exec.Command("tc", "filter", "show", "dev", "eth0", hook).CombinedOutput()
		s = string(out)
		return nil
	})
	return s
}

// newPair makes two namespaces whose eth0 are the ends of one veth, with
// 10.0.0.1 and 10.0.0.2, fd00::1 and fd00::2.
func newPair(t testing.TB) (srv, cli *testNS) {
	t.Helper()
	srv, cli = newTestNS(t), newTestNS(t)
	srv.do(func() error {
		return netlink.LinkAdd(&netlink.Veth{
			LinkAttrs: netlink.LinkAttrs{Name: "eth0", TxQLen: 1000},
			PeerName:  "eth0", PeerNamespace: netlink.NsFd(int(cli.ns)),
		})
	})
	for i, n := range []*testNS{srv, cli} {
		n.do(func() error {
			l, err := netlink.LinkByName("eth0")
			if err != nil {
				return err
			}
			n.link = l.Attrs().Index
			for _, a := range []string{fmt.Sprintf("10.0.0.%d/24", i+1), fmt.Sprintf("fd00::%d/64", i+1)} {
				addr, err := netlink.ParseAddr(a)
				if err != nil {
					return err
				}
				addr.Flags = unix.IFA_F_NODAD
				if err := netlink.AddrAdd(l, addr); err != nil && addr.IP.To4() != nil {
					return err
				}
			}
			return netlink.LinkSetUp(l)
		})
	}
	return srv, cli
}

// testLedger is a real ledger in a directory of the test's own.
func testLedger(t testing.TB) *ledger.Ledger {
	t.Helper()
	l, _, err := ledger.Open(t.TempDir(), ledger.Identity{Boot: "test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// newTestShaper makes a shaper in a namespace.
func newTestShaper(t testing.TB, n *testNS, l *ledger.Ledger) *HTB {
	t.Helper()
	var s *HTB
	n.do(func() (err error) {
		var caps []watchdog.Capability
		s, caps, err = New(l, Options{})
		for _, c := range caps {
			if !c.Available {
				t.Skipf("%s: %s", c.Name, c.Why)
			}
		}
		return err
	})
	return s
}

type (
	rates   = map[watchdog.ShaperKey]float64
	members = map[watchdog.ShaperKey][]watchdog.Transfer
)

func (n *testNS) key(d watchdog.Direction) watchdog.ShaperKey {
	return watchdog.ShaperKey{Link: n.link, Direction: d}
}

// apply wants no failures.
func apply(t testing.TB, s *HTB, r rates, m members) {
	t.Helper()
	in, fails := s.Apply(r, m, nil)
	if len(fails) > 0 {
		t.Fatalf("failures: %v", fails)
	}
	if len(in) != len(r) {
		t.Fatalf("in place: %v, want %v", in, r)
	}
}

// undoAll undoes what a ledger lists, in the namespace, with nothing but the entries:
// shapers first, then priorities.
func (n *testNS) undoAll(l *ledger.Ledger) error {
	var errs []error
	n.do(func() error {
		for _, priorities := range []bool{false, true} {
			for _, e := range slices.Backward(l.Live()) {
				if (e.Kind == ledger.Priority) == priorities {
					errs = append(errs, undoEntry(l, e))
				}
			}
		}
		return nil
	})
	return errors.Join(errs...)
}

func undoEntry(l *ledger.Ledger, e ledger.Entry) error {
	var err error
	if e.Kind == ledger.Priority {
		err = sockopt.VisitOnce(e.Socket, func(fd int) error { return sockopt.RestorePriority(fd, e) })
	} else {
		err = Remove(e)
	}
	if err != nil && !errors.Is(err, process.ErrGone) {
		return err
	}
	return l.Done(e.Key())
}

// stream is a TCP connection of this process whose sender never tires.
type stream struct {
	near, far *net.TCPConn // near is in srv
}

// connect opens a connection from cli to srv and lets one end send for ever.
func connect(t testing.TB, srv, cli *testNS, host string, send watchdog.Direction) *stream {
	t.Helper()
	var ln net.Listener
	srv.do(func() (err error) {
		ln, err = net.Listen("tcp", net.JoinHostPort(host, "0"))
		return err
	})
	defer ln.Close()
	s := &stream{}
	cli.do(func() error {
		c, err := net.DialTimeout("tcp", ln.Addr().String(), 5*time.Second)
		if err == nil {
			s.far = c.(*net.TCPConn)
		}
		return err
	})
	c, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	s.near = c.(*net.TCPConn)
	from, to := s.near, s.far
	if send == watchdog.Rx {
		from, to = s.far, s.near
	}
	go io.Copy(from, endless{})
	go io.Copy(io.Discard, to)
	t.Cleanup(func() { s.near.Close(); s.far.Close() })
	return s
}

// endless reads as zeros for ever.
type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

// transfer describes the near end of s as a transfer of this process.
func (s *stream) transfer(t testing.TB, d watchdog.Direction) watchdog.Transfer {
	t.Helper()
	self, err := process.ReadStat(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	var fd int
	var st unix.Stat_t
	s.control(t, func(n int) error { fd = n; return unix.Fstat(n, &st) })
	addr := func(a net.Addr) netip.AddrPort { return netip.MustParseAddrPort(a.String()) }
	return watchdog.Transfer{
		ID: watchdog.TransferID(fmt.Sprintf("t%d", st.Ino)), Direction: d, Control: watchdog.ControlFull,
		Socket: watchdog.Socket{
			Inode: st.Ino, Local: addr(s.near.LocalAddr()), Remote: addr(s.near.RemoteAddr()),
			Refs: []watchdog.FDRef{{Proc: watchdog.ProcID{PID: os.Getpid(), Start: self.Start}, FD: fd}},
		},
	}
}

func (s *stream) control(t testing.TB, f func(fd int) error) {
	t.Helper()
	raw, err := s.near.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	err2 := raw.Control(func(fd uintptr) { err = f(int(fd)) })
	if err := errors.Join(err, err2); err != nil {
		t.Fatal(err)
	}
}

func (s *stream) priority(t *testing.T) (v int) {
	s.control(t, func(fd int) (err error) { v, err = sockopt.Priority(fd); return err })
	return v
}

// moved is how many bytes of payload passed the near end.
func (s *stream) moved(t testing.TB, d watchdog.Direction) (n uint64) {
	t.Helper()
	s.control(t, func(fd int) error {
		c, err := sockopt.Inspect(fd)
		if n = c.Received; d == watchdog.Tx {
			n = c.Acked
		}
		return err
	})
	return n
}

// findLink notes the index of eth0.
func (n *testNS) findLink() {
	n.t.Helper()
	n.do(func() error {
		l, err := netlink.LinkByName("eth0")
		if err == nil {
			n.link = l.Attrs().Index
		}
		return err
	})
}

func addrPort(host string, port uint16) netip.AddrPort {
	return netip.AddrPortFrom(netip.MustParseAddr(host), port)
}
