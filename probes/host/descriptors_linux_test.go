package host

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A process that may have few descriptors is told before none is left, and no
// longer once it has some.
func TestDescriptorsRunOut(t *testing.T) {
	const env = "LIFELINE_FEW_DESCRIPTORS"
	if os.Getenv(env) == "" { // limits are of a whole process: one of its own
		cmd := exec.Command(os.Args[0], "-test.run=^TestDescriptorsRunOut$", "-test.v")
		cmd.Env = append(os.Environ(), env+"=1")
		if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS") {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	d := NewDescriptors()
	if errs := d.Sample(0); len(errs) > 0 {
		t.Fatal(errs)
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 64, Max: 64}); err != nil {
		t.Fatal(err)
	}
	var held []*os.File
	for {
		f, err := os.Open("/dev/null")
		if err != nil {
			break
		}
		held = append(held, f)
	}
	held[len(held)-1].Close()
	errs := d.Sample(2 * time.Second)
	if len(errs) != 1 || !strings.Contains(errs[0].Err, "only 1 of the 64") || !strings.Contains(errs[0].Err, "LimitNOFILE") {
		t.Errorf("one is left: %v", errs)
	}
	for _, f := range held {
		f.Close()
	}
	if errs := d.Sample(2500 * time.Millisecond); len(errs) != 1 {
		t.Errorf("looked again within a second: %v", errs)
	}
	if errs := d.Sample(4 * time.Second); len(errs) > 0 {
		t.Errorf("all are free: %v", errs)
	}
}

// A child has the soft limit that the daemon was started with, not the one that
// it was raised to.
func TestChildrenKeepTheSoftLimit(t *testing.T) {
	const env = "LIFELINE_SOFT_LIMIT"
	if os.Getenv(env) != "" {
		var r unix.Rlimit
		if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &r); err != nil || r.Cur+1 < r.Max { // Go leaves one off
			t.Errorf("the daemon itself: %d of %d, %v", r.Cur, r.Max, err)
		}
		out, err := exec.Command("sh", "-c", "ulimit -Sn").CombinedOutput()
		if err != nil || strings.TrimSpace(string(out)) != "40" {
			t.Errorf("child: %q, %v", out, err)
		}
		return
	}
	cmd := exec.Command("sh", "-c", `ulimit -Sn 40 && exec "$0" -test.run='^TestChildrenKeepTheSoftLimit$' -test.v`, os.Args[0])
	cmd.Env = append(os.Environ(), env+"=1")
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS") {
		t.Errorf("%v\n%s", err, out)
	}
}
