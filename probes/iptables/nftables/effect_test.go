package nftables

import (
	"testing"

	"lifeline/probes/iptables/netfilter"
	"lifeline/probes/iptables/tri"
)

// TestNativeEffect judges native nftables files for an IPv4 question on eth0.
func TestNativeEffect(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       tri.Value
	}{
		{"empty", "", tri.No},
		{"Debian's sample", "#!/usr/sbin/nft -f\nflush ruleset\ntable inet filter {\n chain input {\n  type filter hook input priority filter;\n }\n chain output { type filter hook output priority filter; }\n}\n", tri.No},
		{"policy drop", "table inet f { chain i { type filter hook input priority 0; policy drop; } }", tri.Yes},
		{"policy drop, only counting", "table inet f { chain i { type filter hook input priority 0; policy drop; counter; log prefix \"accept\" } }", tri.Yes},
		{"policy drop, something accepted", "table inet f { chain i { type filter hook input priority 0; policy drop; ip saddr 10.0.0.0/8 accept } }", tri.Maybe},
		{"one command a line", "add table inet f\nadd chain inet f i { type filter hook input priority 10; policy drop; }\n", tri.Yes},
		{"rule by rule", "add table ip f\nadd chain ip f i { type filter hook input priority 0; }\nadd rule ip f i tcp dport { 22, 80 } drop\n", tri.Maybe},
		{"first rule drops", "table ip f { chain i { type filter hook prerouting priority 0; drop\n accept } }", tri.Yes},
		{"other family", "table ip6 f { chain i { type filter hook input priority 0; policy drop; } }", tri.No},
		{"forward only", "table inet f { chain i { type filter hook forward priority 0; policy drop; } }", tri.No},
		{"no hook", "table inet f { chain i { drop } }", tri.No},
		{"jump to a harmless chain", "table inet f { chain a { counter accept }\nchain i { type filter hook input priority 0; jump a } }", tri.No},
		{"jump to a harmful chain", "table inet f { chain a { tcp dport 22 drop }\nchain i { type filter hook input priority 0; jump a } }", tri.Maybe},
		{"jump to nowhere known", "table inet f { chain i { type filter hook input priority 0; jump b } }", tri.Maybe},
		{"chains that jump at each other", "table inet f { chain a { jump b }\nchain b { jump a }\nchain i { type filter hook input priority 0; jump a } }", tri.No},
		{"included", "include \"/etc/nftables.d/*.nft\"\n", tri.Maybe},
		{"deleted again", "table inet f { chain i { type filter hook input priority 0; policy drop; } }\ndelete table inet f\n", tri.No},
		{"flushed, policy stays", "table inet f { chain i { type filter hook input priority 0; policy drop; ct state new accept } }\nflush chain inet f i\n", tri.Yes},
		{"flushed ruleset", "table inet f { chain i { type filter hook input priority 0; policy drop; } }\nflush ruleset\n", tri.No},
		{"ingress of the link", "table netdev f { chain i { type filter hook ingress device eth0 priority 0; policy drop; } }", tri.Yes},
		{"ingress of another link", "table netdev f { chain i { type filter hook ingress device \"eth1\" priority 0; policy drop; } }", tri.No},
		{"arp", "table arp f { chain i { type filter hook input priority 0; policy drop; } }", tri.Yes},
		{"dormant", "table inet f { flags dormant; chain i { type filter hook input priority 0; policy drop; } }", tri.Maybe},
		{"sets and maps", "define x = { 1, 2 }\ntable inet f { set s { type ipv4_addr; elements = { 10.0.0.1, 10.0.0.2 } }\nchain i { type filter hook input priority 0; ip saddr @s accept } }", tri.No},
		{"verdict map", "table inet f { chain i { type filter hook input priority 0; tcp dport vmap { 22 : drop } } }", tri.Maybe},
		{"marks", "table inet f { chain i { type filter hook prerouting priority 0; meta mark set 1 } }", tri.Maybe},
		{"cut short", "table inet f { chain i { type filter hook input priority 0; policy drop;", tri.Maybe},
	} {
		n := Parse(File{Name: "f.nft", Text: []byte(c.text)})
		if got, _ := n.Effect(netfilter.IPv4, "eth0"); got != c.want {
			t.Errorf("%s: got %d, want %d", c.name, got, c.want)
		}
	}
}
