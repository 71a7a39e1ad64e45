package guard

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"lifeline/remediate/process"
)

// child is a guard process and the daemon's end of the socket to it. While it is started
// it belongs to the goroutine that does so, apart from Write and its heartbeats.
type child struct {
	cmd      *exec.Cmd
	far      *os.File    // the guard's end of the socket, until it runs
	page     *os.File    // of the heartbeats, until it runs
	beats    *heartbeats // its signs of life, and ours
	partial  []byte      // an unfinished line
	degraded string      // what is not as it should be
	ready    bool        // it holds the whole ledger
	leaving  bool        // it was told to go
	asked    time.Time   // whether it lives; zero when it answered

	placed   chan struct{}         // closed when nobody tries to place it any more
	unplaced atomic.Pointer[error] // why it could not be placed

	mu         sync.Mutex
	fd         int
	unsent     []byte    // what the socket did not take yet
	stuckSince time.Time // it has taken nothing since; zero while nothing is unsent
	broken     error     // a write that failed: what the guard holds is not whole
}

// newChild makes what a guard and its daemon share, at once.
func newChild(argv []string) (*child, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("socket pair: %w", err)
	}
	beats, page, err := newHeartbeats()
	if err != nil {
		unix.Close(fds[0])
		unix.Close(fds[1])
		return nil, err
	}
	c := &child{fd: fds[0], far: os.NewFile(uintptr(fds[1]), "guard"), page: page, beats: beats, placed: make(chan struct{})}
	c.cmd = exec.Command(argv[0], argv[1:]...)
	c.cmd.Dir = "/"
	c.cmd.Env = append(os.Environ(), "GOMAXPROCS=1", "GOGC=20")
	c.cmd.Stderr = os.Stderr
	c.cmd.ExtraFiles = []*os.File{c.far, c.page} // guardSocket, guardHeartbeats
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	return c, nil
}

// run starts the process, in a session of its own.
func (c *child) run() error {
	defer c.far.Close()
	defer c.page.Close()
	return process.StartChild(c.cmd)
}

func (c *child) pid() int { return c.cmd.Process.Pid }

// Write hands b to the guard and never waits: what the socket does not take now is sent
// with the next call, or by flush.
func (c *child) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.broken != nil {
		return 0, c.broken
	}
	c.unsent = append(c.unsent, b...)
	if err := c.send(); err != nil {
		return 0, err
	}
	return len(b), nil
}

// flush sends what was not sent yet, and tells how long the guard has read nothing of it.
func (c *child) flush(now time.Time) (stuck time.Duration, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.broken != nil {
		return 0, c.broken
	}
	if err := c.send(); err != nil || c.stuckSince.IsZero() {
		return 0, err
	}
	return now.Sub(c.stuckSince), nil
}

// send sends as much as the socket takes; mu is held.
func (c *child) send() error {
	for len(c.unsent) > 0 {
		n, err := unix.SendmsgN(c.fd, c.unsent, nil, nil, unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT)
		if n > 0 {
			c.unsent, c.stuckSince = c.unsent[n:], time.Time{}
		}
		switch {
		case err == nil, errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EAGAIN):
			if c.stuckSince.IsZero() {
				c.stuckSince = time.Now()
			}
			return nil
		default:
			c.broken = fmt.Errorf("write to guard: %w", err)
			return c.broken
		}
	}
	c.unsent, c.stuckSince = nil, time.Time{}
	return nil
}

// disconnect makes every later write fail, so that the ledger sends no more.
func (c *child) disconnect() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.broken == nil {
		c.broken = errors.New("guard is let go")
	}
}

// poll waits for the socket; what it is ready for shows in the next call.
func (c *child) poll(events int16, d time.Duration) {
	fds := []unix.PollFd{{Fd: int32(c.fd), Events: events}}
	_, _ = unix.Poll(fds, max(1, int(d.Milliseconds())))
}

// sync waits until the guard holds the whole ledger, unless it is cancelled.
func (c *child) sync(cancel <-chan struct{}) error {
	if _, err := io.WriteString(c, msgSync+"\n"); err != nil {
		return err
	}
	for end := time.Now().Add(startTimeout); ; {
		stuck, err := c.flush(time.Now())
		if err := errors.Join(err, c.readLines()); err != nil || c.ready {
			return err
		}
		if time.Now().After(end) {
			return fmt.Errorf("guard is not ready after %v", startTimeout)
		}
		select {
		case <-cancel:
			return errors.New("cancelled")
		default:
		}
		events := int16(unix.POLLIN)
		if stuck > 0 {
			events |= unix.POLLOUT
		}
		c.poll(events, syncPoll)
	}
}

// renew shows the guard that the daemon lives, and sees to it that the guard does. One
// that has something to watch over looks at the lease before it ends, and that shows.
func (c *child) renew(now time.Time, idle bool) error {
	c.beats.beat(ofDaemon)
	stuck, err := c.flush(now)
	if err := errors.Join(err, c.readLines()); err != nil {
		return err
	}
	after := askAfter
	if idle {
		after = askIdle
	}
	switch {
	case stuck > answerTime:
		return fmt.Errorf("guard has read nothing for %v", answerTime)
	case !c.asked.IsZero() && now.Sub(c.asked) > answerTime:
		return fmt.Errorf("guard has not answered for %v", answerTime)
	case !c.asked.IsZero() || now.Sub(c.beats.last(ofGuard)) < after:
		return nil
	}
	c.asked = now
	_, err = io.WriteString(c, msgAlive+"\n")
	return err
}

// readLines reads what the guard has said, without waiting.
func (c *child) readLines() error {
	var buf [512]byte
	for {
		n, err := unix.Read(c.fd, buf[:])
		switch {
		case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
			return nil
		case err != nil:
			return fmt.Errorf("read from guard: %w", err)
		case n == 0:
			return errors.New("guard is gone")
		}
		c.partial = append(c.partial, buf[:n]...)
		for {
			line, rest, whole := bytes.Cut(c.partial, []byte{'\n'})
			if !whole {
				break
			}
			c.handleLine(string(line))
			c.partial = rest
		}
	}
}

func (c *child) handleLine(line string) {
	switch line {
	case msgReady:
		c.ready = true
	case msgAlive:
		c.asked = time.Time{}
	case msgLeaving:
		c.leaving = true
	default:
		c.degraded, _ = strings.CutPrefix(line, msgDegraded)
	}
}

// dismiss lets the guard go; one that does not is killed. It takes a moment.
func (c *child) dismiss() {
	_, err := unix.SendmsgN(c.fd, []byte(msgBye+"\n"), nil, nil, unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT)
	for end := time.Now().Add(dismissTime); err == nil && time.Now().Before(end); {
		c.poll(unix.POLLIN, time.Until(end))
		err = c.readLines()
	}
	c.kill()
}

// kill ends the guard, and then its socket: the end of that alone would have it undo
// everything. One that is held up inside the kernel is left behind. It takes a moment.
func (c *child) kill() {
	if p := c.cmd.Process; p != nil {
		_ = p.Kill() // it may be gone already
		reap(p)
	}
	c.mu.Lock()
	unix.Close(c.fd)
	c.fd, c.broken = -1, errors.New("guard was ended")
	c.mu.Unlock()
	c.beats.close()
}

// reap waits for the end of a child that was killed.
func reap(p *os.Process) {
	pid := p.Pid
	for end := time.Now().Add(dismissTime); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if got, err := unix.Wait4(pid, nil, unix.WNOHANG, nil); got == pid || errors.Is(err, unix.ECHILD) {
			break
		}
	}
	_ = p.Release() // frees what this side holds
}
