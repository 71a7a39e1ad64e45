package preboot

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"lifeline/probes/iptables"
)

// inIPv6 finds the networks of manyRules.
var inIPv6 = regexp.MustCompile(`172\.(\d+)\.(\d+)\.0/24`)

// BenchmarkCheck is the whole answer about files of a thousand rules: reading,
// the load in a scratch namespace, the analysis, the rehearsal, and the fix of
// what is locked out. The names tell what becomes of management.
func BenchmarkCheck(b *testing.B) {
	const allow4, allow6 = "-A INPUT -s 10.0.0.0/8 -p tcp -m tcp --dport 22 -j ACCEPT", "-A INPUT -s 2001:db8::/32 -p tcp -m tcp --dport 22 -j ACCEPT\n-A INPUT -p ipv6-icmp -j ACCEPT"
	const part4, part6 = "-A INPUT -s 10.1.0.0/16 -p tcp -m tcp --dport 22 -j ACCEPT", "-A INPUT -p ipv6-icmp -j ACCEPT"
	for _, c := range []struct {
		name           string
		backend        iptables.Backend
		rules4, rules6 string
		want           Verdict
		aim            float64 // ms
	}{
		{"allowed/nft", iptables.NFT, allow4, "", Safe, 300},
		{"allowed/legacy", iptables.Legacy, allow4, "", Safe, 300},
		{"allowed_both_families/nft", iptables.NFT, allow4, allow6, Safe, 2000},
		{"locked_out/nft", iptables.NFT, part4, "", Unsafe, 2000},
		{"locked_out_both_families/nft", iptables.NFT, part4, part6, Unsafe, 2000},
	} {
		b.Run(c.name, func(b *testing.B) {
			needTool(b, "iptables-nft-restore", "iptables-legacy-restore", "ip6tables-nft-restore")
			dir := b.TempDir()
			o := Options{Backend: c.backend, Iface: "eth0", Dst: addrs("192.0.2.10"), Mgmt: prefixes("10.0.0.0/8"), Rules4: []string{filepath.Join(dir, "rules.v4")},
				Links: []iptables.Link{{Name: "eth0", Addresses: prefixes("192.0.2.10/24")}}}
			err := os.WriteFile(o.Rules4[0], []byte(manyRules(1000, c.rules4)), 0o644)
			if err == nil && c.rules6 != "" {
				o.Rules6 = []string{filepath.Join(dir, "rules.v6")}
				o.Dst, o.Mgmt = append(o.Dst, addrs("2001:db8:1::10")...), append(o.Mgmt, prefixes("2001:db8:2::/48")...)
				o.Links[0].Addresses = append(o.Links[0].Addresses, prefixes("2001:db8:1::10/64")...)
				err = os.WriteFile(o.Rules6[0], inIPv6.ReplaceAll([]byte(manyRules(1000, c.rules6)), []byte("2001:db8:f:$1$2::/64")), 0o644)
			}
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				r, err := Check(b.Context(), o)
				bare := slices.ContainsFunc(r.Checks, func(c CheckResult) bool { return c.Name == Rehearsal && c.Verdict == "" })
				if err != nil || r.Verdict != c.want || bare {
					b.Fatalf("%s: %s, %v", r.Verdict, r.Reason, err)
				}
			}
			b.ReportMetric(c.aim, "aim-ms")
		})
	}
}
