package remediate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"lifeline/watchdog"
)

// trialMSS keeps the floor of the trial's loopback connection as low as that
// of an Ethernet.
const trialMSS = 1400

// trialSocket is the descriptor of the connection in the trial's child.
const trialSocket = 3

// trial is a TCP connection over loopback to a child of ours that reads all it
// is sent: what is tried on it harms nobody.
type trial struct {
	handles *Handles
	conn    *net.TCPConn // our end, the sender
	child   *exec.Cmd
	proc    watchdog.ProcID
	socket  watchdog.Socket // the child's end, the receiver
}

// RunTrialChild is the child's program: it reads its connection to the end.
func RunTrialChild() error {
	f := os.NewFile(trialSocket, "trial connection")
	if f == nil {
		return errors.New("trial: no connection was handed over")
	}
	defer f.Close()
	buf := make([]byte, 1<<20)
	for {
		switch _, err := f.Read(buf); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("trial: %w", err)
		}
	}
}

// startTrial starts the child, whose program is argv.
func startTrial(ctx context.Context, argv []string) (*trial, error) {
	near, far, err := trialPair(ctx)
	if err != nil {
		return nil, err
	}
	defer far.Close()
	t := &trial{handles: &Handles{}, conn: near}
	if err := t.start(argv, far); err != nil {
		t.close()
		return nil, fmt.Errorf("start trial: %w", err)
	}
	return t, nil
}

func (t *trial) start(argv []string, far *net.TCPConn) error {
	f, err := far.File()
	if err != nil {
		return err
	}
	defer f.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return err
	}
	t.child = exec.Command(argv[0], argv[1:]...)
	t.child.Env = append(os.Environ(), "GOMAXPROCS=1")
	t.child.ExtraFiles = []*os.File{f}
	t.child.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := startUnhurried(t.child); err != nil {
		t.child = nil
		return err
	}
	s, err := readStat(t.child.Process.Pid)
	if err != nil {
		return err
	}
	t.proc = watchdog.ProcID{PID: t.child.Process.Pid, Start: s.start}
	t.socket = watchdog.Socket{Inode: st.Ino, Refs: []watchdog.FDRef{{Proc: t.proc, FD: trialSocket}}}
	return nil
}

// close ends the child: at the end of its connection, or by force.
func (t *trial) close() {
	t.conn.Close()
	if t.child != nil {
		t.child.Process.Kill()
		t.child.Wait()
	}
	t.handles.Close()
}

// trialPair connects two sockets over loopback. Where this host's is down or
// firewalled, which says nothing of what is to be tried, it is one of its own.
func trialPair(ctx context.Context) (near, far *net.TCPConn, err error) {
	near, far, err = loopbackPair(ctx)
	if err == nil {
		return near, far, nil
	}
	own := inNewNetns(func() (err error) {
		lo := &netlink.GenericLink{LinkAttrs: netlink.LinkAttrs{Name: "lo"}}
		if err := netlink.LinkSetUp(lo); err != nil {
			return fmt.Errorf("loopback of its own: %w", err)
		}
		near, far, err = loopbackPair(ctx)
		return err
	})
	if own != nil {
		return nil, nil, errors.Join(err, own)
	}
	return near, far, nil
}

// loopbackPair connects two sockets over 127.0.0.1, or ::1 without IPv4.
func loopbackPair(ctx context.Context) (near, far *net.TCPConn, err error) {
	small := func(_, _ string, c syscall.RawConn) error {
		var err error
		ctl := c.Control(func(fd uintptr) {
			err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_MAXSEG, trialMSS)
		})
		return errors.Join(ctl, err)
	}
	lc := net.ListenConfig{Control: small}
	lc.SetMultipathTCP(false)
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		l, err = lc.Listen(ctx, "tcp", "[::1]:0")
	}
	if err != nil {
		return nil, nil, fmt.Errorf("loopback connection: %w", err)
	}
	defer l.Close()
	d := net.Dialer{Control: small, Timeout: 2 * time.Second}
	d.SetMultipathTCP(false)
	c, err := d.DialContext(ctx, "tcp", l.Addr().String())
	if err != nil {
		return nil, nil, fmt.Errorf("loopback connection: %w", err)
	}
	for { // somebody else may have dialled our port
		a, err := l.Accept()
		if err != nil {
			c.Close()
			return nil, nil, fmt.Errorf("loopback connection: %w", err)
		}
		if a.RemoteAddr().String() == c.LocalAddr().String() {
			return c.(*net.TCPConn), a.(*net.TCPConn), nil
		}
		a.Close()
	}
}

// push sends n bytes, or as many as the receiver takes within d.
func (t *trial) push(n int, d time.Duration) (int, error) {
	t.conn.SetWriteDeadline(time.Now().Add(d))
	buf := make([]byte, 64<<10)
	sent := 0
	for sent < n {
		m, err := t.conn.Write(buf[:min(len(buf), n-sent)])
		sent += m
		if err != nil {
			return sent, err
		}
	}
	return sent, nil
}

// offered is the window that the receiver offers us, in bytes.
func (t *trial) offered() (int64, error) {
	raw, err := t.conn.SyscallConn()
	if err != nil {
		return 0, err
	}
	var info *unix.TCPInfo
	var err2 error
	err = raw.Control(func(fd uintptr) {
		info, err2 = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
	})
	if err := errors.Join(err, err2); err != nil {
		return 0, fmt.Errorf("get TCP_INFO: %w", err)
	}
	return int64(info.Snd_wnd), nil
}

// flow sends until the offered window satisfies want, for at most d. It
// returns the last window seen.
func (t *trial) flow(d time.Duration, want func(int64) bool) (int64, error) {
	for end := time.Now().Add(d); ; {
		if _, err := t.push(256<<10, d); err != nil {
			return 0, fmt.Errorf("data stopped flowing: %w", err)
		}
		w, err := t.offered()
		if err != nil || want(w) || time.Now().After(end) {
			return w, err
		}
	}
}
