package guard

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"lifeline/remediate/process"
	"lifeline/watchdog/ledger"
)

const (
	askAfter    = 1750 * time.Millisecond // a guard without a sign of life for so long is asked, while it should give some by itself
	askIdle     = 5 * time.Second         // the same while it has nothing to watch over
	answerTime  = 1500 * time.Millisecond // a guard that does not answer for so long is replaced
	writeTime   = 300 * time.Millisecond  // a guard that does not read for so long is replaced
	readyTime   = 3 * time.Second         // for a new guard to hold the ledger
	restartWait = time.Second             // after a failed start
)

// Supervisor is the daemon's side of its guard: it renews the lease and starts
// another guard when the present one dies, hangs or leaves. It is used by one
// goroutine.
type Supervisor struct {
	Argv   []string // the guard's command line, which runs RunGuard
	Ledger *ledger.Ledger
	Log    *slog.Logger
	Place  func(pid int) error // moves the guard out of reach of what kills the daemon; may be nil

	guard    *child
	unplaced error // why the present guard could not be placed; nil when it was
	tried    time.Time
	lastFail error
}

// child is a running guard process.
type child struct {
	cmd      *exec.Cmd
	fd       int
	partial  []byte // an unfinished line
	degraded string // what is not as it should be
	ready    bool
	leaving  bool
	broken   error       // a write that failed: what the guard holds is not whole
	beats    *heartbeats // its signs of life, and ours
	asked    time.Time   // whether it lives; zero when it answered
}

// Renew shows the guard that the daemon lives. When there is no guard, it
// starts one; an error means that there is none still.
func (g *Supervisor) Renew() error {
	now := time.Now()
	if g.guard != nil {
		if err := g.guard.renew(now, g.Ledger.Empty()); err != nil {
			g.Log.Warn("guard is lost, starting another", "error", err)
			g.drop()
		}
	}
	if g.guard != nil && !g.guard.leaving {
		return nil
	}
	if g.lastFail != nil && now.Sub(g.tried) < restartWait {
		return g.lastFail
	}
	g.tried = now
	g.lastFail = g.replace()
	return g.lastFail
}

// replace starts a guard, hands the ledger over, and lets the old one go.
func (g *Supervisor) replace() error {
	old := g.guard
	p, err := startGuard(g.Argv)
	if err == nil {
		if err = errors.Join(g.Ledger.Tee(p), p.sync()); err != nil {
			p.kill()
		}
	}
	if err != nil {
		if old != nil { // it will undo in a moment: be sure that it need not
			g.drop()
		}
		return fmt.Errorf("start guard: %w", err)
	}
	if old != nil {
		old.dismiss()
	}
	g.guard = p
	if p.degraded != "" {
		g.Log.Warn("guard is less safe than it should be", "error", p.degraded)
	}
	g.unplaced = nil
	if g.Place != nil {
		g.unplaced = g.Place(p.cmd.Process.Pid)
	}
	if g.unplaced != nil {
		g.Log.Warn("guard stays in the daemon's own control group", "error", g.unplaced)
	}
	return nil
}

// drop ends a guard that is of no use any more.
func (g *Supervisor) drop() {
	_ = g.Ledger.Tee(nil) // nothing is written, so nothing fails
	g.guard.kill()
	g.guard = nil
}

// Close lets the guard go without an undo: everything was undone, or stays in
// the ledger for `lifeline release`.
func (g *Supervisor) Close() {
	if g.guard == nil {
		return
	}
	_ = g.Ledger.Tee(nil) // nothing is written, so nothing fails
	g.guard.dismiss()
	g.guard = nil
}

// PID is the guard's process; 0 when there is none.
func (g *Supervisor) PID() int {
	if g.guard == nil {
		return 0
	}
	return g.guard.cmd.Process.Pid
}

// Degraded tells what makes the guard less safe than it should be; empty when
// nothing does, or there is none.
func (g *Supervisor) Degraded() string {
	switch {
	case g.guard == nil:
		return ""
	case g.unplaced != nil:
		return "in the daemon's own control group: " + g.unplaced.Error()
	}
	return g.guard.degraded
}

