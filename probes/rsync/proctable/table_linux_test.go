package proctable

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"lifeline/probes/rsync/proc"
	"lifeline/probes/rsync/proctest"
	"lifeline/probes/rsync/sockets"
)

// hostTable is the process table of a host at a moment.
func hostTable(h *proctest.Host, events bool) *Table {
	s := New(proc.FS{Root: h.Root}, h, nil)
	s.ReadIdentity, s.Events = h.Identify, events
	s.Begin(time.Unix(1000, 0))
	return s
}

func TestScannerTrustsForAWhile(t *testing.T) {
	for events, trusted := range map[bool]time.Duration{true: trustedFor, false: polledFor} {
		h := proctest.NewHost(t, proctest.Process{PID: 20, PPID: 1, Exe: "rsync", Argv: proctest.Rsyncd, Fds: "5=socket:[200]"})
		h.Conn(200, "10.0.0.1:873", "10.0.0.9:40000")
		s := hostTable(h, events)
		p := s.Process(20)
		if p == nil || len(s.Holds(p).Sockets) != 1 || len(s.rsyncs) != 1 {
			t.Fatalf("got %+v", p)
		}
		h.Remove(20)
		s.Begin(s.Now.Add(trusted - time.Millisecond))
		if s.Process(20) != p || len(s.Holds(p).Sockets) != 1 || h.Asked != 1 {
			t.Errorf("events %v: was read again before %v", events, trusted)
		}
		s.Begin(s.Now.Add(time.Millisecond))
		if got := s.Process(20); got != nil || s.Failure != nil {
			t.Errorf("events %v: %+v after its end, %v", events, got, s.Failure)
		}
		if got := s.Running(); len(got) != 0 || len(s.rsyncs) != 0 {
			t.Errorf("events %v: still running: %v", events, got)
		}
	}
}

func TestScannerForgets(t *testing.T) {
	h := proctest.NewHost(t, proctest.Process{PID: 20, PPID: 1, Exe: "bash"})
	s := hostTable(h, true)
	before := s.Process(20)
	h.Remove(20)
	h.Add(proctest.Process{PID: 20, PPID: 1, Exe: "rsync", Argv: proctest.Push})
	if s.Process(20) != before {
		t.Error("was read again without a reason")
	}
	s.Forget(20)
	if p := s.Process(20); p == nil || !p.IsRsync() || !p.Cmd.Server {
		t.Errorf("after an exec: %+v", p)
	}
	s.ExpireAt(s.Process(20), s.Now.Add(time.Second))
	s.Begin(s.Now.Add(time.Second))
	again := s.Process(20)
	if age := s.Age(again); age != time.Second {
		t.Errorf("known for %v, want 1s", age)
	}
}

func TestScannerSweeps(t *testing.T) {
	h := proctest.NewHost(t,
		proctest.Process{PID: 10, PPID: 1, Exe: "sshd", Fds: "4=socket:[200]"},
		proctest.Process{PID: 20, PPID: 10, Exe: "rsync", Argv: proctest.Push, Fds: "4=socket:[201]"})
	h.Conn(200, "10.0.0.1:22", "10.0.0.9:40000")
	h.Conn(201, "10.0.0.1:23", "10.0.0.9:40001")
	s := hostTable(h, true)
	for _, pid := range []int{10, 20} {
		s.Holds(s.Process(pid))
	}
	s.Now = s.Now.Add(time.Hour)
	s.Sweep()
	if s.procs[10] != nil || s.procs[20] == nil || len(s.sockets) != 1 {
		t.Errorf("kept %v and sockets %v", s.procs, s.sockets)
	}
	if id := s.procs[20].ID; !s.Knows(id) {
		t.Errorf("does not know %v", id)
	}
}

