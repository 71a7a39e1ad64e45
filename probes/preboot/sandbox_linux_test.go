package preboot

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lifeline/probes/iptables"
)

// stageLoads builds the plain scene in a fresh child and returns what became
// of the loads.
func stageLoads(t *testing.T, how confinement, loads ...load) []loaded {
	t.Helper()
	said, err := openStage(t, how).Stage(plainScene(loads...))
	if err != nil {
		t.Fatal(err)
	}
	if len(said) != len(loads) {
		t.Fatalf("%d of %d loads are answered for", len(said), len(loads))
	}
	return said
}

func TestConfinement(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	const script = `
grep -E '^(NoNewPrivs|CapEff|CapPrm|CapBnd|CapInh|CapAmb):' /proc/self/status
for d in / /usr /etc /proc; do (: > $d/lifeline-was-here) && echo "wrote to $d"; done
(: > /run/lock) && echo "run is writable"
for f in /etc/shadow /etc/resolv.conf /root /home /dev /sys/kernel /tmp SECRET /run/lifeline; do test -e $f && echo "sees $f"; done
test -r /etc/services && echo "sees services"
(echo 1 > /proc/sys/net/ipv4/ip_forward) && echo "set a sysctl"
(echo x > /proc/sys/kernel/core_pattern) && echo "set the core pattern"
mount -t tmpfs none /usr && echo mounted
unshare -m true && echo unshared
echo "processes:" $(ls /proc | grep -c '^[0-9]')
ls /sys/class 2>/dev/null
ulimit -v; ulimit -c; ulimit -t
exit 7
`
	for name, how := range confinements() {
		t.Run(name, func(t *testing.T) {
			needTool(t, "sh")
			l := stageLoads(t, how, shell(strings.ReplaceAll(script, "SECRET", secret)))[0]
			if l.Code != 7 {
				t.Fatalf("the script did not end by itself: %+v", l)
			}
			kept := fmt.Sprintf("%016x", 1<<unix.CAP_NET_ADMIN|1<<unix.CAP_NET_RAW)
			for _, want := range []string{"NoNewPrivs:\t1", "CapEff:\t" + kept, "CapPrm:\t" + kept, "CapBnd:\t" + kept,
				"CapInh:\t0000000000000000", "CapAmb:\t0000000000000000", "run is writable", "sees services", "2097152"} {
				if !strings.Contains(l.Stderr, want) {
					t.Errorf("missing %q", want)
				}
			}
			for _, bad := range []string{"wrote to", "sees /", "set a", "set the", "mounted", "unshared"} {
				if strings.Contains(l.Stderr, bad+" ") || strings.Contains(l.Stderr, bad+"/") || strings.HasSuffix(bad, "ed") && strings.Contains(l.Stderr, "\n"+bad+"\n") {
					t.Errorf("%q happened", bad)
				}
			}
			if t.Failed() {
				t.Log(l.Stderr)
			}
		})
	}
}

func TestToolLimits(t *testing.T) {
	needTool(t, "sh")
	sc := plainScene(shell("while :; do :; done"), shell("kill -SEGV $$"), shell("exec 2>&1; while :; do echo xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx; done"))
	sc.Deadline = 300 * time.Millisecond
	said, err := openStage(t, asSelf).Stage(sc)
	if err != nil {
		t.Fatal(err)
	}
	if said[0].Code != -1 || !strings.Contains(said[0].Err, "stopped after 300ms") {
		t.Errorf("an endless tool: %+v", said[0])
	}
	if said[1].Code != -1 || !strings.Contains(said[1].Err, "segmentation fault") {
		t.Errorf("a crashing tool: %+v", said[1])
	}
	if n := len(said[2].Stderr); n != maxToolOutput {
		t.Errorf("a talkative tool left %d bytes", n)
	}
}