// startGuard runs argv in a session of its own with one end of a socket pair.
func startGuard(argv []string) (*child, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("socket pair: %w", err)
	}
	far := os.NewFile(uintptr(fds[1]), "guard")
	defer far.Close()
	beats, page, err := newHeartbeats()
	if err != nil {
		unix.Close(fds[0])
		return nil, err
	}
	defer page.Close()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir = "/"
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1", "GOGC=20")
	cmd.Stderr = os.Stderr
	cmd.ExtraFiles = []*os.File{far, page} // guardSocket, guardPage
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := process.StartChild(cmd); err != nil {
		unix.Close(fds[0])
		beats.close()
		return nil, err
	}
	return &child{cmd: cmd, fd: fds[0], beats: beats}, nil
}

// Write sends to the guard, and fails when it does not read.
func (p *child) Write(b []byte) (int, error) {
	for n, end := 0, time.Now().Add(writeTime); ; {
		m, err := unix.SendmsgN(p.fd, b[n:], nil, nil, unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT)
		n += max(m, 0)
		switch {
		case n == len(b):
			return n, nil
		case err == nil, errors.Is(err, unix.EINTR):
		case !errors.Is(err, unix.EAGAIN):
			p.broken = fmt.Errorf("write to guard: %w", err)
			return n, p.broken
		case time.Now().After(end):
			p.broken = errors.New("guard does not read")
			return n, p.broken
		default:
			p.poll(unix.POLLOUT, time.Until(end))
		}
	}
}

// poll waits for the socket; what it is ready for shows in the next call.
func (p *child) poll(events int16, d time.Duration) {
	fds := []unix.PollFd{{Fd: int32(p.fd), Events: events}}
	_, _ = unix.Poll(fds, max(1, int(d.Milliseconds())))
}

// sync waits until the guard holds the whole ledger.
func (p *child) sync() error {
	if _, err := io.WriteString(p, msgSync+"\n"); err != nil {
		return err
	}
	for end := time.Now().Add(readyTime); !p.ready; {
		if err := p.readLines(); err != nil {
			return err
		}
		if p.ready {
			break
		}
		if time.Now().After(end) {
			return errors.New("guard is not ready in time")
		}
		p.poll(unix.POLLIN, time.Until(end))
	}
	return nil
}

// renew renews the lease, and sees to it that the guard lives. One that has
// something to watch over looks at the lease before it ends, and that shows.
func (p *child) renew(now time.Time, idle bool) error {
	p.beats.beat(ofDaemon)
	if err := errors.Join(p.broken, p.readLines()); err != nil {
		return err
	}
	after := askAfter
	if idle {
		after = askIdle
	}
	switch {
	case !p.asked.IsZero() && now.Sub(p.asked) > answerTime:
		return fmt.Errorf("guard has not answered for %v", answerTime)
	case !p.asked.IsZero() || now.Sub(p.beats.last(ofGuard)) < after:
		return nil
	}
	p.asked = now
	_, err := io.WriteString(p, msgAlive+"\n")
	return err
}

// readLines reads what the guard has said, without waiting.
func (p *child) readLines() error {
	var buf [512]byte
	for {
		n, err := unix.Read(p.fd, buf[:])
		switch {
		case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
			return nil
		case err != nil:
			return fmt.Errorf("read from guard: %w", err)
		case n == 0:
			return errors.New("guard is gone")
		}
		p.partial = append(p.partial, buf[:n]...)
		for {
			line, rest, whole := bytes.Cut(p.partial, []byte{'\n'})
			if !whole {
				break
			}
			p.handleLine(string(line))
			p.partial = rest
		}
	}
}

func (p *child) handleLine(line string) {
	switch line {
	case msgReady:
		p.ready = true
	case msgAlive:
		p.asked = time.Time{}
	case msgLeaving:
		p.leaving = true
	default:
		p.degraded, _ = strings.CutPrefix(line, msgDegraded)
	}
}

// dismiss lets the guard go; one that does not is killed.
func (p *child) dismiss() {
	if _, err := io.WriteString(p, msgBye+"\n"); err == nil {
		for end := time.Now().Add(writeTime); time.Now().Before(end) && p.readLines() == nil; {
			p.poll(unix.POLLIN, time.Until(end))
		}
	}
	p.kill()
}

// kill ends the guard. One that is held up inside the kernel is left behind.
func (p *child) kill() {
	unix.Close(p.fd)
	p.beats.close()
	pid := p.cmd.Process.Pid
	_ = p.cmd.Process.Kill() // it may be gone already
	for end := time.Now().Add(writeTime); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if got, err := unix.Wait4(pid, nil, unix.WNOHANG, nil); got == pid || errors.Is(err, unix.ECHILD) {
			break
		}
	}
	_ = p.cmd.Process.Release() // frees what this side holds
}
