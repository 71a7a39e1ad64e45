package rsync

import (
	"errors"
	"os/exec"
	"testing"

	"lifeline/watchdog"
)

func TestHandleMeansOneProcess(t *testing.T) {
	cmd := exec.Command("sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	proc := procFS{root: "/proc"}
	d := &duplicator{proc: proc}
	defer d.keep(func(watchdog.ProcID) bool { return false })
	st, err := proc.stat(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	other := st.ID
	other.Start++
	if _, err := d.stat(other); !errors.Is(err, errGone) || d.lives(other) {
		t.Errorf("a process that was there before: %v", err)
	}
	for range 2 { // opened, held
		if got, err := d.stat(st.ID); err != nil || got.ID != st.ID || !d.lives(st.ID) {
			t.Errorf("got %+v, %v", got, err)
		}
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait() // reaped: the pid may be another's now
	if got, err := d.stat(st.ID); err == nil || d.lives(st.ID) {
		t.Errorf("after its end: %+v", got)
	}
	d.keep(func(watchdog.ProcID) bool { return false })
	if len(d.held) != 0 {
		t.Errorf("held: %v", d.held)
	}
}

func TestSpecialPaths(t *testing.T) {
	for path, want := range map[string]bool{
		"/dev/null": true, "/dev/pts/1": true, "/proc/1/stat": true,
		"/dev/shm/backup/a": false, "/srv/dev/null": false, "/device": false,
	} {
		if special(path) != want {
			t.Errorf("%s: got %v", path, !want)
		}
	}
}