// Who holds a connection is trusted for long, what it holds is not: not even when
// it is as many descriptors as before.
func TestScannerTrustsHolders(t *testing.T) {
	h := proctest.NewHost(t, proctest.Process{PID: 20, PPID: 1, Exe: "sshd", Fds: "4=socket:[200] 5=/srv/a"})
	h.Conn(200, "10.0.0.1:22", "10.0.0.9:40000")
	h.Listen(201, "10.0.0.1:8080")
	s := hostTable(h, true)
	p := s.Process(20)
	s.Holds(p)
	s.TrustLonger(p)
	h.Link("20/fd/5", "socket:[201]")
	s.Begin(s.Now.Add(SettledFor - time.Millisecond))
	if s.Changed(p) {
		t.Error("was listed before its time")
	}
	s.Begin(s.Now.Add(time.Millisecond))
	if !s.Changed(p) || len(s.Holds(p).Sockets) != 2 {
		t.Errorf("an exchange of descriptors is not noticed: %+v", s.Holds(p))
	}
	s.TrustLonger(p)
	s.Begin(s.Now.Add(trustedFor - SettledFor - time.Millisecond))
	if s.Process(20) != p {
		t.Error("was read again before its time")
	}
	s.Begin(s.Now.Add(time.Millisecond))
	if s.Process(20) == p {
		t.Error("is trusted for ever")
	}
}

// What a process opens or closes is noticed, with the kernel's count and without.
func TestScannerSeesDescriptorsMove(t *testing.T) {
	shell := exec.Command("sh")
	in, _ := shell.StdinPipe()
	out, _ := shell.StdoutPipe()
	if err := shell.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		in.Close()
		_ = shell.Wait()
	}()
	answers := bufio.NewReader(out)
	have := func(command string) {
		t.Helper()
		fmt.Fprintln(in, command+"; echo")
		if _, err := answers.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
	have("cd /")
	procfs := proc.FS{Root: "/proc"}
	s := New(procfs, sockets.NewDuplicator(procfs), nil)
	s.Begin(time.Now())
	p := s.Process(shell.Process.Pid)
	counted := s.Holds(p).count
	for name, moved := range map[string]func() bool{
		"counted": func() bool { return s.Changed(p) },
		"listed": func() bool {
			s.procs[p.ID.PID].holding.count = 0
			return s.Changed(p)
		},
	} {
		if name == "counted" && counted == 0 {
			continue // Linux before 6.2
		}
		for _, command := range []string{"exec 7</dev/null", "exec 7<&-"} {
			if moved() {
				t.Errorf("%s: moved before %q", name, command)
			}
			have(command)
			if !moved() {
				t.Errorf("%s: %q was not noticed", name, command)
			}
		}
	}
	s.Forget(p.ID.PID)
	if s.Process(p.ID.PID); !s.Changed(p) {
		t.Error("one that was read again is taken for the same")
	}
}

func TestScannerChildrenWithoutKernelList(t *testing.T) {
	h := proctest.NewHost(t,
		proctest.Process{PID: 10, PPID: 1, Exe: "sshd"}, proctest.Process{PID: 20, PPID: 10, Exe: "bash"}, proctest.Process{PID: 21, PPID: 10, Exe: "rsync", Argv: proctest.Push})
	if err := os.Remove(filepath.Join(h.Root, "10/task/10/children")); err != nil {
		t.Fatal(err)
	}
	s := hostTable(h, true)
	if got := s.Children(10); len(got) != 2 {
		t.Errorf("got %d children, want 2", len(got))
	}
	if got := s.Children(99); got != nil {
		t.Errorf("children of nobody: %v", got)
	}
}

func TestScannerTellsTrouble(t *testing.T) {
	h := proctest.NewHost(t, proctest.Process{PID: 20, PPID: 1, Exe: "rsync", Argv: proctest.Rsyncd})
	h.Write("20/stat", "nonsense")
	s := hostTable(h, true)
	if p := s.Process(20); p != nil || !errors.Is(s.Failure, proc.ErrFormat) {
		t.Errorf("got %+v, %v", p, s.Failure)
	}
}
