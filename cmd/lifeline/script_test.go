package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// The scripts in testdata/script say what the command line answers to its
// user. Those that start a daemon do so in a network namespace of its own and
// with directories of its own, so that nothing of this host is met.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			e.Setenv("PATH", filepath.Dir(binary)+string(os.PathListSeparator)+e.Getenv("PATH"))
			shm, err := os.MkdirTemp("/dev/shm", "lifeline-script-")
			if err != nil {
				return err
			}
			e.Defer(func() { os.RemoveAll(shm) })
			e.Setenv("RUN", shm)
			return os.Chmod(shm, 0o755) // open to other users, and in memory
		},
		Condition: func(name string) (bool, error) {
			if name == "root" {
				return os.Geteuid() == 0, nil
			}
			return false, errors.New("unknown condition " + name)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": exits, "waitstatus": waitStatus},
	})
}

// waitStatus waits until the daemon of a configuration answers, or answers with a
// text: waitstatus FILE [TEXT]
func waitStatus(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 || len(args) > 2 {
		ts.Fatalf("usage: waitstatus FILE [TEXT]")
	}
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if ts.Exec("lifeline", "status", "--config", args[0]) == nil &&
			(len(args) == 1 || strings.Contains(ts.ReadFile("stdout"), args[1])) {
			return
		}
	}
	ts.Fatalf("no daemon answers %q within %s", args[1:], patience)
}

// exits runs a program and wants an exit code: exits CODE PROGRAM ARGUMENT...
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM ARGUMENT...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		got = exit.ExitCode()
	case err != nil:
		ts.Fatalf("%v", err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}
