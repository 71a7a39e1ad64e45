package rsync

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"testing"
	"time"

	"lifeline/probes/rsync/grouping"
	"lifeline/probes/rsync/proc"
	"lifeline/probes/rsync/proctable"
	"lifeline/probes/rsync/sockets"
	"lifeline/watchdog"
)

// An rsync that holds thousands of other sockets is looked at in portions, and its
// transfer is found all the same.
func TestTransferBehindManySockets(t *testing.T) {
	const many = 3000
	s := newSite(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	var files []*os.File
	for range many {
		pair, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			t.Fatal(err)
		}
		f, err := pair.File()
		pair.Close()
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	c := exec.Command("rsync", "-a", "--bwlimit=1000", s.Path("src")+"/", fmt.Sprintf("rsync://%s/dst/7/", daemonAddr))
	c.ExtraFiles = files
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		f.Close()
	}
	t.Cleanup(func() {
		c.Process.Kill()
		c.Wait()
	})
	p := s.probe(Options{})
	s.await("transfer", func() bool {
		x, ok := p.by(watchdog.ViaDaemonClient)
		return ok && x.Control == watchdog.ControlLimitOnly && x.Socket.Remote.Port() == 8873
	})
	procfs := proc.FS{Root: "/proc"}
	dup := sockets.NewDuplicator(procfs)
	defer dup.Retain(func(watchdog.ProcID) bool { return false })
	table := proctable.New(procfs, sockets.NewFallback(dup, procfs), dup)
	table.Events = true
	table.AddRsync(c.Process.Pid)
	found := false
	for range 100 {
		table.Begin(time.Now())
		grouping.Group(table, table.Running())
		if most := proctable.MaxPassWork; table.Work > most {
			t.Fatalf("a pass cost %d, at most %d", table.Work, most)
		}
		p := table.Process(c.Process.Pid)
		found = found || p != nil && len(table.Holds(p).Sockets) > many
	}
	if !found {
		t.Error("not all of its sockets were looked at in 100 passes")
	}
}
