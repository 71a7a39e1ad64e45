package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lifeline/cmd/lifeline/scenario"
	"lifeline/watchdog"
	"lifeline/watchdog/lab"
	"lifeline/watchdog/web"
)

// binary is the real daemon, built once for all end-to-end tests.
var binary string

func TestMain(m *testing.M) {
	os.Exit(testMain(m))
}

func testMain(m *testing.M) int {
	dir, err := os.MkdirTemp("", "lifeline-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil { // other users run it too
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	binary = filepath.Join(dir, "lifeline")
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// stage is a lab with a daemon and transfers in it.
type stage struct {
	*testing.T
	lab    *lab.Lab
	daemon *scenario.Running
	batch  lab.Batch
	before string // the server's links and queues before the daemon came
}

// setStage builds a lab and starts the daemon in it.
func setStage(t *testing.T, o lab.Options, config string) *stage {
	t.Helper()
	s := buildStage(t, o)
	s.launch(config)
	return s
}

// buildStage builds a lab with an administrator who is logged in.
func buildStage(t *testing.T, o lab.Options) *stage {
	t.Helper()
	s := buildLab(t, o)
	admin, err := s.lab.AdminSession(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { admin.Close() })
	return s
}

// buildLab builds a lab in which nobody is logged in.
func buildLab(t *testing.T, o lab.Options) *stage {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: makes network namespaces")
	}
	l, err := lab.New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Errorf("lab: %v", err)
		}
	})
	s := &stage{T: t, lab: l}
	s.before = s.dump()
	return s
}

// launch starts the daemon, by itself or under a command that runs it.
func (s *stage) launch(config string, under ...string) {
	s.Helper()
	s.launchAs(scenario.Daemon{Config: config, Under: under})
}

// launchAs starts the daemon in a way of its own.
func (s *stage) launchAs(how scenario.Daemon) {
	s.Helper()
	how.Binary = binary
	d, err := how.Start(s.Context(), s.lab)
	if err != nil {
		s.Fatal(err)
	}
	s.daemon = d
	s.Cleanup(d.Stop)
	s.atHome()
	s.Cleanup(func() {
		if s.Failed() {
			s.Logf("the daemon's log:\n%s", d.Log())
		}
	})
}

// atHome checks that the daemon's main thread was not lent out to another
// network namespace: that is the one which the process is taken to be in.
func (s *stage) atHome() {
	s.Helper()
	var st unix.Stat_t
	if err := unix.Stat(fmt.Sprintf("/proc/%d/ns/net", s.daemon.Pid()), &st); err != nil {
		s.Fatal(err)
	}
	if want, _ := s.lab.Srv.Netns(); st.Ino != want {
		s.Errorf("the daemon is in network namespace %d, not %d", st.Ino, want)
	}
}

func (s *stage) dump() string {
	s.Helper()
	d, err := s.lab.Srv.Dump()
	if err != nil {
		s.Fatal(err)
	}
	return d
}

// start starts transfers and waits until the daemon knows them all.
func (s *stage) start(ts lab.Transfers) {
	s.Helper()
	s.begin(ts)
	s.until("all transfers are known", func() bool { return len(s.ours()) >= ts.N })
}

// begin starts transfers.
func (s *stage) begin(ts lab.Transfers) {
	s.Helper()
	batch, err := s.lab.Start(s.Context(), ts)
	if err != nil {
		s.Fatal(err)
	}
	s.batch = append(s.batch, batch...)
	s.Cleanup(batch.Stop)
}

// patience is how long a condition may take on a slow machine; no test passes
// or fails by being faster.
const patience = 40 * time.Second

func (s *stage) until(what string, cond func() bool) {
	s.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if cond() {
			return
		}
	}
	s.Fatalf("not within %s: %s\n%s", patience, what, s.status())
}

// status is the daemon's, in words.
func (s *stage) status() string {
	st, err := s.daemon.Status(context.Background())
	if err != nil {
		return err.Error()
	}
	var b strings.Builder
	if err := st.Text(&b); err != nil {
		return err.Error()
	}
	return b.String()
}

// ours are the server's transfers, as the daemon sees them.
func (s *stage) ours() []web.Transfer {
	s.Helper()
	st, err := s.daemon.Status(s.Context())
	if err != nil {
		s.Fatal(err)
	}
	var out []web.Transfer
	for _, t := range st.Transfers {
		if !t.Foreign {
			out = append(out, t)
		}
	}
	return out
}

func (s *stage) client() *web.Client {
	return web.NewClient(filepath.Join(s.daemon.Dir, "run", "control.sock"))
}

func (s *stage) stands(name watchdog.ConditionName) bool {
	st, err := s.daemon.Status(s.Context())
	if err != nil {
		s.Fatal(err)
	}
	for _, c := range st.Conditions {
		if c.Name == name {
			return true
		}
	}
	return false
}
