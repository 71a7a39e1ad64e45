package sockets

import (
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"lifeline/probes/rsync/proc"
	"lifeline/watchdog"
)

// openFDs counts what this process has open.
func openFDs(t *testing.T) int {
	t.Helper()
	names, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(names)
}

func TestDuplicator(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pair[1])
	var st unix.Stat_t
	if err := unix.Fstat(pair[0], &st); err != nil {
		t.Fatal(err)
	}
	procfs := proc.FS{Root: "/proc"}
	self, err := procfs.Stat(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	d := NewDuplicator(procfs)
	defer d.Retain(func(watchdog.ProcID) bool { return false })
	ref := watchdog.FDRef{Proc: self.ID, FD: pair[0]}
	info, err := d.Inspect(ref, st.Ino)
	if err != nil || info != (Info{Kind: UnixStream}) {
		t.Fatalf("a socketpair: %+v, %v", info, err)
	}
	before := openFDs(t)
	for range 100 {
		if _, err := d.Inspect(ref, st.Ino); err != nil {
			t.Fatal(err)
		}
	}
	if after := openFDs(t); after != before {
		t.Errorf("%d descriptors open before, %d after", before, after)
	}
	reused := ref
	reused.Proc.Start++
	wrongFD := ref
	wrongFD.FD = 1 << 20
	for name, c := range map[string]struct {
		ref   watchdog.FDRef
		inode uint64
	}{
		"pid of another process": {reused, st.Ino}, "another socket": {ref, st.Ino + 1}, "closed descriptor": {wrongFD, st.Ino},
	} {
		if _, err := d.Inspect(c.ref, c.inode); !errors.Is(err, proc.ErrGone) {
			t.Errorf("%s: got %v, want %v", name, err, proc.ErrGone)
		}
	}
}