// TestProgramsOfTheFileDoNotRun: such a file is refused; and were it not, the
// tool could not find the program.
func TestProgramsOfTheFileDoNotRun(t *testing.T) {
	needTool(t, "iptables-legacy-restore", "iptables-nft-restore")
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	mark, program := filepath.Join(dir, "it-ran"), filepath.Join(dir, "program")
	if err := os.WriteFile(program, []byte("#!/bin/sh\n: > "+mark+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	text := "*no-such-table\nCOMMIT\n*filter\n-A INPUT -M " + program + " -m no-such-match -j ACCEPT\nCOMMIT\n"
	rules := filepath.Join(dir, "rules")
	if err := os.WriteFile(rules, []byte(strings.TrimPrefix(text, "*no-such-table\nCOMMIT\n")), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, b := range []iptables.Backend{iptables.Legacy, iptables.NFT} {
		r, err := Check(t.Context(), Options{Backend: b, Iface: "eth0", Dst: addrs("192.0.2.10"), Mgmt: prefixes("10.0.0.0/8"), Rules4: []string{rules},
			Links: []iptables.Link{{Name: "eth0", Addresses: prefixes("192.0.2.10/24")}}})
		if err != nil || r.Verdict == Safe || r.Files[0].Tool != "" {
			t.Errorf("%s: %s, %+v, %v", b, r.Verdict, r.Files, err)
		}
		for _, how := range confinements() {
			stageLoads(t, how, restore(b, iptables.IPv4, text), restore(b, iptables.IPv4, strings.TrimPrefix(text, "*no-such-table\nCOMMIT\n")))
		}
	}
	if _, err := os.Stat(mark); err == nil {
		t.Error("the program ran")
	}
}

// TestHostWideTargets: the timer does not come into being on the host, and
// what the tool thinks of the target still counts.
func TestHostWideTargets(t *testing.T) {
	needTool(t, "iptables-legacy-restore", "iptables-nft-restore")
	for _, b := range []iptables.Backend{iptables.NFT, iptables.Legacy} {
		var loads []load
		for _, rule := range []string{"-j IDLETIMER --timeout 5 --label lifeline-test", "-j IDLETIMER --label lifeline-test", "-j LED --led-trigger-id lifeline-test"} {
			f := ruleFile{role: roleRules4, path: "f", text: []byte("*filter\n-A INPUT " + rule + "\nCOMMIT\n")}
			loads = append(loads, f.load(b))
		}
		said := stageLoads(t, asSelf, loads...)
		if said[0].Code != 0 && !lacksModule(said[0]) {
			t.Errorf("%s: a good timer: %+v", b, said[0])
		}
		if said[1].Code == 0 || understand(said[1], true, true).load != iptables.LoadFails {
			t.Errorf("%s: a timer without a timeout loads: %+v", b, said[1])
		}
		if w := understand(said[2], true, true); lacksModule(said[2]) && w.told(iptables.LoadOK).Load != iptables.LoadUnknown {
			t.Errorf("%s: a target that this kernel does not have: %+v", b, w)
		}
		if _, err := os.Stat("/sys/class/xt_idletimer/timers/lifeline-test"); err == nil {
			t.Errorf("%s: a timer was made on the host", b)
		}
	}
}

func TestMissingTool(t *testing.T) {
	l := stageLoads(t, asSelf, load{Tools: []loadTool{{Argv: []string{"no-such-restore"}}}})[0]
	if l.Tool != "" || !strings.Contains(l.Err, "not installed: no-such-restore") {
		t.Errorf("%+v", l)
	}
}

func TestIncludesAreShown(t *testing.T) {
	needTool(t, "nft")
	sc := plainScene(load{Tools: []loadTool{{Argv: []string{"nft", "-f", "-"}}},
		Input: []byte("include \"/etc/nftables/a.nft\"\ninclude \"/usr/share/own/b.nft\"\n")})
	sc.Files = []sceneFile{{Path: "/etc/nftables/a.nft", Text: []byte("add table inet a\n")}}
	said, err := openStage(t, asSelf).Stage(sc)
	if err != nil {
		t.Fatal(err)
	}
	if said[0].Code == 0 || !strings.Contains(said[0].Stderr, "b.nft") || strings.Contains(said[0].Stderr, "a.nft") {
		t.Errorf("nft saw the wrong files: %+v", said[0])
	}
	sc.Files = append(sc.Files, sceneFile{Path: "/no/such/dir/c.nft", Text: []byte("add table inet c\n")})
	sc.Loads[0].Input = []byte("include \"/etc/nftables/a.nft\"\ninclude \"/no/such/dir/*.nft\"\nadd chain inet c x\n")
	if said, err = openStage(t, asSelf).Stage(sc); err != nil || said[0].Code != 0 {
		t.Errorf("nft did not see its includes: %+v, %v", said, err)
	}
}

// TestIncludesDoNotWriteToTheHost: a path inside a directory that the new
// root shares with the host must not be made there.
func TestIncludesDoNotWriteToTheHost(t *testing.T) {
	sc := plainScene()
	sc.Files = []sceneFile{{Path: "/usr/lib/lifeline-was-here/a.nft"}}
	for _, how := range confinements() {
		if _, err := openStage(t, how).Stage(sc); err == nil || !strings.Contains(err.Error(), "lifeline-was-here") {
			t.Errorf("got %v", err)
		}
	}
	if _, err := os.Lstat("/usr/lib/lifeline-was-here"); err == nil {
		t.Error("a directory was made on the host")
	}
}

func TestNothingStaysBehind(t *testing.T) {
	needTool(t, "iptables-legacy-restore", "iptables-nft-restore")
	was := inventory(t)
	for _, how := range confinements() {
		p := openStage(t, how)
		drop := "*filter\n:INPUT DROP\nCOMMIT\n"
		said, err := p.Stage(plainScene(restore(iptables.Legacy, iptables.IPv4, drop), restore(iptables.NFT, iptables.IPv6, drop)))
		if err != nil || said[0].Code != 0 || said[1].Code != 0 {
			t.Errorf("%+v, %v", said, err)
		}
		if is := inventory(t); is != was {
			t.Errorf("the host changed while the rehearsal ran:\n%s\nwas:\n%s", is, was)
		}
		p.Close()
	}
	if is := inventory(t); is != was {
		t.Errorf("something stayed behind:\n%s\nwas:\n%s", is, was)
	}
}

// hangArg makes the test binary start a rehearsal whose tool never ends.
const hangArg = "hang-in-a-rehearsal"

func hang() {
	p, err := startChild(context.Background(), asSelf)
	if err != nil {
		fmt.Println("skip", err)
		os.Exit(0)
	}
	go func() {
		sc := plainScene(load{Tools: []loadTool{{Argv: []string{"sleep", "600"}}}})
		sc.Deadline = time.Hour
		_, _ = p.Stage(sc)
	}()
	fmt.Println("parent", os.Getpid())
	select {}
}

// startHanging starts a process with a rehearsal that hangs, and waits until it does.
func startHanging(t *testing.T) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe", hangArg)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || !strings.HasPrefix(line, "parent ") {
		t.Skipf("no rehearsal to kill: %q, %v", line, err)
	}
	return cmd
}

func TestDiesWithItsParent(t *testing.T) {
	needTool(t, "sleep")
	cmd := startHanging(t)
	var family []int
	await(t, "the tool to run", func() bool {
		family = descendants(t, cmd.Process.Pid)
		for _, pid := range family {
			if comm, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid)); string(comm) == "sleep\n" {
				return true
			}
		}
		return false
	})
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	await(t, "the child and its tool to die", func() bool {
		for _, pid := range family {
			stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
			if err == nil && !strings.Contains(string(stat), ") Z ") {
				return false
			}
		}
		return true
	})
	if c, err := newCage(cageMemory); err == nil { // sweeps what it left
		c.remove()
	}
}

