package sockets

import (
	"errors"
	"os/exec"
	"testing"

	"lifeline/probes/rsync/proc"
	"lifeline/watchdog"
)

func TestHandleMeansOneProcess(t *testing.T) {
	cmd := exec.Command("sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	procfs := proc.FS{Root: "/proc"}
	d := NewDuplicator(procfs)
	defer d.Retain(func(watchdog.ProcID) bool { return false })
	st, err := procfs.Stat(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	other := st.ID
	other.Start++
	if _, err := d.Stat(other); !errors.Is(err, proc.ErrGone) || d.Alive(other) {
		t.Errorf("a process that was there before: %v", err)
	}
	for range 2 { // opened, held
		if got, err := d.Stat(st.ID); err != nil || got.ID != st.ID || !d.Alive(st.ID) {
			t.Errorf("got %+v, %v", got, err)
		}
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait() // reaped: the pid may be another's now
	if got, err := d.Stat(st.ID); err == nil || d.Alive(st.ID) {
		t.Errorf("after its end: %+v", got)
	}
	d.Retain(func(watchdog.ProcID) bool { return false })
	if len(d.handles) != 0 {
		t.Errorf("held: %v", d.handles)
	}
}
