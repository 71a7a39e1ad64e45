package rsync

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// fresh is a scanner of a host at a moment.
func (h *host) scanner(events bool) *scanner {
	s := newScanner(procFS{root: h.root}, h)
	s.who, s.events = h.identify, events
	s.begin(time.Unix(1000, 0))
	return s
}

func (h *host) remove(pid int) {
	h.t.Helper()
	if err := os.RemoveAll(filepath.Join(h.root, strconv.Itoa(pid))); err != nil {
		h.t.Fatal(err)
	}
}

func TestScannerTrustsForAWhile(t *testing.T) {
	for events, trusted := range map[bool]time.Duration{true: trustedFor, false: polledFor} {
		h := newHost(t, fake{pid: 20, ppid: 1, exe: "rsync", argv: rsyncd, fds: "5=socket:[200]"})
		h.conn(200, "10.0.0.1:873", "10.0.0.9:40000")
		s := h.scanner(events)
		p := s.process(20)
		if p == nil || len(s.holds(p).sockets) != 1 || len(s.rsyncs) != 1 {
			t.Fatalf("got %+v", p)
		}
		h.remove(20)
		s.begin(s.now.Add(trusted - time.Millisecond))
		if s.process(20) != p || len(s.holds(p).sockets) != 1 || h.asked != 1 {
			t.Errorf("events %v: was read again before %v", events, trusted)
		}
		s.begin(s.now.Add(time.Millisecond))
		if got := s.process(20); got != nil || s.trouble != nil {
			t.Errorf("events %v: %+v after its end, %v", events, got, s.trouble)
		}
		if got := s.running(); len(got) != 0 || len(s.rsyncs) != 0 {
			t.Errorf("events %v: still running: %v", events, got)
		}
	}
}

func TestScannerForgets(t *testing.T) {
	h := newHost(t, fake{pid: 20, ppid: 1, exe: "bash"})
	s := h.scanner(true)
	before := s.process(20)
	h.remove(20)
	h.add(fake{pid: 20, ppid: 1, exe: "rsync", argv: push})
	if s.process(20) != before {
		t.Error("was read again without a reason")
	}
	s.forget(20)
	if p := s.process(20); p == nil || !p.rsync() || !p.Cmd.Server {
		t.Errorf("after an exec: %+v", p)
	}
	s.expire(s.process(20), s.now.Add(time.Second))
	s.begin(s.now.Add(time.Second))
	again := s.process(20)
	if age := s.age(again); age != time.Second {
		t.Errorf("known for %v, want 1s", age)
	}
}

func TestScannerSweeps(t *testing.T) {
	h := newHost(t,
		fake{pid: 10, ppid: 1, exe: "sshd", fds: "4=socket:[200]"},
		fake{pid: 20, ppid: 10, exe: "rsync", argv: push, fds: "4=socket:[201]"})
	h.conn(200, "10.0.0.1:22", "10.0.0.9:40000")
	h.conn(201, "10.0.0.1:23", "10.0.0.9:40001")
	s := h.scanner(true)
	for _, pid := range []int{10, 20} {
		s.holds(s.process(pid))
	}
	s.now = s.now.Add(time.Hour)
	s.sweep()
	if s.procs[10] != nil || s.procs[20] == nil || len(s.known) != 1 {
		t.Errorf("kept %v and sockets %v", s.procs, s.known)
	}
	if id := s.procs[20].id(); !s.knows(id) {
		t.Errorf("does not know %v", id)
	}
}

