package lab

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// ownerVar makes the test binary a process that owns a lab and waits to be
// killed.
const ownerVar = "LIFELINE_LAB_TEST_OWNER"

func TestMain(m *testing.M) {
	if os.Getenv(ownerVar) == "" {
		os.Exit(m.Run())
	}
	l, err := New(context.Background(), Options{})
	if err == nil {
		_, err = l.AdminSession(context.Background())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(l.id)
	select {}
}

// traces lists what the labs of a process have on the host at this moment:
// names, mounts, processes, and open namespaces and devices.
func traces(t *testing.T, pid int) []string {
	t.Helper()
	own := fmt.Sprintf("ll-%d-", pid)
	var found []string
	for _, dir := range append(dataParents(), netnsDir) {
		names, err := filepath.Glob(filepath.Join(dir, own+"*"))
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, names...)
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(mounts)) {
		if strings.Contains(line, own) {
			found = append(found, "mount "+strings.Fields(line)[4])
		}
	}
	pids, err := members(func(pid int) bool {
		env, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
		return err == nil && strings.Contains(string(env), markVar+"="+own)
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, pid := range pids {
		found = append(found, fmt.Sprint("process ", pid))
	}
	slices.Sort(found)
	return slices.Concat(found, handles(t, pid))
}

// handles lists the namespaces, TAPs and terminals that a process holds open.
func handles(t *testing.T, pid int) []string {
	t.Helper()
	links, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, link := range links {
		to, err := os.Readlink(link)
		if err == nil && (strings.HasPrefix(to, "net:[") || to == "/dev/net/tun" || to == "/dev/ptmx") {
			found = append(found, "open "+to)
		}
	}
	slices.Sort(found)
	return found
}

// processesIn lists the processes in the namespaces of a lab, which are more than
// those that carry its mark: sshd empties its sessions' environment.
func processesIn(t *testing.T, l *Lab) []int {
	t.Helper()
	inodes := map[uint64]bool{}
	for _, h := range l.hosts {
		inodes[h.inode] = true
	}
	pids, err := members(inAny(inodes, l.id.String()))
	if err != nil {
		t.Fatal(err)
	}
	return pids
}

func TestCloseLeavesNothing(t *testing.T) {
	needRoot(t)
	ctx := t.Context()
	l, err := New(ctx, Options{Bottleneck: BeyondGateway, Gateway: GatewayDelays, IPv6: true, BaseRTT: 2 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := l.AdminSession(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Start(ctx, Transfers{N: 2, Via: ViaSSH}); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Bulk(ctx, Pull, 2); err != nil {
		t.Fatal(err)
	}
	if _, err := l.PingTCP(ctx, Ping{}); err != nil {
		t.Fatal(err)
	}
	stopped := l.Srv.Command(ctx, "sleep", "1000")
	if err := stopped.Start(); err != nil {
		t.Fatal(err)
	}
	if err := stopped.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	if n := len(processesIn(t, l)); n < 8 {
		t.Fatalf("%d processes in the lab, too few to test anything", n)
	}
	if found := traces(t, os.Getpid()); len(found) < 10 {
		t.Fatalf("a running lab shows only %q: the test is blind", found)
	}
	for range 2 {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
	_ = stopped.Wait() // killed
	if left := processesIn(t, l); len(left) > 0 {
		t.Errorf("processes left: %v", left)
	}
	if left := traces(t, os.Getpid()); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
	if err := l.Srv.Command(ctx, "true").Run(); err == nil {
		t.Error("a closed lab started a process")
	}
}

func TestFailedNewLeavesNothing(t *testing.T) {
	needRoot(t)
	before, err := os.ReadFile(allowedCC)
	if err != nil {
		t.Fatal(err)
	}
	_, err = New(t.Context(), Options{CC: "nosuchcc"})
	if err == nil || !strings.Contains(err.Error(), "nosuchcc") {
		t.Errorf("unknown congestion control: %v", err)
	}
	_, err = New(t.Context(), Options{SSHPort: rsyncPort})
	if err == nil || !strings.Contains(err.Error(), "sshd") {
		t.Errorf("port taken: %v", err)
	}
	for _, after := range []time.Duration{0, 2, 10, 20, 50} {
		ctx, cancel := context.WithTimeout(t.Context(), after*time.Millisecond)
		l, err := New(ctx, Options{BaseRTT: time.Second}) // never up within that
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("cancelled after %d ms: %v", after, err)
		}
		if l != nil {
			t.Error("a failed New returned a lab")
		}
	}
	if left := traces(t, os.Getpid()); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
	after, err := os.ReadFile(allowedCC)
	if err != nil {
		t.Fatal(err)
	}
	if string(before) != string(after) {
		t.Errorf("allowed congestion controls: %q, were %q", after, before)
	}
}

func TestSweep(t *testing.T) {
	needRoot(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	owner := exec.CommandContext(t.Context(), self)
	owner.Env = append(os.Environ(), ownerVar+"=1")
	owner.Stderr = os.Stderr
	out, err := owner.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := owner.Start(); err != nil {
		t.Fatal(err)
	}
	name, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal("the owner did not come up: ", err)
	}
	srv := filepath.Join(netnsDir, strings.TrimSpace(name)+"-srv")
	var st unix.Stat_t
	if err := unix.Stat(srv, &st); err != nil {
		t.Fatal(err)
	}
	if err := Sweep(); err != nil {
		t.Error(err)
	}
	pid := owner.Process.Pid
	if found := traces(t, pid); len(found) < 10 {
		t.Errorf("a living owner's lab was swept, or the test is blind: %q", found)
	}
	if err := owner.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = owner.Wait() // killed
	if err := Sweep(); err != nil {
		t.Error(err)
	}
	if left := traces(t, pid); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
	left, err := members(inAny(map[uint64]bool{st.Ino: true}, strings.TrimSpace(name)))
	if err != nil || len(left) > 0 {
		t.Errorf("processes left: %v, %v", left, err)
	}
}
