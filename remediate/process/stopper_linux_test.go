package process

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"lifeline/watchdog"
)

func TestListenersAndOurselvesAreNotStopped(t *testing.T) {
	k := NewStopper(&Handles{})
	for _, pid := range ancestors() {
		st, err := ReadStat(pid)
		if err != nil || pid == 1 {
			continue
		}
		if err := k.Stop(watchdog.ProcID{PID: pid, Start: st.Start}); err == nil {
			t.Fatalf("process %d was stopped", pid)
		}
	}
	if err := k.Stop(watchdog.ProcID{PID: 1}); err == nil {
		t.Fatal("process 1 was stopped")
	}
}

// What a process holds decides how long it takes to see whether it may be stopped: with
// very many descriptors it is not, and the reason is told.
func TestProcessOfManyDescriptorsIsNotStopped(t *testing.T) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	c := exec.Command("sleep", "600")
	for range maxVetted {
		c.ExtraFiles = append(c.ExtraFiles, null)
	}
	if err := c.Start(); err != nil {
		t.Skipf("no process with %d descriptors: %v", maxVetted, err)
	}
	t.Cleanup(func() {
		c.Process.Kill()
		c.Wait()
	})
	st, err := ReadStat(c.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	p := watchdog.ProcID{PID: c.Process.Pid, Start: st.Start}
	if err := NewStopper(&Handles{}).Stop(p); err == nil || !strings.Contains(err.Error(), "descriptors") {
		t.Errorf("stop: %v", err)
	}
	if st, err := StatOf(p); err != nil || st.Stopped() {
		t.Errorf("state %c, %v", st.State, err)
	}
}
