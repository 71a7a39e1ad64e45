package sockopt_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lifeline/remediate/process"
	"lifeline/remediate/roletest"
	"lifeline/remediate/sockopt"
	"lifeline/watchdog"
)

// skipStatus is the exit status of a role that this machine does not allow.
const skipStatus = 77

// A pid that really was given to another process is never touched, whether
// the first process was known before it died or not.
func TestPidThatWasGivenAway(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root for a pid namespace")
	}
	argv := roletest.Play("reuse")
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS}
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == skipStatus {
		t.Skip(string(out))
	}
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// reuseRole runs as the first process of a pid namespace.
func reuseRole() error {
	if err := ownProc(); err != nil {
		fmt.Println(err)
		os.Exit(skipStatus)
	}
	var held process.Handles // knows the first process while it lives
	first, old, err := sleeper(0)
	if err != nil {
		return err
	}
	if err := held.Signal(old, unix.SIGCONT); err != nil {
		return err
	}
	first.Process.Kill()
	first.Wait()
	time.Sleep(50 * time.Millisecond) // start times are counted in ticks of 10 ms
	second, now, err := sleeper(old.PID)
	if err != nil {
		return err
	}
	defer second.Wait()
	defer second.Process.Kill()
	if now.PID != old.PID || now.Start == old.Start {
		fmt.Printf("no reuse: %v, %v\n", old, now)
		os.Exit(skipStatus)
	}
	return untouched(&held, old, now)
}

// ownProc mounts the proc of this namespace.
func ownProc() error {
	return errors.Join(
		unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""),
		unix.Mount("proc", "/proc", "proc", 0, ""))
}

// sleeper starts a process that holds a socket as descriptor 3, with the given
// pid unless that is 0.
func sleeper(pid int) (*exec.Cmd, watchdog.ProcID, error) {
	if pid > 0 {
		if err := os.WriteFile("/proc/sys/kernel/ns_last_pid", []byte(strconv.Itoa(pid-1)), 0); err != nil {
			fmt.Println(err)
			os.Exit(skipStatus)
		}
	}
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, watchdog.ProcID{}, err
	}
	defer l.Close()
	f, err := l.File()
	if err != nil {
		return nil, watchdog.ProcID{}, err
	}
	defer f.Close()
	c := exec.Command("sleep", "60")
	c.ExtraFiles = []*os.File{f}
	if err := c.Start(); err != nil {
		return nil, watchdog.ProcID{}, err
	}
	st, err := process.ReadStat(c.Process.Pid)
	return c, watchdog.ProcID{PID: c.Process.Pid, Start: st.Start}, err
}

// untouched tries everything on old, whose pid is now's.
func untouched(held *process.Handles, old, now watchdog.ProcID) error {
	link, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/3", now.PID))
	if err != nil {
		return err
	}
	inode, err := strconv.ParseUint(strings.Trim(link, "socket:[]"), 10, 64)
	if err != nil {
		return err
	}
	s := watchdog.Socket{Inode: inode, Refs: []watchdog.FDRef{{Proc: old, FD: 3}}}
	for name, h := range map[string]*process.Handles{"known before": held, "not known": {}} {
		k := process.NewStopper(h)
		_, stat := k.IsStopped(old)
		for what, err := range map[string]error{
			"stop": k.Stop(old), "cont": k.Continue(old), "end": h.Kill(old), "stat": stat,
			"socket": sockopt.Visit(h, s, func(int) error { return errors.New("visited") }),
		} {
			if !errors.Is(err, process.ErrGone) {
				return fmt.Errorf("%s: %s: %v, want gone", name, what, err)
			}
		}
	}
	st, err := process.StatOf(now)
	if err != nil || st.Stopped() {
		return fmt.Errorf("the other process: state %c, %w", st.State, err)
	}
	return nil
}
