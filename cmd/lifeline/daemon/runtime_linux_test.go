package daemon

import (
	"os"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// A thread that hurries has short slices where the kernel knows them, and one whose
// policy somebody chose keeps it.
func TestShortSlices(t *testing.T) {
	runtime.LockOSThread() // and ends with this test: it is not as others are
	before, err := unix.SchedGetAttr(0, 0)
	if err != nil || before.Runtime == 0 {
		t.Skipf("no slices of a thread's own (Linux 6.12): %+v, %v", before, err)
	}
	shorten(0, int(before.Nice))
	if now, err := unix.SchedGetAttr(0, 0); err != nil || now.Runtime != uint64(slice) || now.Nice != before.Nice {
		t.Errorf("%+v, %v; before %+v", now, err, before)
	}
	if os.Geteuid() != 0 {
		return
	}
	batch := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_BATCH}
	if err := unix.SchedSetAttr(0, &batch, 0); err != nil {
		t.Fatal(err)
	}
	shorten(0, 0)
	if now, err := unix.SchedGetAttr(0, 0); err != nil || now.Policy != unix.SCHED_BATCH {
		t.Errorf("%+v, %v", now, err)
	}
}
