package preboot

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lifeline/probes/iptables"
)

// TestMain lets the test binary be the child of its own rehearsals.
func TestMain(m *testing.M) {
	switch {
	case slices.Equal(os.Args[1:], ChildArgs):
		if err := RehearsalChild(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	case len(os.Args) == 2 && os.Args[1] == hangArg:
		hang()
	case len(os.Args) == 2 && os.Args[1] == diffArg:
		if err := diffChild(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// confinements are those that this user can have.
func confinements() map[string]confinement {
	if os.Geteuid() == 0 {
		return map[string]confinement{"root": asRoot, "nobody": asNobody, "self": asSelf}
	}
	return map[string]confinement{"self": asSelf}
}

// openStage starts a child, or skips the test where the kernel does not let
// us.
func openStage(t testing.TB, how confinement) *process {
	t.Helper()
	p, err := startChild(t.Context(), how)
	if err != nil {
		t.Skipf("no namespaces of our own here: %v", err)
	}
	t.Cleanup(p.Close)
	return p
}

// needTool skips a test that cannot do without a program.
func needTool(t testing.TB, names ...string) {
	t.Helper()
	for _, n := range names {
		if findTool(n) == "" {
			t.Skipf("%s is not installed", n)
		}
	}
}

// plainScene is a machine with eth0 at 192.0.2.10 and 2001:db8::10 and a
// default route behind it.
func plainScene(loads ...load) scene {
	h := iptables.Host{Links: []iptables.Link{{Name: "eth0", Addresses: []netip.Prefix{
		netip.MustParsePrefix("192.0.2.10/24"), netip.MustParsePrefix("2001:db8::10/64")}}}}
	qs := []question{
		{Question: iptables.Question{Family: iptables.IPv4, Iface: "eth0", Host: h}},
		{Question: iptables.Question{Family: iptables.IPv6, Iface: "eth0", Host: h}},
	}
	sc, _ := newScene(h, qs)
	sc.Loads, sc.Deadline = loads, 20*time.Second
	return sc
}

func restore(b iptables.Backend, f iptables.Family, rules string) load {
	return load{Tools: restoreTools(b, f), Input: []byte(rules)}
}

// shell is a load that runs a script where a restore tool would run: what it
// cannot do, a hostile rules file cannot make a tool do.
func shell(script string) load {
	return load{Tools: []loadTool{{Argv: []string{"sh"}}}, Input: []byte(script)}
}

// inventory lists what a rehearsal could leave on the host: links, rules,
// mounts, named namespaces, the lock file.
func inventory(t testing.TB) string {
	t.Helper()
	var b strings.Builder
	for _, argv := range [][]string{{"ip", "-br", "link"}, {"ip", "netns", "list"}, {"nft", "list", "ruleset"}} {
		if findTool(argv[0]) == "" {
			continue
		}
		out, _ := exec.CommandContext(t.Context(), findTool(argv[0]), argv[1:]...).CombinedOutput()
		for line := range strings.Lines(string(out)) {
			// Other tests of this machine make links of their own meanwhile.
			if argv[1] == "-br" && !strings.HasPrefix(line, "eth0") && !strings.HasPrefix(line, "lo") {
				continue
			}
			if argv[0] == "ip" && argv[1] == "netns" {
				continue
			}
			b.WriteString(line)
		}
	}
	mounts, _ := os.ReadFile("/proc/self/mountinfo")
	for line := range strings.Lines(string(mounts)) {
		if strings.Contains(line, "lifeline-rehearsal") {
			b.WriteString(line)
		}
	}
	var st unix.Stat_t
	if unix.Stat("/run/xtables.lock", &st) == nil {
		fmt.Fprintf(&b, "lock %d %d\n", st.Ino, st.Mtim.Nano())
	}
	names, _ := os.ReadFile("/proc/net/ip_tables_names")
	b.Write(names)
	return b.String()
}
