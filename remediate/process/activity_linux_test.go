package process

import (
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"

	"lifeline/remediate/roletest"
	"lifeline/watchdog"
)

// A process that spins could run, and uses a processor; one that waits or was stopped
// could not.
func TestActivity(t *testing.T) {
	start := func(argv ...string) watchdog.ProcID {
		t.Helper()
		cmd := exec.Command(argv[0], argv[1:]...)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			cmd.Process.Kill()
			cmd.Wait()
		})
		st, err := ReadStat(cmd.Process.Pid)
		if err != nil {
			t.Fatal(err)
		}
		return watchdog.ProcID{PID: cmd.Process.Pid, Start: st.Start}
	}
	of := func(p watchdog.ProcID) Activity {
		t.Helper()
		a, err := ActivityOf(p)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	spins := start("sh", "-c", "while :; do :; done")
	waits := start("sleep", "600")
	roletest.Eventually(t, "it spins", func() bool { a := of(spins); return a.Runnable && a.CPU > 0 })
	roletest.Eventually(t, "it waits", func() bool { return !of(waits).Runnable })
	if err := unix.Kill(spins.PID, unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	roletest.Eventually(t, "it stands", func() bool { return !of(spins).Runnable })
	spins.Start++
	if _, err := ActivityOf(spins); err == nil {
		t.Error("the activity of another process was told")
	}
}
