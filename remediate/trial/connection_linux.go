package trial

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

	"lifeline/remediate/process"
	"lifeline/watchdog"
)

// trialMSS keeps the floor of the trial's loopback connection as low as that
// of an Ethernet.
const trialMSS = 1400

// ChildSocket is the descriptor of the connection in the trial's child.
const ChildSocket = 3

// Connection is a TCP connection over loopback to a child of ours that reads all it
// is sent: what is tried on it harms nobody.
type Connection struct {
	Handles *process.Handles
	conn    *net.TCPConn // our end, the sender
	Child   *exec.Cmd
	Proc    watchdog.ProcID
	Socket  watchdog.Socket // the child's end, the receiver
}

// RunChild is the child's program: it reads its connection to the end.
func RunChild() error {
	f := os.NewFile(ChildSocket, "trial connection")
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

// Start starts the child, whose program is argv.
func Start(ctx context.Context, argv []string) (*Connection, error) {
	near, far, err := trialPair(ctx)
	if err != nil {
		return nil, err
	}
	defer far.Close()
	t := &Connection{Handles: &process.Handles{}, conn: near}
	if err := t.start(argv, far); err != nil {
		t.Close()
		return nil, fmt.Errorf("start trial: %w", err)
	}
	return t, nil
}

func (t *Connection) start(argv []string, far *net.TCPConn) error {
	f, err := far.File()
	if err != nil {
		return err
	}
	defer f.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return err
	}
	t.Child = exec.Command(argv[0], argv[1:]...)
	t.Child.Env = append(os.Environ(), "GOMAXPROCS=1")
	t.Child.ExtraFiles = []*os.File{f}
	t.Child.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := process.StartAtDefaultPriority(t.Child); err != nil {
		t.Child = nil
		return err
	}
	s, err := process.ReadStat(t.Child.Process.Pid)
	if err != nil {
		return err
	}
	t.Proc = watchdog.ProcID{PID: t.Child.Process.Pid, Start: s.Start}
	t.Socket = watchdog.Socket{Inode: st.Ino, Refs: []watchdog.FDRef{{Proc: t.Proc, FD: ChildSocket}}}
	return nil
}

// Close ends the child: at the end of its connection, or by force.
func (t *Connection) Close() {
	t.conn.Close()
	if t.Child != nil {
		t.Child.Process.Kill()
		t.Child.Wait()
	}
	t.Handles.Close()
}

// trialPair connects two sockets over loopback. Where this host's is down or
// firewalled, which says nothing of what is to be tried, it is one of its own.
func trialPair(ctx context.Context) (near, far *net.TCPConn, err error) {
	near, far, err = loopbackPair(ctx)
	if err == nil {
		return near, far, nil
	}
	own := process.InNewNetns(func() (err error) {
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

// Push sends n bytes, or as many as the receiver takes within d.
func (t *Connection) Push(n int, d time.Duration) (int, error) {
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

// OfferedWindow is the window that the receiver offers us, in bytes.
func (t *Connection) OfferedWindow() (int64, error) {
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

// Flow sends until the offered window satisfies want, for at most d. It
// returns the last window seen.
func (t *Connection) Flow(d time.Duration, want func(int64) bool) (int64, error) {
	for end := time.Now().Add(d); ; {
		if _, err := t.Push(256<<10, d); err != nil {
			return 0, fmt.Errorf("data stopped flowing: %w", err)
		}
		w, err := t.OfferedWindow()
		if err != nil || want(w) || time.Now().After(end) {
			return w, err
		}
	}
}
