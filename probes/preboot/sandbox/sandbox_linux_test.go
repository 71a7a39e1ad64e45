package sandbox

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
	"lifeline/probes/preboot/hostinfo"
)

// loadAll builds the plain network in a fresh child and returns what became
// of the loads.
func loadAll(t *testing.T, how Confinement, loads ...Load) []LoadResult {
	t.Helper()
	said, err := startOrSkip(t, how).load(t, plainNetwork(), loads...)
	if err != nil {
		t.Fatal(err)
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
			l := loadAll(t, how, shell(strings.ReplaceAll(script, "SECRET", secret)))[0]
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
	p := startOrSkip(t, AsSelf)
	if err := p.Build(plainNetwork()); err != nil {
		t.Fatal(err)
	}
	said, err := p.Load([]Load{shell("while :; do :; done"), shell("kill -SEGV $$"), shell("exec 2>&1; while :; do echo xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx; done")}, 300*time.Millisecond)
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

func TestMissingTool(t *testing.T) {
	l := loadAll(t, AsSelf, Load{Commands: []Command{{Argv: []string{"no-such-restore"}}}})[0]
	if l.Tool != "" || !strings.Contains(l.Err, "not installed: no-such-restore") {
		t.Errorf("%+v", l)
	}
}

func TestIncludesAreShown(t *testing.T) {
	needTool(t, "nft")
	nft := func(text string) Load {
		return Load{Commands: []Command{{Argv: []string{"nft", "-f", "-"}}}, Input: []byte(text)}
	}
	sc := plainNetwork()
	sc.Files = []File{{Path: "/etc/nftables/a.nft", Text: []byte("add table inet a\n")}}
	said, err := startOrSkip(t, AsSelf).load(t, sc, nft("include \"/etc/nftables/a.nft\"\ninclude \"/usr/share/own/b.nft\"\n"))
	if err != nil {
		t.Fatal(err)
	}
	if said[0].Code == 0 || !strings.Contains(said[0].Stderr, "b.nft") || strings.Contains(said[0].Stderr, "a.nft") {
		t.Errorf("nft saw the wrong files: %+v", said[0])
	}
	sc.Files = append(sc.Files, File{Path: "/no/such/dir/c.nft", Text: []byte("add table inet c\n")})
	said, err = startOrSkip(t, AsSelf).load(t, sc, nft("include \"/etc/nftables/a.nft\"\ninclude \"/no/such/dir/*.nft\"\nadd chain inet c x\n"))
	if err != nil || said[0].Code != 0 {
		t.Errorf("nft did not see its includes: %+v, %v", said, err)
	}
}

// TestIncludesDoNotWriteToTheHost: a path inside a directory that the new
// root shares with the host must not be made there.
func TestIncludesDoNotWriteToTheHost(t *testing.T) {
	sc := plainNetwork()
	sc.Files = []File{{Path: "/usr/lib/lifeline-was-here/a.nft"}}
	for _, how := range confinements() {
		if err := startOrSkip(t, how).Build(sc); err == nil || !strings.Contains(err.Error(), "lifeline-was-here") {
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
		p := startOrSkip(t, how)
		drop := "*filter\n:INPUT DROP\nCOMMIT\n"
		said, err := p.load(t, plainNetwork(), restore(iptables.Legacy, iptables.IPv4, drop), restore(iptables.NFT, iptables.IPv6, drop))
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
	p, err := Start(context.Background(), AsSelf)
	if err != nil {
		fmt.Println("skip", err)
		os.Exit(0)
	}
	go func() {
		if err := p.Build(plainNetwork()); err == nil {
			_, _ = p.Load([]Load{{Commands: []Command{{Argv: []string{"sleep", "600"}}}}}, time.Hour)
		}
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
	if c, err := newMemoryCgroup(maxMemory); err == nil { // sweeps what it left
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
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", root))
	if err != nil {
		t.Fatal(err)
	}
	var out []int
	for _, task := range tasks {
		children, _ := os.ReadFile(task) // of a thread that ended there are none
		for _, c := range strings.Fields(string(children)) {
			if pid, err := strconv.Atoi(c); err == nil {
				out = append(append(out, pid), descendants(t, pid)...)
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
	cmd := exec.CommandContext(t.Context(), hostinfo.FindProgram("setpriv"), "--reuid=65534", "--regid=65534", "--clear-groups",
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
