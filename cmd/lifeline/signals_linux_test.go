package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lifeline/watchdog/lab"
	"lifeline/watchdog/web"
)

// meaningless are the signals that end a program by default, that people and
// programs send, and that are no reason to leave the line unprotected.
var meaningless = []unix.Signal{unix.SIGHUP, unix.SIGUSR1, unix.SIGUSR2, unix.SIGPIPE, unix.SIGALRM, unix.SIGIO, unix.SIGPWR, unix.SIGXCPU, unix.SIGXFSZ}

// Neither daemon nor guard end by them, and what they hold stays held.
func TestSignalsThatMeanNothing(t *testing.T) {
	t.Parallel() // it mostly waits
	s := setStage(t, lab.Options{}, "")
	s.start(lab.Transfers{N: 4, Dir: lab.Push})
	s.limitAndPause(4)
	guard := s.guardPID()
	for _, pid := range []int{guard, s.daemon.Pid()} {
		for _, sig := range meaningless {
			send(t, pid, sig)
		}
	}
	s.until("it says what SIGHUP does", func() bool {
		return strings.Contains(s.daemon.Log(), "reload is not supported yet: a restart applies a new configuration")
	})
	s.until("it says that others do nothing", func() bool { return strings.Contains(s.daemon.Log(), "user defined signal 2") })
	s.cycles(3)
	if now := s.guardPID(); now != guard {
		t.Errorf("the guard is %d and was %d", now, guard)
	}
	s.limitAndPause(4)
}

// cycles waits for cycles of the control loop.
func (s *stage) cycles(n int) {
	s.Helper()
	for range n {
		st, err := s.daemon.Status(s.Context())
		if err != nil {
			s.Fatal(err)
		}
		s.until("another cycle", func() bool {
			now, err := s.daemon.Status(s.Context())
			return err == nil && now.At.After(st.At)
		})
	}
}

// Ctrl-\ is a person who wants it to end: it undoes everything first.
func TestQuitUndoesBeforeExit(t *testing.T) {
	t.Parallel() // it mostly waits
	s := setStage(t, lab.Options{}, "")
	s.start(lab.Transfers{N: 4, Dir: lab.Pull})
	all := s.limitAndPause(4)
	send(t, s.daemon.Pid(), unix.SIGQUIT)
	s.untilFree(all)
	s.until("it has ended in order", func() bool { return strings.Contains(s.daemon.Log(), "msg=ended error=<nil>") })
	if log := s.daemon.Log(); strings.Contains(log, "goroutine ") || strings.Contains(log, "guard undid") {
		t.Errorf("it did not end by itself:\n%s", log)
	}
}

// alone is a daemon in a network namespace that holds nothing else.
type alone struct {
	*testing.T
	cmd  *exec.Cmd
	done chan error
	web  *web.Client
}

// startAlone starts one whose standard streams are out.
func startAlone(t *testing.T, out *os.File, attr syscall.SysProcAttr) *alone {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: makes a network namespace")
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "lifeline.toml")
	text := fmt.Sprintf("state_dir = %q\nrun_dir = %q\n", filepath.Join(dir, "state"), filepath.Join(dir, "run"))
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	a := &alone{T: t, cmd: exec.Command(binary, "run", "--config", file), done: make(chan error, 1), web: web.NewClient(filepath.Join(dir, "run", "control.sock"))}
	attr.Cloneflags = unix.CLONE_NEWNET
	a.cmd.SysProcAttr = &attr
	a.cmd.Stdin, a.cmd.Stdout, a.cmd.Stderr = out, out, out
	if err := a.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { a.done <- a.cmd.Wait() }()
	t.Cleanup(func() { _ = a.cmd.Process.Kill() }) // it should have ended
	a.cycle(time.Time{})
	return a
}

// cycle waits for a cycle that began after a time.
func (a *alone) cycle(after time.Time) {
	a.Helper()
	var err error
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		var st web.Status
		if st, err = a.web.Status(context.Background()); err == nil && st.At.After(after) {
			return
		}
		select {
		case ended := <-a.done:
			a.Fatalf("the daemon ended: %v", ended)
		default:
		}
	}
	a.Fatalf("no cycle after %s: %v", after, err)
}

// stop ends it by SIGTERM.
func (a *alone) stop() {
	a.Helper()
	send(a.T, a.cmd.Process.Pid, unix.SIGTERM)
	select {
	case err := <-a.done:
		if err != nil {
			a.Errorf("after SIGTERM: %v", err)
		}
	case <-time.After(patience):
		a.Error("it does not end")
	}
}

// Whoever started the daemon in a terminal may lose it: the line to a machine
// that nobody can walk to is to be kept alive all the same.
func TestTerminalHangsUp(t *testing.T) {
	t.Parallel() // it mostly waits
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no pseudo-terminal: %v", err)
	}
	defer master.Close()
	tty := peerOf(t, master)
	a := startAlone(t, tty, syscall.SysProcAttr{Setsid: true, Setctty: true})
	tty.Close()
	buf := make([]byte, 64<<10)
	for seen := ""; !strings.Contains(seen, "watching over"); {
		n, err := master.Read(buf)
		if err != nil {
			t.Fatalf("%v after %q", err, seen)
		}
		seen += string(buf[:n])
	}
	hung := time.Now()
	if err := master.Close(); err != nil {
		t.Fatal(err)
	}
	a.cycle(hung.Add(2 * time.Second))
	a.stop()
}

// peerOf opens the other end of a pseudo-terminal (ioctl_tty(2)).
func peerOf(t *testing.T, master *os.File) *os.File {
	t.Helper()
	raw, err := master.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var fd uintptr
	var failed error
	err = raw.Control(func(m uintptr) {
		if failed = unix.IoctlSetPointerInt(int(m), unix.TIOCSPTLCK, 0); failed != nil {
			return
		}
		var errno syscall.Errno
		if fd, _, errno = unix.Syscall(unix.SYS_IOCTL, m, unix.TIOCGPTPEER, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC); errno != 0 {
			failed = errno
		}
	})
	if err := errors.Join(err, failed); err != nil {
		t.Fatal(err)
	}
	return os.NewFile(fd, "tty")
}

// A reader of its log that hangs holds up neither the loop nor its end.
func TestBlockedLogHoldsNothingUp(t *testing.T) {
	t.Parallel() // it mostly waits
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pipe[0])
	for _, piece := range [][]byte{make([]byte, 4096), {0}} { // until it takes nothing more
		var err error
		for err == nil {
			_, err = unix.Write(pipe[1], piece)
		}
		if err != unix.EAGAIN {
			t.Fatal(err)
		}
	}
	if err := unix.SetNonblock(pipe[1], false); err != nil {
		t.Fatal(err)
	}
	w := os.NewFile(uintptr(pipe[1]), "pipe")
	defer w.Close()
	a := startAlone(t, w, syscall.SysProcAttr{})
	blocked := time.Now()
	send(t, a.cmd.Process.Pid, unix.SIGHUP) // makes it write, and so does the first status
	a.cycle(blocked.Add(4 * time.Second))
	a.stop()
}

// Nobody reads what it writes any more, as after `lifeline run | head`: each line
// of its log is a SIGPIPE.
func TestNobodyReadsTheLog(t *testing.T) {
	t.Parallel() // it mostly waits
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	a := startAlone(t, w, syscall.SysProcAttr{})
	w.Close()
	r.Close()
	closed := time.Now()
	send(t, a.cmd.Process.Pid, unix.SIGHUP) // makes it write, and so does the first status
	a.cycle(closed.Add(4 * time.Second))
	a.stop()
}
