package sandbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"lifeline/probes/preboot/hostinfo"
)

// toolLimits hold for every tool: a rule file must not be able to exhaust the
// host. The memory limit leaves room for 100,000 rules.
var toolLimits = map[int]uint64{
	unix.RLIMIT_AS:      2 << 30,
	unix.RLIMIT_CPU:     20,
	unix.RLIMIT_CORE:    0,
	unix.RLIMIT_FSIZE:   1 << 16,
	unix.RLIMIT_NOFILE:  64,
	unix.RLIMIT_MEMLOCK: 1 << 20,
}

// maxToolOutput bounds what is kept of a tool's messages.
const maxToolOutput = 1 << 16

// toolRunner runs tools from one thread that has given up, for good, all but
// what they need.
type toolRunner struct{ jobs chan func() }

// newToolRunner starts the thread and drops its privileges.
func newToolRunner() (*toolRunner, error) {
	r := &toolRunner{jobs: make(chan func())}
	ready := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread is of no other use
		ready <- dropPrivileges()
		for f := range r.jobs {
			f()
		}
	}()
	if err := <-ready; err != nil {
		return nil, err
	}
	return r, nil
}

// dropPrivileges leaves CAP_NET_ADMIN and CAP_NET_RAW to the calling thread
// and to what it executes.
func dropPrivileges() error {
	const kept = 1<<unix.CAP_NET_ADMIN | 1<<unix.CAP_NET_RAW
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("no_new_privs: %w", err)
	}
	for c := range uintptr(64) {
		if kept&(1<<c) != 0 {
			continue
		}
		err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0)
		if errors.Is(err, unix.EINVAL) {
			break // beyond the kernel's last capability
		}
		if err != nil {
			return fmt.Errorf("drop capability %d: %w", c, err)
		}
	}
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	data := [2]unix.CapUserData{{Effective: kept, Permitted: kept}}
	if err := unix.Capset(&head, &data[0]); err != nil {
		return fmt.Errorf("capset: %w", err)
	}
	return nil
}

// run executes one load with the first of its tools that is installed.
func (r *toolRunner) run(l Load, deadline time.Duration) LoadResult {
	out := make(chan LoadResult, 1)
	r.jobs <- func() {
		path, argv := pickTool(l.Commands, deadline)
		if path == "" {
			out <- LoadResult{Code: -1, Err: "not installed: " + l.Commands[0].Argv[0]}
			return
		}
		if len(l.Whole) > 0 {
			test := runTool(path, append(slices.Clone(argv), "--test"), l.Whole, deadline)
			if test.Code != 0 || LacksModule(test) {
				test.Code = max(test.Code, 1)
				out <- test
				return
			}
		}
		said := runTool(path, argv, l.Input, deadline)
		if messageTooLong(said) {
			said = loadChunks(path, argv, l.Input, deadline, said)
		}
		out <- said
	}
	return <-out
}

// chunkSizes are tried in turn, until every chunk fits one message.
var chunkSizes = []int{400, 100, 25}

// loadChunks loads a file that is too large for one message. A table that
// fails is emptied, as if it had been refused as a whole.
func loadChunks(path string, argv []string, text []byte, deadline time.Duration, whole LoadResult) LoadResult {
	end := time.Now().Add(deadline)
	for _, n := range chunkSizes {
		chunks, err := splitChunks(text, n)
		if err != nil {
			return whole
		}
		said := LoadResult{Tool: argv[0]}
		for _, p := range chunks {
			with := argv
			if p.noFlush {
				with = append(slices.Clone(argv), "--noflush")
			}
			if said = runTool(path, with, p.text, time.Until(end)); said.Code != 0 {
				empty := []byte("*" + p.table + "\nCOMMIT\n")
				runTool(path, argv, empty, deadline)
				break
			}
		}
		if said.Code < 0 && time.Now().After(end) {
			said.Err = fmt.Sprintf("stopped after %v", deadline) // all chunks together
		}
		if !messageTooLong(said) {
			return said
		}
	}
	return whole
}

// pickTool finds an installed tool; path is empty if there is none.
func pickTool(tools []Command, deadline time.Duration) (path string, argv []string) {
	for _, t := range tools {
		path := hostinfo.FindProgram(t.Argv[0])
		if path == "" {
			continue
		}
		if t.Version != "" {
			v := runTool(path, []string{t.Argv[0], "--version"}, nil, deadline)
			if v.Code != 0 || !strings.Contains(v.Stderr, t.Version) {
				continue
			}
		}
		return path, t.Argv
	}
	return "", nil
}

// runTool runs on the caller's thread. The tool gets its input only after the
// limits are set on it.
func runTool(path string, argv []string, input []byte, deadline time.Duration) LoadResult {
	l := LoadResult{Tool: argv[0], Code: -1}
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	cmd := exec.CommandContext(ctx, path)
	cmd.Args = argv
	cmd.Dir = "/"
	cmd.Env = []string{"LC_ALL=C", "PATH=" + strings.Join(hostinfo.ProgramPath, ":")}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.WaitDelay = time.Second
	var said cappedBuffer
	cmd.Stdout, cmd.Stderr = &said, &said
	stdin, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		l.Err = err.Error()
		return l
	}
	if err := limitTool(cmd.Process.Pid); err != nil {
		cancel()
		l.Err = err.Error()
	} else {
		_, _ = stdin.Write(input) // a tool that stops reading says why itself
	}
	_ = stdin.Close()
	err = cmd.Wait()
	l.Stderr = said.String()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil && l.Err == "":
		l.Err = fmt.Sprintf("stopped after %v", deadline)
	case err == nil:
		l.Code = 0
	case errors.As(err, &exit) && exit.Exited():
		l.Code = exit.ExitCode()
	case l.Err == "":
		l.Err = err.Error()
	}
	return l
}

func limitTool(pid int) error {
	for what, limit := range toolLimits {
		if err := unix.Prlimit(pid, what, &unix.Rlimit{Cur: limit, Max: limit}, nil); err != nil {
			return fmt.Errorf("limit the tool: %w", err)
		}
	}
	return nil
}

// cappedBuffer keeps the first bytes written to it and drops the rest. The
// buffer is not embedded: its ReadFrom would go round the cap.
type cappedBuffer struct{ kept bytes.Buffer }

func (b *cappedBuffer) Write(p []byte) (int, error) {
	if room := maxToolOutput - b.kept.Len(); room > 0 {
		b.kept.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}

func (b *cappedBuffer) String() string { return b.kept.String() }