// await polls for a condition with a generous deadline.
func await(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// descendants are the pids of all processes below one.
func descendants(t *testing.T, root int) []int {
	t.Helper()
	procs, err := processes()
	if err != nil {
		t.Fatal(err)
	}
	var out []int
	below := map[int]bool{root: true}
	for range 4 { // parents may be listed after their children
		for _, p := range procs {
			if below[p.ppid] && !below[p.pid] {
				below[p.pid] = true
				out = append(out, p.pid)
			}
		}
	}
	return out
}

// TestUnprivileged runs a whole check as somebody who may do nothing.
func TestUnprivileged(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("the other tests run unprivileged already")
	}
	needTool(t, "setpriv", "iptables-nft-restore")
	dir := t.TempDir()
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	// A copy that others may execute: the test binary's directory is private.
	bin := filepath.Join(dir, "child")
	text, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(bin, text, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), findTool("setpriv"), "--reuid=65534", "--regid=65534", "--clear-groups",
		bin, "-test.run=^(TestConfinement|TestNothingStaysBehind|TestRehearsal.*)$", "-test.v")
	cmd.Dir = "/"
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	if strings.Contains(string(out), "no namespaces of our own here") {
		t.Skip("this kernel has no user namespaces for everybody")
	}
	if n := strings.Count(string(out), "\n--- PASS"); n < 2 {
		t.Errorf("only %s tests ran:\n%s", strconv.Itoa(n), out)
	}
}

func TestWhyNoNamespaces(t *testing.T) {
	for err, want := range map[error]string{unix.ENOSPC: "user.max_user_namespaces", unix.EPERM: "only root", unix.ENOENT: ""} {
		if got := whyNoNamespaces(fmt.Errorf("fork: %w", err)); !strings.Contains(got, want) || want == "" && got != "" {
			t.Errorf("%v: %q", err, got)
		}
	}
}
