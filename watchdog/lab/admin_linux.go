package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// AdminSession is an administrator at work: an interactive ssh session from
// mgmt, or another host, to srv, with a terminal at both ends and a shell on srv.
type AdminSession struct {
	cmd      *Cmd
	terminal *os.File      // master of the terminal that ssh runs on
	done     chan struct{} // closed when ssh has ended

	closing sync.Once
	closed  chan struct{} // closed when the terminal may go
	mu      sync.Mutex    // one typist at a time
	typed   int
}

// AdminSession logs in and returns when the shell has answered. The session
// stays open until Close, the end of ctx, or the end of the lab.
func (l *Lab) AdminSession(ctx context.Context) (*AdminSession, error) {
	return l.AdminSessionFrom(ctx, l.Mgmt)
}

// AdminSessionFrom is the same from another host.
func (l *Lab) AdminSessionFrom(ctx context.Context, from *Host) (*AdminSession, error) {
	terminal, tty, err := openTerminal()
	if err != nil {
		return nil, fmt.Errorf("lab: terminal: %w", err)
	}
	defer tty.Close()
	args := append(l.sshCommand(), "-tt", "root@"+l.Srv.IPv4.String())
	s := &AdminSession{
		cmd:      from.Command(ctx, args[0], args[1:]...),
		terminal: terminal,
		done:     make(chan struct{}),
		closed:   make(chan struct{}),
	}
	s.cmd.Stdin, s.cmd.Stdout, s.cmd.Stderr = tty, tty, tty
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := s.cmd.Start(); err != nil {
		return nil, errors.Join(err, terminal.Close())
	}
	l.spawn(s.attend)
	if err := s.settle(ctx); err != nil {
		s.Close()
		return nil, fmt.Errorf("lab: admin session: %w", err)
	}
	return s, nil
}

// attend waits for ssh, and keeps the terminal, with what ssh may have said at
// its end, until the session or the lab is closed.
func (s *AdminSession) attend(lab context.Context) {
	_ = s.cmd.Wait() // a session that broke shows in its terminal
	close(s.done)
	select {
	case <-s.closed:
	case <-lab.Done():
	}
	s.terminal.Close()
}

// openTerminal makes a pseudo-terminal (pty(7)).
func openTerminal() (master, slave *os.File, err error) {
	master, err = os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		return nil, nil, err
	}
	raw, err := master.SyscallConn()
	if err != nil {
		return nil, nil, errors.Join(err, master.Close())
	}
	var failed error
	err = raw.Control(func(m uintptr) { slave, failed = openPeer(m) })
	if err = errors.Join(err, failed); err != nil {
		return nil, nil, errors.Join(err, master.Close())
	}
	return master, slave, nil
}

// openPeer unlocks and opens the other end, whatever devpts it is in
// (TIOCGPTPEER in ioctl_tty(2)).
func openPeer(master uintptr) (*os.File, error) {
	if err := unix.IoctlSetPointerInt(int(master), unix.TIOCSPTLCK, 0); err != nil {
		return nil, err
	}
	const flags = unix.O_RDWR | unix.O_NOCTTY | unix.O_CLOEXEC
	fd, _, errno := unix.Syscall(unix.SYS_IOCTL, master, unix.TIOCGPTPEER, flags)
	if errno != 0 {
		return nil, errno
	}
	return os.NewFile(fd, "tty"), nil
}

// settle waits for the shell and has it run a program that leaves the echo to
// srv's terminal, so that what comes back is exactly what was typed.
func (s *AdminSession) settle(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	// The sum tells the shell's answer from the echo of the question.
	_, err := s.exchange(ctx, "echo ready-$((40+2)); cat >/dev/null\n", "ready-42\r\n")
	return err
}

// EchoRTT types a line and returns how long it takes until its last character
// is echoed by srv.
func (s *AdminSession) EchoRTT(ctx context.Context) (time.Duration, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.typed++
	line := "line-" + strconv.Itoa(s.typed)
	rtt, err := s.exchange(ctx, line+"\n", line+"\r\n")
	if err != nil {
		return 0, fmt.Errorf("lab: admin session: %w", err)
	}
	return rtt, nil
}

// exchange types something and reads until the answer has come.
func (s *AdminSession) exchange(ctx context.Context, typed, answer string) (time.Duration, error) {
	if err := s.terminal.SetDeadline(time.Time{}); err != nil {
		return 0, err
	}
	// Whatever ends the wait also ends a read that is under way.
	defer context.AfterFunc(ctx, func() { _ = s.terminal.SetDeadline(time.Unix(1, 0)) })()
	begin := time.Now()
	if _, err := s.terminal.WriteString(typed); err != nil {
		return 0, err
	}
	var seen bytes.Buffer
	buf := make([]byte, 4096)
	for {
		n, err := s.terminal.Read(buf)
		took := time.Since(begin)
		seen.Write(buf[:n])
		if bytes.Contains(seen.Bytes(), []byte(answer)) {
			return took, nil
		}
		if err != nil {
			return 0, fmt.Errorf("no %q in %q: %w", answer, seen.Bytes(), errors.Join(ctx.Err(), err))
		}
	}
}

// Close ends the session. Closing again does nothing.
func (s *AdminSession) Close() {
	s.closing.Do(func() { close(s.closed) })
	select {
	case <-s.done:
	default:
		_ = killGroup(s.cmd.Process) // it may have ended meanwhile
		<-s.done
	}
}
