package grouping

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"lifeline/probes/rsync/proctest"
)

// A process that is in the midst of execve(2) runs rsync and has no arguments yet:
// it is looked at again. One that never gets any is none.
func TestScannerWaitsForTheEndOfExec(t *testing.T) {
	h := proctest.NewHost(t, proctest.Process{PID: 20, PPID: 1, Exe: "rsync", Argv: proctest.Rsyncd, Fds: "5=socket:[200]"})
	h.Conn(200, "10.0.0.1:873", "10.0.0.9:40000")
	cmdline := filepath.Join(h.Root, "20", "cmdline")
	args, err := os.ReadFile(cmdline)
	if err != nil {
		t.Fatal(err)
	}
	for _, ends := range []bool{true, false} {
		if err := os.WriteFile(cmdline, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		s := hostTable(h, false)
		s.AddRsync(20)
		transfers, waiting := Group(s, s.Running())
		if len(transfers) != 0 || len(waiting) != 1 {
			t.Fatalf("without arguments: %d transfers, %d to be looked at again", len(transfers), len(waiting))
		}
		if ends {
			if err := os.WriteFile(cmdline, args, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		s.Begin(s.Now.Add(500 * time.Millisecond))
		s.Forget(20)
		transfers, waiting = Group(s, s.Running())
		if found := len(transfers) == 1; found != ends || len(waiting) == 1 == ends {
			t.Errorf("later: %d transfers, %d to be looked at again; has arguments: %v", len(transfers), len(waiting), ends)
		}
		s.Begin(s.Now.Add(time.Second))
		s.Forget(20)
		if n := len(s.Running()); n == 1 != ends {
			t.Errorf("in the end: %d rsyncs; has arguments: %v", n, ends)
		}
	}
}