// Who holds a connection is trusted for long, what it holds is not: not even when
// it is as many descriptors as before.
func TestScannerTrustsHolders(t *testing.T) {
	h := newHost(t, fake{pid: 20, ppid: 1, exe: "sshd", fds: "4=socket:[200] 5=/srv/a"})
	h.conn(200, "10.0.0.1:22", "10.0.0.9:40000")
	h.listen(201, "10.0.0.1:8080")
	s := h.scanner(true)
	p := s.process(20)
	s.holds(p)
	s.trust(p)
	h.link("20/fd/5", "socket:[201]")
	s.begin(s.now.Add(settledFor - time.Millisecond))
	if s.moved(p) {
		t.Error("was listed before its time")
	}
	s.begin(s.now.Add(time.Millisecond))
	if !s.moved(p) || len(s.holds(p).sockets) != 2 {
		t.Errorf("an exchange of descriptors is not noticed: %+v", s.holds(p))
	}
	s.trust(p)
	s.begin(s.now.Add(trustedFor - settledFor - time.Millisecond))
	if s.process(20) != p {
		t.Error("was read again before its time")
	}
	s.begin(s.now.Add(time.Millisecond))
	if s.process(20) == p {
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
	proc := procFS{root: "/proc"}
	s := newScanner(proc, &duplicator{proc: proc})
	s.begin(time.Now())
	p := s.process(shell.Process.Pid)
	counted := s.holds(p).count
	for name, moved := range map[string]func() bool{
		"counted": func() bool { return s.moved(p) },
		"listed": func() bool {
			s.procs[p.ID.PID].holding.count = 0
			return s.moved(p)
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
	s.forget(p.ID.PID)
	if s.process(p.ID.PID); !s.moved(p) {
		t.Error("one that was read again is taken for the same")
	}
}

func TestScannerChildrenWithoutKernelList(t *testing.T) {
	h := newHost(t,
		fake{pid: 10, ppid: 1, exe: "sshd"}, fake{pid: 20, ppid: 10, exe: "bash"}, fake{pid: 21, ppid: 10, exe: "rsync", argv: push})
	if err := os.Remove(filepath.Join(h.root, "10/task/10/children")); err != nil {
		t.Fatal(err)
	}
	s := h.scanner(true)
	if got := s.children(10); len(got) != 2 {
		t.Errorf("got %d children, want 2", len(got))
	}
	if got := s.children(99); got != nil {
		t.Errorf("children of nobody: %v", got)
	}
}

func TestScannerTellsTrouble(t *testing.T) {
	h := newHost(t, fake{pid: 20, ppid: 1, exe: "rsync", argv: rsyncd})
	h.write("20/stat", "nonsense")
	s := h.scanner(true)
	if p := s.process(20); p != nil || !errors.Is(s.trouble, errFormat) {
		t.Errorf("got %+v, %v", p, s.trouble)
	}
}

func TestHidden(t *testing.T) {
	h := newHost(t, fake{pid: 20, ppid: 1, exe: "rsync"})
	if err := (procFS{root: h.root}).hidden(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without init: %v", err)
	}
	h.add(fake{pid: 1, ppid: 0, exe: "systemd"})
	if err := (procFS{root: h.root}).hidden(); err != nil {
		t.Errorf("with init: %v", err)
	}
}

func TestNewPIDs(t *testing.T) {
	h := newHost(t, fake{pid: 20, ppid: 1, exe: "rsync"}, fake{pid: 22, ppid: 1, exe: "bash"})
	h.write("loadavg", "0.0 0.0 0.0 1/100 23\n")
	proc := procFS{root: h.root}
	last, err := proc.lastPID()
	if err != nil || last != 23 {
		t.Fatalf("last pid %d, %v", last, err)
	}
	if fresh, all := proc.between(20, 23); all || len(fresh) != 1 || fresh[0] != 22 {
		t.Errorf("after 20: %v, all %v", fresh, all)
	}
	for name, c := range map[string][2]int{"the first time": {0, 23}, "after a wrap": {30000, 23}, "too many": {20, 21 + maxFresh}} {
		if _, all := proc.between(c[0], c[1]); !all {
			t.Errorf("%s: not all", name)
		}
	}
}

func TestProcOfAnotherNamespace(t *testing.T) {
	h := newHost(t)
	h.link("self", "1")
	if _, err := New(Options{Proc: h.root}); !errors.Is(err, errOtherPIDs) {
		t.Errorf("got %v", err)
	}
	if _, err := New(Options{Proc: filepath.Join(h.root, "nowhere")}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no procfs: %v", err)
	}
}

// A process that is in the midst of execve(2) runs rsync and has no arguments yet:
// it is looked at again. One that never gets any is none.
func TestScannerWaitsForTheEndOfExec(t *testing.T) {
	h := newHost(t, fake{pid: 20, ppid: 1, exe: "rsync", argv: rsyncd, fds: "5=socket:[200]"})
	h.conn(200, "10.0.0.1:873", "10.0.0.9:40000")
	cmdline := filepath.Join(h.root, "20", "cmdline")
	args, err := os.ReadFile(cmdline)
	if err != nil {
		t.Fatal(err)
	}
	for _, ends := range []bool{true, false} {
		if err := os.WriteFile(cmdline, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		s := h.scanner(false)
		s.rsyncs[20] = struct{}{}
		transfers, waiting := group(s, s.running())
		if len(transfers) != 0 || len(waiting) != 1 {
			t.Fatalf("without arguments: %d transfers, %d to be looked at again", len(transfers), len(waiting))
		}
		if ends {
			if err := os.WriteFile(cmdline, args, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		s.begin(s.now.Add(500 * time.Millisecond))
		s.forget(20)
		transfers, waiting = group(s, s.running())
		if found := len(transfers) == 1; found != ends || len(waiting) == 1 == ends {
			t.Errorf("later: %d transfers, %d to be looked at again; has arguments: %v", len(transfers), len(waiting), ends)
		}
		s.begin(s.now.Add(time.Second))
		s.forget(20)
		if n := len(s.running()); n == 1 != ends {
			t.Errorf("in the end: %d rsyncs; has arguments: %v", n, ends)
		}
	}
}
