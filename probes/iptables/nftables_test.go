package iptables

import (
	"fmt"
	"net/netip"
	"testing"
)

// TestNativeEffect judges native nftables files for an IPv4 question on eth0.
func TestNativeEffect(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       tri
	}{
		{"empty", "", no},
		{"Debian's sample", "#!/usr/sbin/nft -f\nflush ruleset\ntable inet filter {\n chain input {\n  type filter hook input priority filter;\n }\n chain output { type filter hook output priority filter; }\n}\n", no},
		{"policy drop", "table inet f { chain i { type filter hook input priority 0; policy drop; } }", yes},
		{"policy drop, only counting", "table inet f { chain i { type filter hook input priority 0; policy drop; counter; log prefix \"accept\" } }", yes},
		{"policy drop, something accepted", "table inet f { chain i { type filter hook input priority 0; policy drop; ip saddr 10.0.0.0/8 accept } }", maybe},
		{"one command a line", "add table inet f\nadd chain inet f i { type filter hook input priority 10; policy drop; }\n", yes},
		{"rule by rule", "add table ip f\nadd chain ip f i { type filter hook input priority 0; }\nadd rule ip f i tcp dport { 22, 80 } drop\n", maybe},
		{"first rule drops", "table ip f { chain i { type filter hook prerouting priority 0; drop\n accept } }", yes},
		{"other family", "table ip6 f { chain i { type filter hook input priority 0; policy drop; } }", no},
		{"forward only", "table inet f { chain i { type filter hook forward priority 0; policy drop; } }", no},
		{"no hook", "table inet f { chain i { drop } }", no},
		{"jump to a harmless chain", "table inet f { chain a { counter accept }\nchain i { type filter hook input priority 0; jump a } }", no},
		{"jump to a harmful chain", "table inet f { chain a { tcp dport 22 drop }\nchain i { type filter hook input priority 0; jump a } }", maybe},
		{"jump to nowhere known", "table inet f { chain i { type filter hook input priority 0; jump b } }", maybe},
		{"chains that jump at each other", "table inet f { chain a { jump b }\nchain b { jump a }\nchain i { type filter hook input priority 0; jump a } }", no},
		{"included", "include \"/etc/nftables.d/*.nft\"\n", maybe},
		{"deleted again", "table inet f { chain i { type filter hook input priority 0; policy drop; } }\ndelete table inet f\n", no},
		{"flushed, policy stays", "table inet f { chain i { type filter hook input priority 0; policy drop; ct state new accept } }\nflush chain inet f i\n", yes},
		{"flushed ruleset", "table inet f { chain i { type filter hook input priority 0; policy drop; } }\nflush ruleset\n", no},
		{"ingress of the link", "table netdev f { chain i { type filter hook ingress device eth0 priority 0; policy drop; } }", yes},
		{"ingress of another link", "table netdev f { chain i { type filter hook ingress device \"eth1\" priority 0; policy drop; } }", no},
		{"arp", "table arp f { chain i { type filter hook input priority 0; policy drop; } }", yes},
		{"dormant", "table inet f { flags dormant; chain i { type filter hook input priority 0; policy drop; } }", maybe},
		{"sets and maps", "define x = { 1, 2 }\ntable inet f { set s { type ipv4_addr; elements = { 10.0.0.1, 10.0.0.2 } }\nchain i { type filter hook input priority 0; ip saddr @s accept } }", no},
		{"verdict map", "table inet f { chain i { type filter hook input priority 0; tcp dport vmap { 22 : drop } } }", maybe},
		{"marks", "table inet f { chain i { type filter hook prerouting priority 0; meta mark set 1 } }", maybe},
		{"cut short", "table inet f { chain i { type filter hook input priority 0; policy drop;", maybe},
	} {
		n := parseNFT(File{Name: "f.nft", Text: []byte(c.text)})
		if got := n.effect(benchQuestion(1)); got != c.want {
			t.Errorf("%s: got %d, want %d", c.name, got, c.want)
		}
	}
}

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

func TestIPSets(t *testing.T) {
	s, err := ParseIPSets("sets", []byte(`create nets hash:net family inet hashsize 1024 maxelem 65536 comment
add nets 10.0.0.0/8 comment "our own"
add nets 10.0.0.0/24 nomatch
create hosts hash:ip family inet6
add hosts 2001:db8::1
create range bitmap:ip range 192.0.2.0-192.0.2.255
add range 192.0.2.10-192.0.2.20
create both list:set size 8
add both range
create gone hash:ip timeout 60
create wide hash:ip netmask 24
ipset create old hash:ip
rename old new
-! create macs hash:mac
`))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		fam   Family
		loads bool
		known bool
	}{
		{"nets", IPv4, true, true}, {"nets", IPv6, false, false}, {"hosts", IPv6, true, true}, {"range", IPv4, true, true},
		{"both", IPv4, true, true}, {"gone", IPv4, true, false}, {"wide", IPv4, true, false}, {"new", IPv4, true, false},
		{"old", IPv4, false, false}, {"macs", IPv6, true, false}, {"none", IPv4, false, false},
	} {
		if why := s.refuses(c.name, c.fam); (why == "") != c.loads {
			t.Errorf("%s for IPv%d: %q", c.name, c.fam, why)
		}
		if _, why := s.addresses(c.name, 0); c.loads && (why == "") != c.known {
			t.Errorf("%s: content %q", c.name, why)
		}
	}
	if _, err := ParseIPSets("sets", []byte("add none 10.0.0.1\n")); err == nil {
		t.Error("an entry of a set that does not exist passes")
	}
	if _, err := ParseIPSets("sets", []byte("frobnicate\n")); err == nil {
		t.Error("an unknown command passes")
	}
}
