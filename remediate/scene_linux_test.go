package remediate

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"lifeline/remediate/guard"
	"lifeline/remediate/process"
	"lifeline/remediate/roletest"
	"lifeline/remediate/sockopt"
	"lifeline/remediate/trial"
	"lifeline/remediate/trial/trialtest"
	"lifeline/remediate/undo"
	"lifeline/watchdog"
	"lifeline/watchdog/ledger"
)

// undoneWithin is what is promised for a daemon that dies or hangs.
const undoneWithin = 2 * time.Second

func guardRole() error {
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	return guard.Run(os.Args[1], guard.DefaultLease, undo.Undoer{}, log)
}

// daemonRole is a small daemon: it limits and pauses the transfers that are
// listed in its directory until it is told to end.
func daemonRole() error {
	dir := os.Args[1]
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	start, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	lock, err := undo.Acquire(start, dir)
	if err != nil {
		return err
	}
	defer lock.Release()
	l, _, err := undo.Reconcile(ctx, dir, undo.Undoer{})
	if err != nil {
		return err
	}
	defer l.Close()
	g := &guard.Supervisor{Argv: roletest.Play("guard", dir), Ledger: l, Log: slog.New(slog.NewTextHandler(os.Stderr, nil))}
	if _, err := os.Stat(filepath.Join(dir, slowBus)); err == nil {
		g.Place = func(int) error {
			time.Sleep(2 * guard.DefaultLease)
			return nil
		}
	}
	e := New(l, g, nil, Settings{Bursts: true})
	for {
		transfers, want, err := orders(dir)
		if err != nil {
			return err
		}
		o := e.Apply(ctx, want, transfers)
		fmt.Println("limits", len(o.Limits), "stopped", len(o.Stopped), "guard", g.PID(), "small", o.SmallBursts, "failed", o.Failed)
		select {
		case <-ctx.Done():
			err := e.ReleaseAll(context.Background(), undo.Undoer{})
			g.Close()
			return err
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// wantSmall is the file in a daemon's directory that asks for small bursts.
const wantSmall = "small"

// slowBus is the file in a daemon's directory by which it takes long to place a guard.
const slowBus = "slowbus"

// order is a transfer and what is wanted for it.
type order struct {
	Transfer watchdog.Transfer
	Limit    watchdog.Limit
}

func orders(dir string) ([]watchdog.Transfer, watchdog.Desired, error) {
	want := watchdog.Desired{Limits: map[watchdog.TransferID]watchdog.Limit{}}
	b, err := os.ReadFile(filepath.Join(dir, "orders"))
	if err != nil {
		return nil, want, err
	}
	var given []order
	if err := json.Unmarshal(b, &given); err != nil {
		return nil, want, err
	}
	_, err = os.Stat(filepath.Join(dir, wantSmall))
	want.SmallBursts = err == nil
	var ts []watchdog.Transfer
	for _, o := range given {
		ts = append(ts, o.Transfer)
		want.Limits[o.Transfer.ID] = o.Limit
	}
	return ts, want, nil
}

// testDaemon is a running daemonRole.
type testDaemon struct {
	t     *testing.T
	dir   string
	cmd   *exec.Cmd
	lines chan string

	mu                    sync.Mutex
	limits                int // that are to be in force; 0 before that is watched
	lapsed, longestLapsed int // cycles with fewer
}

// watchLimits counts from now on the cycles in which fewer limits are in force.
func (d *testDaemon) watchLimits(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.limits = n
}

// longestLapse is how many cycles in a row had fewer.
func (d *testDaemon) longestLapse() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.longestLapsed
}

// see takes what the daemon says of one cycle.
func (d *testDaemon) see(line string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var n int
	if _, err := fmt.Sscanf(line, "limits %d ", &n); err != nil || n >= d.limits {
		d.lapsed = 0
		return
	}
	d.lapsed++
	d.longestLapsed = max(d.longestLapsed, d.lapsed)
}

// cycles waits for n more cycles.
func (d *testDaemon) cycles(n int) {
	d.t.Helper()
	for len(d.lines) > 0 {
		<-d.lines
	}
	d.await("more cycles", func(string) bool { n--; return n == 0 })
}

// wait waits for the daemon's end, and gives its error.
func (d *testDaemon) wait() error {
	d.t.Helper()
	ended := make(chan error, 1)
	go func() { ended <- d.cmd.Wait() }()
	select {
	case err := <-ended:
		return err
	case <-time.After(20 * time.Second):
		d.t.Fatal("the daemon does not end")
		return nil
	}
}

func startDaemon(t *testing.T, dir string) *testDaemon {
	t.Helper()
	d := &testDaemon{t: t, dir: dir, lines: make(chan string, 1000)}
	argv := roletest.Play("daemon", dir)
	d.cmd = exec.Command(argv[0], argv[1:]...)
	d.cmd.Stderr = os.Stderr
	out, err := d.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(d.lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			d.see(s.Text())
			select {
			case d.lines <- s.Text():
			default:
			}
		}
	}()
	t.Cleanup(func() {
		d.cmd.Process.Kill()
		d.cmd.Wait()
	})
	return d
}

// await reads the daemon's lines until one satisfies cond.
func (d *testDaemon) await(what string, cond func(line string) bool) {
	d.t.Helper()
	timeout := time.After(20 * time.Second)
	var line string
	for {
		var ok bool
		select {
		case line, ok = <-d.lines:
			if !ok {
				d.t.Fatalf("daemon ended before: %s", what)
			}
			if cond(line) {
				return
			}
		case <-timeout:
			d.t.Fatalf("never: %s; the daemon says: %s", what, line)
		}
	}
}

func (d *testDaemon) signal(s syscall.Signal) {
	d.t.Helper()
	if err := d.cmd.Process.Signal(s); err != nil {
		d.t.Fatal(err)
	}
}

// guard reads the pid of the guard out of the daemon's next line.
func (d *testDaemon) guard() int {
	d.t.Helper()
	var pid int
	for len(d.lines) > 0 {
		<-d.lines
	}
	d.await("a guard", func(line string) bool {
		_, rest, _ := strings.Cut(line, " guard ")
		fmt.Sscan(rest, &pid)
		return pid > 0
	})
	return pid
}

// scene is a daemon with limited and paused transfers.
type scene struct {
	t      *testing.T
	dir    string
	trials []*trial.Connection
	daemon *testDaemon
}

// newScene limits half of n transfers and pauses the other half.
func newScene(t *testing.T, n int) *scene {
	t.Helper()
	s := &scene{t: t, dir: t.TempDir()}
	s.begin(n)
	return s
}

// newSlowScene is one where it takes long to place a guard.
func newSlowScene(t *testing.T, n int) *scene {
	t.Helper()
	s := &scene{t: t, dir: t.TempDir()}
	if err := os.WriteFile(filepath.Join(s.dir, slowBus), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s.begin(n)
	return s
}

// begin starts n transfers and the daemon.
func (s *scene) begin(n int) {
	t := s.t
	t.Helper()
	var os []order
	for i := range n {
		tr := trialtest.New(t)
		s.trials = append(s.trials, tr)
		os = append(os, order{trialtest.TransferOf(tr), watchdog.Limit{Window: 8192, Pacing: 1e6, Pause: i%2 == 1}})
	}
	s.write(os)
	s.daemon = startDaemon(t, s.dir)
	s.daemon.await("limited and paused", func(line string) bool {
		return strings.HasPrefix(line, fmt.Sprintf("limits %d stopped ", n)) && !strings.Contains(line, "stopped 0")
	})
}

func (s *scene) write(o []order) {
	s.t.Helper()
	b, err := json.Marshal(o)
	if err != nil {
		s.t.Fatal(err)
	}
	tmp := filepath.Join(s.dir, "orders.new")
	if err := os.WriteFile(tmp, b, 0o600); err != nil {
		s.t.Fatal(err)
	}
	if err := os.Rename(tmp, filepath.Join(s.dir, "orders")); err != nil {
		s.t.Fatal(err)
	}
}

// remains lists what is still limited or stopped.
func (s *scene) remains() []string {
	var out []string
	for i, tr := range s.trials {
		if st, err := process.StatOf(tr.Proc); err != nil || st.Stopped() {
			out = append(out, fmt.Sprintf("transfer %d: state %c, %v", i, st.State, err))
		}
		c, err := tr.Inspect()
		if err != nil || c.WindowClamp != sockopt.NoWindowClamp || c.Pacing != sockopt.NoPacing {
			out = append(out, fmt.Sprintf("transfer %d: window %d, pacing %d, %v", i, c.WindowClamp, c.Pacing, err))
		}
	}
	return out
}

// free waits until nothing remains and gives the time that it took.
func (s *scene) free() time.Duration {
	s.t.Helper()
	begin := time.Now()
	for time.Since(begin) < 20*time.Second {
		if len(s.remains()) == 0 {
			took := time.Since(begin)
			s.t.Logf("free after %v", took.Round(time.Millisecond))
			return took
		}
		time.Sleep(5 * time.Millisecond)
	}
	s.t.Fatalf("never free:\n%s", strings.Join(s.remains(), "\n"))
	return 0
}

// flows says that each transfer works at full speed again.
func (s *scene) flows() {
	s.t.Helper()
	for i, tr := range s.trials {
		if w, err := tr.Flow(10*time.Second, func(w int64) bool { return w >= 1<<20 }); err != nil || w < 1<<20 {
			s.t.Errorf("transfer %d offers %d bytes, %v; want a megabyte", i, w, err)
		}
	}
}

func (s *scene) emptyLedger() {
	s.t.Helper()
	roletest.Eventually(s.t, "the ledger is empty", func() bool {
		st, err := ledger.Read(s.dir)
		return err == nil && st.Len() == 0
	})
}
