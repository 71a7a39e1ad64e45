package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// markVar is the environment variable by which a lab knows its processes, even
// those that have moved to another network namespace.
const markVar = "LIFELINE_LAB"

// Cmd is an exec.Cmd that starts in a host's network namespace, in a process
// group of its own. Only its Start, Run, Output and CombinedOutput differ.
type Cmd struct {
	*exec.Cmd
	host *Host
}

// Command prepares a process in the host's network namespace. When ctx ends,
// its whole process group is killed. Close kills it in any case, with
// everything that it has started.
func (h *Host) Command(ctx context.Context, name string, args ...string) *Cmd {
	c := &Cmd{Cmd: exec.CommandContext(ctx, name, args...), host: h}
	c.Cancel = func() error { return killGroup(c.Process) }
	c.WaitDelay = 5 * time.Second // a grandchild may hold the output open
	return c
}

// killGroup kills a process and its group, stopped members included. The
// number of the group is the process's own until that has been waited for.
func killGroup(p *os.Process) error {
	if err := p.Signal(syscall.Signal(0)); err != nil {
		return err
	}
	if err := syscall.Kill(-p.Pid, syscall.SIGKILL); err != nil && err != syscall.ESRCH {
		return err
	}
	return p.Kill()
}

// Start starts the process.
func (c *Cmd) Start() error {
	if c.Env == nil {
		c.Env = os.Environ()
	}
	c.Env = append(c.Env, markVar+"="+c.host.lab.id.String())
	if c.SysProcAttr == nil {
		c.SysProcAttr = &syscall.SysProcAttr{}
	}
	c.SysProcAttr.Setpgid = !c.SysProcAttr.Setsid
	c.SysProcAttr.Pdeathsig = syscall.SIGKILL
	if err := c.host.lab.spawner.start(c.host, c.Cmd); err != nil {
		return fmt.Errorf("lab: %s: start %s: %w", c.host.Name, filepath.Base(c.Path), err)
	}
	return nil
}

// Run starts the process and waits for it.
func (c *Cmd) Run() error {
	if err := c.Start(); err != nil {
		return err
	}
	return c.Wait()
}

// Output runs the process and returns what it wrote to stdout; what it wrote
// to stderr is in the error.
func (c *Cmd) Output() ([]byte, error) {
	var stdout, stderr bytes.Buffer
	c.Stdout = &stdout
	if c.Stderr == nil {
		c.Stderr = &stderr
	}
	if err := c.Run(); err != nil {
		return stdout.Bytes(), fmt.Errorf("lab: %s: %s: %w: %s", c.host.Name, filepath.Base(c.Path), err, bytes.TrimSpace(stderr.Bytes()))
	}
	return stdout.Bytes(), nil
}

// CombinedOutput runs the process and returns its stdout and stderr together.
func (c *Cmd) CombinedOutput() ([]byte, error) {
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	err := c.Run()
	return out.Bytes(), err
}

// spawner starts processes on one thread that it keeps for the lab's life:
// the kernel sends a child its parent-death signal when the thread that
// started it ends (PR_SET_PDEATHSIG in prctl(2)), not when the process does.
type spawner struct {
	jobs chan func()
	done chan struct{}
}

func newSpawner() *spawner {
	s := &spawner{jobs: make(chan func()), done: make(chan struct{})}
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the lab
		for {
			select {
			case job := <-s.jobs:
				job()
			case <-s.done:
				return
			}
		}
	}()
	return s
}

func (s *spawner) start(h *Host, c *exec.Cmd) error {
	result := make(chan error, 1)
	job := func() {
		_, err := visit(h.ns, c.Start)
		result <- err
	}
	select {
	case s.jobs <- job:
		return <-result
	case <-s.done:
		return errors.New("the lab is closed")
	}
}

func (s *spawner) close() { close(s.done) }

// belongs says whether the process pid is one of those that a lab may kill.
type belongs func(pid int) bool

// inAny tells processes whose network namespace has one of the inodes, or
// that carry the mark. A process that cannot be read is not ours to kill, nor
// is anything for sharing the caller's own namespace.
func inAny(inodes map[uint64]bool, mark string) belongs {
	var own unix.Stat_t
	if err := unix.Stat("/proc/self/ns/net", &own); err == nil {
		delete(inodes, own.Ino)
	}
	entry := []byte(markVar + "=" + mark)
	return func(pid int) bool {
		dir := "/proc/" + strconv.Itoa(pid)
		var st unix.Stat_t
		if err := unix.Stat(dir+"/ns/net", &st); err == nil && inodes[st.Ino] {
			return true
		}
		env, err := os.ReadFile(dir + "/environ")
		if err != nil {
			return false
		}
		for v := range bytes.SplitSeq(env, []byte{0}) {
			if bytes.Equal(v, entry) {
				return true
			}
		}
		return false
	}
}

// members lists the processes that belong, never the calling one.
func members(ours belongs) ([]int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, fmt.Errorf("lab: %w", err)
	}
	var pids []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err == nil && pid != os.Getpid() && ours(pid) {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// killAll kills every process that belongs until none is left. SIGKILL ends a
// stopped process too, so that none needs to be continued first.
func killAll(ours belongs) error {
	const patience = 10 * time.Second
	deadline := time.Now().Add(patience)
	for {
		pids, err := members(ours)
		if err != nil || len(pids) == 0 {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("lab: processes %v survive SIGKILL for %v", pids, patience)
		}
		for _, pid := range pids {
			if err := killOne(pid, ours); err != nil {
				return err
			}
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// killOne kills pid if it still belongs once a pidfd holds its identity.
func killOne(pid int, ours belongs) error {
	fd, err := unix.PidfdOpen(pid, 0)
	if err == unix.ESRCH || err == unix.EINVAL { // gone, or a thread's number now
		return nil
	}
	if err != nil {
		return fmt.Errorf("lab: pidfd of %d: %w", pid, err)
	}
	defer unix.Close(fd)
	if !ours(pid) {
		return nil
	}
	if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); err != nil && err != unix.ESRCH {
		return fmt.Errorf("lab: kill %d: %w", pid, err)
	}
	return nil
}

// startTime returns when pid started, in clock ticks since boot; ok is false
// if there is no such process.
func startTime(pid int) (ticks uint64, ok bool, err error) {
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, fmt.Errorf("lab: %w", err)
	}
	ticks, err = parseStartTime(stat)
	return ticks, err == nil, err
}
