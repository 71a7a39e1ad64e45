package sandbox

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lifeline/probes/iptables"
	"lifeline/probes/preboot/hostinfo"
)

// confinements are those that this user can have.
func confinements() map[string]Confinement {
	if os.Geteuid() == 0 {
		return map[string]Confinement{"root": AsRoot, "nobody": AsNobody, "self": AsSelf}
	}
	return map[string]Confinement{"self": AsSelf}
}

// startOrSkip starts a child, or skips the test where the kernel does not let
// us.
func startOrSkip(t testing.TB, how Confinement) *Sandbox {
	t.Helper()
	p, err := Start(t.Context(), how)
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
		if hostinfo.FindProgram(n) == "" {
			t.Skipf("%s is not installed", n)
		}
	}
}

// plainNetwork is a machine with eth0 at 192.0.2.10 and 2001:db8::10 and a
// default route behind it.
func plainNetwork() Network {
	h := iptables.Host{Links: []iptables.Link{{Name: "eth0", Addresses: []netip.Prefix{
		netip.MustParsePrefix("192.0.2.10/24"), netip.MustParsePrefix("2001:db8::10/64")}}}}
	qs := []iptables.Question{
		{Family: iptables.IPv4, Iface: "eth0", Host: h},
		{Family: iptables.IPv6, Iface: "eth0", Host: h},
	}
	sc, _ := Mirror(h, qs)
	return sc
}

// load builds a network and loads files there.
func (p *Sandbox) load(t testing.TB, sc Network, list ...Load) ([]LoadResult, error) {
	t.Helper()
	if err := p.Build(sc); err != nil {
		return nil, err
	}
	return p.Load(list, 20*time.Second)
}

func restore(b iptables.Backend, f iptables.Family, rules string) Load {
	return Load{Commands: RestoreCommands(b, f), Input: []byte(rules)}
}

// shell is a load that runs a script where a restore tool would run: what it
// cannot do, a hostile rules file cannot make a tool do.
func shell(script string) Load {
	return Load{Commands: []Command{{Argv: []string{"sh"}}}, Input: []byte(script)}
}

// inventory lists what a rehearsal could leave on the host: links, rules,
// mounts, named namespaces, the lock file.
func inventory(t testing.TB) string {
	t.Helper()
	var b strings.Builder
	for _, argv := range [][]string{{"ip", "-br", "link"}, {"ip", "netns", "list"}, {"nft", "list", "ruleset"}} {
		if hostinfo.FindProgram(argv[0]) == "" {
			continue
		}
		out, _ := exec.CommandContext(t.Context(), hostinfo.FindProgram(argv[0]), argv[1:]...).CombinedOutput()
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
