package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
)

// markVar is the environment variable by which a lab knows its processes, even
// those that have moved to another network namespace.
const markVar = "LIFELINE_LAB"

// Cmd is an exec.Cmd that starts in a host's network namespace, in a process
// group of its own, by default with the caller's environment and LC_ALL=C. Only
// its Start, Run, Output and CombinedOutput differ.
type Cmd struct {
	*command // not by its name: it would start in the caller's namespace
	host     *Host
}

type command = exec.Cmd

// Command prepares a process in the host's network namespace. When ctx ends,
// its whole process group is killed. Close kills it in any case, with
// everything that it has started.
func (h *Host) Command(ctx context.Context, name string, args ...string) *Cmd {
	c := &Cmd{command: exec.CommandContext(ctx, name, args...), host: h}
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
		c.Env = append(os.Environ(), "LC_ALL=C")
	}
	c.Env = append(c.Env, markVar+"="+c.host.lab.id.String())
	if c.SysProcAttr == nil {
		c.SysProcAttr = &syscall.SysProcAttr{}
	}
	c.SysProcAttr.Setpgid = !c.SysProcAttr.Setsid
	c.SysProcAttr.Pdeathsig = syscall.SIGKILL
	if err := c.host.lab.spawner.start(c.host, c.command); err != nil {
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
