package sockets

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lifeline/probes/rsync/proc"
	"lifeline/watchdog"
	"lifeline/watchdog/sockdiag"
	"lifeline/watchdog/tcptest"
)

// barred is a kernel that gives no duplicates.
type barred struct{}

func (barred) Inspect(watchdog.FDRef, uint64) (Info, error) {
	return Info{}, unix.ENOSYS
}

// Loopback makes a TCP connection to itself over the loopback link.
func TestWithoutDuplicates(t *testing.T) {
	near, far := tcptest.Pair(t)
	procfs := proc.FS{Root: "/proc"}
	self, err := procfs.Stat(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	inode, fd := tcptest.Inode(t, near)
	f := NewFallback(barred{}, procfs)
	info, err := f.Inspect(watchdog.FDRef{Proc: self.ID, FD: fd}, inode)
	if err != nil || info.Kind != TCPConnected || !errors.Is(info.OutOfReach, unix.ENOSYS) {
		t.Fatalf("got %+v, %v", info, err)
	}
	local := near.LocalAddr().(*net.TCPAddr).AddrPort()
	remote := near.RemoteAddr().(*net.TCPAddr).AddrPort()
	if info.Local != local || info.Remote != remote {
		t.Errorf("addresses %v and %v, want %v and %v", info.Local, info.Remote, local, remote)
	}
	if _, err := f.Inspect(watchdog.FDRef{Proc: self.ID, FD: fd}, inode+1<<40); !errors.Is(err, unix.ENOSYS) {
		t.Errorf("an unknown socket: %v", err)
	}
	if _, err := far.Write(make([]byte, 4711)); err != nil {
		t.Fatal(err)
	}
	d := sockdiag.NewClient()
	defer d.Close()
	socket := watchdog.Socket{Inode: inode, Local: local, Remote: remote}
	other, ended := socket, socket
	other.Inode++
	ended.Remote = netip.MustParseAddrPort("127.0.0.1:1")
	await(t, "bytes in sock_diag", func() bool {
		var told []int
		var bytes uint64
		err := d.TCPInfo([]watchdog.Socket{other, socket, ended}, func(i int, info *sockdiag.TCPInfo) {
			told, bytes = append(told, i), info.Bytes_received
			if info.RcvWscale == 0 {
				t.Error("no window scale")
			}
		})
		if err != nil || !slices.Equal(told, []int{1}) {
			t.Fatalf("told of %v, want 1, for 0 is another socket by now and 2 none: %v", told, err)
		}
		return bytes == 4711
	})
}

// await polls until a condition holds.
func await(t *testing.T, what string, met func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !met(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}
