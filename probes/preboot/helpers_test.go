package preboot

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lifeline/probes/iptables"
	"lifeline/probes/preboot/hostinfo"
)

var testNow = time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC)

// seenNow is a session of root.
func seenNow(src string) hostinfo.Session {
	return hostinfo.Session{Src: addrs(src)[0], Local: addrs("192.0.2.10")[0], User: "0"}
}

// testHost is a machine with an inner and an outer link.
func testHost() iptables.Host {
	return iptables.Host{
		Links: []iptables.Link{
			{Name: "lo", Addresses: prefixes("127.0.0.1/8", "::1/128")},
			{Name: "eth0", Addresses: prefixes("192.0.2.10/24", "2001:db8::10/64", "fe80::10/64")},
			{Name: "eth1", Addresses: prefixes("10.1.0.1/24")},
		},
		Routes: []iptables.Route{{Dst: "default", Link: "eth0"}, {Dst: "10.2.0.0/16", Link: "eth1"}, {Dst: "10.1.0.0/24", Link: "eth1"}},
	}
}

func prefixes(list ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, s := range list {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

func addrs(list ...string) []netip.Addr {
	var out []netip.Addr
	for _, s := range list {
		out = append(out, netip.MustParseAddr(s))
	}
	return out
}

func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		p := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// manyRules is a filter table with n rules that match nothing of interest.
func manyRules(n int, last string) string {
	var b strings.Builder
	b.WriteString("*filter\n:INPUT DROP [0:0]\n-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n")
	for i := range n {
		fmt.Fprintf(&b, "-A INPUT -s 172.%d.%d.0/24 -p tcp -m tcp --dport %d -j ACCEPT\n", 16+i%16, i/16%250, 1000+i%60000)
	}
	b.WriteString(last + "\nCOMMIT\n")
	return b.String()
}
