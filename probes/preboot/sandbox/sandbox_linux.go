package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// ChildArgs are the arguments with which the program starts itself as the
// child of a rehearsal; the command line must lead them to RehearsalChild.
var ChildArgs = []string{"preboot", "rehearsal-child"}

// childMark is set in the environment of a child. A program that is started
// as a child and does not know its arguments must not start children in turn.
const childMark = "LIFELINE_REHEARSAL_CHILD"

// Confinement says whose privileges a rehearsal has.
type Confinement int

const (
	// AsRoot: the host's root, left with two capabilities. For the host's own
	// files.
	AsRoot Confinement = iota
	// AsNobody: a user namespace whose ids belong to nobody on the host. For
	// files of others, when we are root.
	AsNobody
	// AsSelf: a user namespace with our own id in it only; the kernel refuses
	// rules there that name other ids.
	AsSelf
)

// idBase and idCount map the ids of a user namespace to host ids that no
// account has.
const (
	idBase  = 1 << 31
	idCount = 1<<31 - 2
)

// Sandbox is a running rehearsal child.
type Sandbox struct {
	enc    *json.Encoder
	dec    *json.Decoder
	stdin  io.Closer
	stderr *cappedBuffer
	done   chan struct{}
	kill   context.CancelFunc
	cgroup memoryCgroup
	// noCgroup says why there is no cgroup; killed is set, before done, where a
	// signal ended the child that was not ours.
	noCgroup error
	killed   error
}

// KilledError means that the child was killed while it worked: it took too much
// memory, or somebody ended it.
type KilledError struct{ Signal syscall.Signal }

func (e KilledError) Error() string {
	return fmt.Sprintf("the rehearsal was killed by a signal (%s) while it loaded or tried the rules: too little memory, or somebody ended it", e.Signal)
}

// closeDeadline is how long the child may take to end by itself.
const closeDeadline = 5 * time.Second

// Start starts the child in namespaces of its own. It dies when ctx ends
// and with this process, however that ends.
func Start(ctx context.Context, how Confinement) (*Sandbox, error) {
	return startWithin(ctx, how, maxMemory)
}

// startWithin starts a child with other than the usual memory, in bytes.
func startWithin(ctx context.Context, how Confinement, memory uint64) (*Sandbox, error) {
	if os.Getenv(childMark) != "" {
		return nil, errors.New("this is the child of a rehearsal")
	}
	ctx, kill := context.WithCancel(ctx)
	p := &Sandbox{stderr: &cappedBuffer{}, done: make(chan struct{}), kill: kill}
	cmd := exec.CommandContext(ctx, "/proc/self/exe", ChildArgs...)
	cmd.Dir = "/"
	cmd.Env = []string{"LC_ALL=C", "GOTRACEBACK=single", childMark + "=1"}
	cmd.Stderr = p.stderr
	cmd.WaitDelay = time.Second
	cmd.SysProcAttr = childAttr(how)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		kill()
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		kill()
		return nil, err
	}
	p.stdin, p.enc, p.dec = stdin, json.NewEncoder(stdin), json.NewDecoder(stdout)
	p.cgroup, p.noCgroup = newMemoryCgroup(memory)
	started := make(chan error)
	go p.run(ctx, cmd, started)
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start in namespaces of its own: %w%s", err, whyNoNamespaces(err))
	}
	return p, nil
}

// run starts the child, tells whether that went well, and waits for its end.
func (p *Sandbox) run(ctx context.Context, cmd *exec.Cmd, started chan<- error) {
	// The kernel kills the child when the thread that started it ends, so
	// that thread must stay.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer close(p.done)
	defer p.cgroup.remove()
	defer p.kill()
	err := cmd.Start()
	if err == nil && p.noCgroup == nil {
		// It does nothing before it was told to.
		p.noCgroup = p.cgroup.add(cmd.Process.Pid)
	}
	started <- err
	if err != nil {
		return
	}
	_ = cmd.Wait() // what the child had to say came by its pipes
	if st, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && st.Signaled() && ctx.Err() == nil {
		p.killed = KilledError{st.Signal()}
	}
}

// whyNoNamespaces adds what the kernel means (clone(2), user_namespaces(7)).
func whyNoNamespaces(err error) string {
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EUSERS):
		return ": a limit on namespaces is reached (user.max_user_namespaces and its like)"
	case errors.Is(err, syscall.EPERM), errors.Is(err, syscall.EACCES):
		return ": this kernel, container or security module lets only root make them"
	}
	return ""
}

func childAttr(how Confinement) *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{
		Pdeathsig:  syscall.SIGKILL,
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWNET | syscall.CLONE_NEWIPC | syscall.CLONE_NEWUTS,
	}
	switch how {
	case AsNobody:
		attr.Cloneflags |= syscall.CLONE_NEWUSER
		ids := []syscall.SysProcIDMap{{ContainerID: 0, HostID: idBase, Size: idCount}}
		attr.UidMappings, attr.GidMappings, attr.GidMappingsEnableSetgroups = ids, ids, true
		attr.Credential = &syscall.Credential{}
	case AsSelf:
		attr.Cloneflags |= syscall.CLONE_NEWUSER
		attr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
		attr.Credential = &syscall.Credential{NoSetGroups: true}
	}
	return attr
}

// ask sends one message and reads its answer.
func (p *Sandbox) ask(m request, answer any) error {
	err := p.enc.Encode(m)
	if err == nil {
		err = p.dec.Decode(answer)
	}
	if err == nil {
		return nil
	}
	_ = p.stdin.Close()
	<-p.done
	if p.killed != nil {
		return p.killed
	}
	if said := strings.TrimSpace(p.stderr.String()); said != "" {
		return errors.New(firstLine(said))
	}
	return fmt.Errorf("the rehearsal child ended: %w", err)
}

// Build mirrors a machine.
func (p *Sandbox) Build(sc Network) error {
	var r networkReply
	if err := p.ask(request{Network: &sc}, &r); err != nil {
		return err
	}
	if r.Err != "" {
		return errors.New(r.Err)
	}
	return nil
}

// Load lets the tools load files, one after the other, each within a deadline.
func (p *Sandbox) Load(list []Load, deadline time.Duration) ([]LoadResult, error) {
	var r loadsReply
	if err := p.ask(request{Loads: &loadOrder{list, deadline}}, &r); err != nil {
		return nil, err
	}
	if len(r.Results) != len(list) {
		return nil, fmt.Errorf("%d of %d loads are answered for", len(r.Results), len(list))
	}
	return r.Results, nil
}

// Connect tries the connections of a traffic.
func (p *Sandbox) Connect(tr Traffic) ([]Outcome, error) {
	var r trafficReply
	if err := p.ask(request{Traffic: &tr}, &r); err != nil {
		return nil, err
	}
	if r.Err != "" {
		return nil, errors.New(r.Err)
	}
	return r.Results, nil
}

// RenewIPv6 asks whether IPv6 addresses and routes can be renewed.
func (p *Sandbox) RenewIPv6(r Renewal) (RenewalResult, error) {
	var out RenewalResult
	if err := p.ask(request{Renewal: &r}, &out); err != nil {
		return out, err
	}
	if out.Err != "" {
		return out, errors.New(out.Err)
	}
	return out, nil
}

// MemoryLimit is an error where no memory cgroup is around the child: why none could be
// had.
func (p *Sandbox) MemoryLimit() error { return p.noCgroup }

// Close ends the child and everything in its namespaces.
func (p *Sandbox) Close() {
	_ = p.stdin.Close()
	select {
	case <-p.done:
	case <-time.After(closeDeadline):
		p.kill()
		<-p.done
	}
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}
