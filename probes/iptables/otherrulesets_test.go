package iptables

import (
	"fmt"
	"net/netip"
	"testing"
)

// TestNFTFilesTogether: what files do to each other's chains, and to those of the
// rules, is never ALLOWED by looking at each alone.
func TestNFTFilesTogether(t *testing.T) {
	rules := "*filter\n:INPUT DROP [0:0]\n:MINE - [0:0]\n-A INPUT -j MINE\n-A MINE -p tcp -j ACCEPT\nCOMMIT\n"
	base := "table inet x {\n chain in { type filter hook input priority 10; policy accept; }\n}\n"
	for _, c := range []struct {
		files []string
		want  Verdict
	}{
		{[]string{base}, Allowed},
		{[]string{base, "add rule inet x in tcp dport 22 drop\n"}, Conditional},
		{[]string{base, "table inet x {\n chain in {\n tcp dport 22 drop\n }\n}\n"}, Conditional},
		{[]string{base, "add chain inet x in { policy drop; }\n"}, Blocked},
		{[]string{base, "add rule inet x in tcp dport 22 drop\n", "delete table inet x\n"}, Allowed},
		{[]string{"insert rule ip filter INPUT tcp dport 22 drop\n"}, Conditional},
		{[]string{"table ip filter {\n chain INPUT {\n tcp dport 22 drop\n }\n}\n"}, Conditional},
		{[]string{"table ip filter {\n chain MINE {\n tcp dport 22 drop\n }\n}\n"}, Conditional},
		{[]string{"insert rule ip filter OTHER tcp dport 22 drop\n"}, Conditional},
		{[]string{"add chain ip filter INPUT { policy drop; }\n"}, Conditional},
		{[]string{"flush chain ip filter MINE\n"}, Conditional},
		{[]string{"flush table ip filter\n"}, Conditional},
		{[]string{"delete rule ip filter MINE handle 5\n"}, Conditional},
		{[]string{"insert rule ip6 filter INPUT tcp dport 22 drop\n"}, Allowed},
		{[]string{"table ip filter {\n chain help { accept; }\n chain own { type filter hook input priority 5; jump help; }\n}\n"}, Allowed},
	} {
		in := Inputs{Rules: []File{{Name: "rules", Text: []byte(rules)}}}
		for i, text := range c.files {
			in.NFT = append(in.NFT, File{Name: fmt.Sprint("f", i), Text: []byte(text)})
		}
		q := Question{Family: IPv4, Backend: NFT, Iface: "eth0", Dst: []netip.Addr{netip.MustParseAddr("192.0.2.10")}, Ports: []uint16{22},
			Mgmt: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, Host: Host{Links: []Link{{Name: "eth0", Addresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.10/24")}}}}}
		if r := Analyse(q, in); r.Verdict != c.want {
			t.Errorf("%q: %s, want %s (%+v)", c.files, r.Verdict, c.want, r.Assumptions)
		}
	}
}
