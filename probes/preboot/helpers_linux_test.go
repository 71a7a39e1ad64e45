package preboot

import (
	"net/netip"
	"os"
	"testing"
	"time"

	"lifeline/probes/iptables"
	"lifeline/probes/preboot/hostinfo"
	"lifeline/probes/preboot/sandbox"
)

// confinements are those that this user can have.
func confinements() map[string]sandbox.Confinement {
	if os.Geteuid() == 0 {
		return map[string]sandbox.Confinement{"root": sandbox.AsRoot, "nobody": sandbox.AsNobody, "self": sandbox.AsSelf}
	}
	return map[string]sandbox.Confinement{"self": sandbox.AsSelf}
}

// startOrSkip starts a child, or skips the test where the kernel does not let
// us.
func startOrSkip(t testing.TB, how sandbox.Confinement) *sandbox.Sandbox {
	t.Helper()
	p, err := sandbox.Start(t.Context(), how)
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
func plainNetwork() sandbox.Network {
	h := iptables.Host{Links: []iptables.Link{{Name: "eth0", Addresses: []netip.Prefix{
		netip.MustParsePrefix("192.0.2.10/24"), netip.MustParsePrefix("2001:db8::10/64")}}}}
	qs := []iptables.Question{
		{Family: iptables.IPv4, Iface: "eth0", Host: h},
		{Family: iptables.IPv6, Iface: "eth0", Host: h},
	}
	sc, _ := sandbox.Mirror(h, qs)
	return sc
}

func restore(b iptables.Backend, f iptables.Family, rules string) sandbox.Load {
	return sandbox.Load{Commands: sandbox.RestoreCommands(b, f), Input: []byte(rules)}
}

// loadAll loads files in a fresh sandbox and returns what became of them.
func loadAll(t *testing.T, how sandbox.Confinement, loads ...sandbox.Load) []sandbox.LoadResult {
	t.Helper()
	s := startOrSkip(t, how)
	if err := s.Build(plainNetwork()); err != nil {
		t.Fatal(err)
	}
	said, err := s.Load(loads, 20*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	return said
}
