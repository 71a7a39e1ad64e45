package scenario

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"lifeline/watchdog/lab"
	"lifeline/watchdog/web"
)

// Daemon says how to run Lifeline in a lab.
type Daemon struct {
	Binary string
	Config string    // text of its configuration file; the defaults when empty
	Under  []string  // a command line that runs it, as setpriv(1) does; may be nil
	Args   []string  // further arguments of `lifeline run`
	Log    io.Writer // also gets what the daemon writes; may be nil
}

// Running is a daemon in a lab.
type Running struct {
	cmd    *lab.Cmd
	done   chan struct{} // closed when the process has ended
	err    error         // how; valid then
	client *web.Client
	out    *output
	Dir    string // holds its state, its run directory and its socket
}

// output collects what a process writes.
type output struct {
	mu   sync.Mutex
	buf  bytes.Buffer
	also io.Writer // may be nil
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.also != nil {
		_, _ = o.also.Write(b) // a spectator who left is no reason to stop
	}
	return o.buf.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// Start runs the daemon on the lab's server and waits until it answers.
func (d *Daemon) Start(ctx context.Context, l *lab.Lab) (*Running, error) {
	dir, err := os.MkdirTemp(l.Dir(), "lifeline-")
	if err != nil {
		return nil, err
	}
	text := fmt.Sprintf("state_dir = %q\nrun_dir = %q\n%s", filepath.Join(dir, "state"), filepath.Join(dir, "run"), d.Config)
	file := filepath.Join(dir, "lifeline.toml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return nil, err
	}
	argv := append(slices.Concat(d.Under, []string{d.Binary, "run", "--config", file}), d.Args...)
	r := &Running{
		cmd: l.Srv.Command(context.WithoutCancel(ctx), argv[0], argv[1:]...),
		out: &output{also: d.Log}, done: make(chan struct{}), Dir: dir,
		client: web.NewClient(filepath.Join(dir, "run", "control.sock")),
	}
	r.cmd.Stdout, r.cmd.Stderr = r.out, r.out
	if err := r.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		r.err = r.cmd.Wait()
		close(r.done)
	}()
	if err := r.ready(ctx); err != nil {
		r.Stop()
		return nil, fmt.Errorf("daemon: %w\n%s", err, r.out)
	}
	return r, nil
}

// ready waits for the first cycle.
func (r *Running) ready(ctx context.Context) error {
	for range 300 {
		st, err := r.client.Status(ctx)
		if err == nil && !st.At.IsZero() {
			return nil
		}
		select {
		case <-r.done:
			return fmt.Errorf("ended: %v", r.err)
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
	return fmt.Errorf("does not answer")
}

// Status asks the daemon.
func (r *Running) Status(ctx context.Context) (web.Status, error) { return r.client.Status(ctx) }

// Pid is the daemon's.
func (r *Running) Pid() int { return r.cmd.Process.Pid }

// Log is what the daemon wrote so far.
func (r *Running) Log() string { return r.out.String() }

// Stop ends the daemon by SIGTERM and waits until it has undone everything. A
// daemon that has ended already is no trouble.
func (r *Running) Stop() {
	_ = r.cmd.Process.Signal(unix.SIGTERM) // it may have ended by itself
	select {
	case <-r.done:
	case <-time.After(15 * time.Second):
		_ = r.cmd.Process.Kill()
		<-r.done
	}
}

// Usage is what the daemon and its guard cost.
type Usage struct {
	CPU float64 // of one core, ratio, over the measurement
	RSS int64   // bytes, both together, at its end
}

// processes are the daemon and its guard; none without a daemon.
type processes []int

type usage struct {
	at  time.Time
	cpu time.Duration
	rss int64
}

func (u usage) since(before usage) Usage {
	if u.at.IsZero() {
		return Usage{}
	}
	return Usage{CPU: float64(u.cpu-before.cpu) / float64(u.at.Sub(before.at)), RSS: u.rss}
}

// Usage measures the daemon and its guard for as long as span.
func (r *Running) Usage(ctx context.Context, span time.Duration) (Usage, error) {
	ps, err := r.processes()
	if err != nil {
		return Usage{}, err
	}
	before, err := ps.usage()
	if err != nil {
		return Usage{}, err
	}
	if err := sleep(ctx, span); err != nil {
		return Usage{}, err
	}
	after, err := ps.usage()
	return after.since(before), err
}

// processes asks the daemon, which costs it as much as a cycle: not to be done
// while it is measured.
func (r *Running) processes() (processes, error) {
	if r == nil {
		return nil, nil
	}
	st, err := r.client.Status(context.Background())
	if err != nil {
		return nil, err
	}
	return processes{st.PID, st.GuardPID}, nil
}

// usage reads what the processes have used so far; it is zero without any.
func (ps processes) usage() (u usage, err error) {
	for _, pid := range ps {
		cpu, rss, err := processUsage(pid)
		if err != nil {
			return u, err
		}
		u.at = time.Now()
		u.cpu += cpu
		u.rss += rss
	}
	return u, nil
}

// processUsage reads the CPU clock of a process (clock_getcpuclockid(3)), which
// counts nanoseconds, and its resident pages (statm in proc(5)).
func processUsage(pid int) (cpu time.Duration, rss int64, err error) {
	const scheduled = 2 // CPUCLOCK_SCHED of linux/posix-timers.h: user and system
	var ts unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|scheduled), &ts); err != nil {
		return 0, 0, fmt.Errorf("CPU clock of process %d: %w", pid, err)
	}
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0, 0, err
	}
	var size, pages int64
	if _, err := fmt.Sscan(string(b), &size, &pages); err != nil {
		return 0, 0, fmt.Errorf("/proc/%d/statm: %w", pid, err)
	}
	return time.Duration(ts.Nano()), pages * int64(os.Getpagesize()), nil
}
