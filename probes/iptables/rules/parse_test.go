package rules

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"lifeline/probes/iptables/netfilter"
)

func TestParseHost(t *testing.T) {
	for _, c := range []struct {
		in   string
		f    netfilter.Family
		want string // first and last address, or the reason
	}{
		{"10.1.2.3", netfilter.IPv4, "10.1.2.3-10.1.2.3"},
		{"10.1.2.3/8", netfilter.IPv4, "10.0.0.0-10.255.255.255"},
		{"10.1/16", netfilter.IPv4, "10.1.0.0-10.1.255.255"},
		{"010.0.0.0/255.0.0.0", netfilter.IPv4, "8.0.0.0-8.255.255.255"},
		{"whatever/0", netfilter.IPv4, "0.0.0.0-255.255.255.255"},
		{"10.0.0.0/33", netfilter.IPv4, "invalid mask `33' specified"},
		{"10.0.0.256", netfilter.IPv4, "host/network `10.0.0.256' not found"},
		{"2001:db8::/32", netfilter.IPv6, "2001:db8::-2001:db8:ffff:ffff:ffff:ffff:ffff:ffff"},
		{"fe80::/ffc0::", netfilter.IPv6, "fe80::-febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
		{"10.0.0.1", netfilter.IPv6, "host/network `10.0.0.1' not found"},
	} {
		h, err := parseHost(c.in, c.f)
		got := ""
		if err != nil {
			got = err.Error()
		} else {
			s := h.span(c.f)
			got = s.Lo.IP(c.f).String() + "-" + s.Hi.IP(c.f).String()
			if !h.contiguous(c.f) {
				t.Errorf("%s: a mask with holes", c.in)
			}
		}
		if got != c.want {
			t.Errorf("%s: got %s, want %s", c.in, got, c.want)
		}
	}
}

// TestParseErrors holds the messages: file, line, column, why, text.
func TestParseErrors(t *testing.T) {
	for _, c := range []struct{ line, want string }{
		{"-A INPUT -p tcp --dprot 22 -j ACCEPT", `f:2:17: unknown option "--dprot": "-A INPUT -p tcp --dprot 22 -j ACCEPT"`},
		{"-A INPUT -s 10.0.0.300 -j DROP", "f:2:13: host/network `10.0.0.300' not found: \"-A INPUT -s 10.0.0.300 -j DROP\""},
		{"-A INPUT -j NOSUCH", "f:2: `NOSUCH' is neither a chain nor a target: \"-A INPUT -j NOSUCH\""},
		{"-A NOSUCH -j DROP", `f:2: no chain by that name: "-A NOSUCH -j DROP"`},
		{"-A INPUT -j DROP # why", "f:2:18: bad argument `#': \"-A INPUT -j DROP # why\""},
		{"-A INPUT -p tcp --dport 99999", "f:2:17: tcp: invalid port/service `99999' specified: \"-A INPUT -p tcp --dport 99999\""},
		{"-A INPUT -p tcp --dport", `f:2:17: option "--dport" requires an argument: "-A INPUT -p tcp --dport"`},
		{"-A INPUT ! -j DROP", `f:2:12: cannot have ! before -j: "-A INPUT ! -j DROP"`},
		{"-A INPUT -s 1.1.1.1 -s 2.2.2.2", `f:2:21: multiple -s flags not allowed: "-A INPUT -s 1.1.1.1 -s 2.2.2.2"`},
		{"-A INPUT -m state -j DROP", `f:2:26: state: option "--state" must be specified: "-A INPUT -m state -j DROP"`},
		{"-A INPUT -m state --state OLD", `f:2:19: state: bad value for option "--state": "OLD": "-A INPUT -m state --state OLD"`},
		{"-A INPUT -p udp -m tcp --dport 5", `f:2: tcp match needs its own protocol (-p): "-A INPUT -p udp -m tcp --dport 5"`},
		{"-A INPUT -m multiport --dports 5", `f:2:23: multiport: multiport needs -p tcp, udp, udplite, sctp or dccp before it: "-A INPUT -m multiport --dports 5"`},
		{"-A INPUT -t nat", `f:2:10: the -t option cannot be used in a rules file: "-A INPUT -t nat"`},
		{"-A INPUT -D INPUT", `f:2:10: cannot use -D with -A: "-A INPUT -D INPUT"`},
		{"-A INPUT -o eth0", `f:2:17: can't use -o with INPUT: "-A INPUT -o eth0"`},
		{"-A INPUT !", `f:2:10: nothing appropriate following !: "-A INPUT !"`},
		{"-P INPUT REJECT", `f:2: bad policy name: "-P INPUT REJECT"`},
		{"-I INPUT 2", `f:2: index of insertion too big: "-I INPUT 2"`},
		{"-N " + strings.Repeat("x", 29), fmt.Sprintf("f:2:1: chain name `%s' too long (must be under 29 chars): \"-N %[1]s\"", strings.Repeat("x", 29))},
		{"[5", `f:2: counters need ]: "[5"`},
		{":user DROP", ""},
		{"COMMIT ", "f:2:1: bad argument `COMMIT': \"COMMIT \""},
		{" ", `f:2:2: no command specified: " "`},
		{"-A INPUT -j DROP\nCOMMIT\nrubbish", `f:4: not in a table: "rubbish"`},
		{"-A INPUT -j DROP\nCOMMIT\n*none", `f:4: table name 'none' invalid: "*none"`},
		{"-A INPUT -m set --match-set admins src", `f:2: set admins doesn't exist: "-A INPUT -m set --match-set admins src"`},
		{"-A INPUT -j DNAT --to-destination 10.0.0.1", `f:2: target DNAT may not stand here: "-A INPUT -j DNAT --to-destination 10.0.0.1"`},
	} {
		_, err := Parse("f", []byte("*filter\n"+c.line+"\nCOMMIT\n"), ParseOptions{Family: netfilter.IPv4, Backend: netfilter.NFT, Names: Names{Services: map[string]uint16{}}})
		got := ""
		if err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%q:\n got %s\nwant %s", c.line, got, c.want)
		}
	}
}

// TestBackendsDiffer holds what one back end loads and the other refuses.
func TestBackendsDiffer(t *testing.T) {
	for _, c := range []struct {
		text        string
		nft, legacy bool
	}{
		{"*filter\nCOMMIT", true, false},
		{"*filter\n:a - [0:0]\n:a - [0:0]\nCOMMIT\n", true, false},
		{"*filter\n:a ACCEPT [0:0]\nCOMMIT\n", true, false},
		{"*filter\n:-a - [0:0]\nCOMMIT\n", false, true},
		{"*filter\n-A INPUT ! -s 0.0.0.0/0 -j DROP\nCOMMIT\n", false, true},
		{"*filter\n-A INPUT ! -p tcp --dport 22 -j DROP\nCOMMIT\n", true, false},
	} {
		for b, want := range map[netfilter.Backend]bool{netfilter.NFT: c.nft, netfilter.Legacy: c.legacy} {
			if _, err := Parse("f", []byte(c.text), ParseOptions{Family: netfilter.IPv4, Backend: b}); (err == nil) != want {
				t.Errorf("%q on %s: %v", c.text, b, err)
			}
		}
	}
}

// TestLongLines: the tool reads lines in pieces of 10239 bytes, so that the
// rest of a longer one is a line of its own.
func TestLongLines(t *testing.T) {
	text := "*filter\n#" + strings.Repeat("x", 10238) + "-A INPUT -j DROP\nCOMMIT\n"
	set, err := Parse("f", []byte(text), ParseOptions{Family: netfilter.IPv4, Backend: netfilter.NFT})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(set.Tables(0)["filter"].Chain("INPUT").Rules); n != 1 {
		t.Errorf("got %d rules", n)
	}
}

func TestTablesUpToALine(t *testing.T) {
	set, err := Parse("f", []byte("*filter\n:INPUT DROP\nCOMMIT\n*nat\nCOMMIT\n*filter\n:INPUT ACCEPT\nCOMMIT\n"), ParseOptions{Family: netfilter.IPv4, Backend: netfilter.NFT})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		line   int
		tables int
		policy string
	}{{3, 0, ""}, {4, 1, "DROP"}, {6, 2, "DROP"}, {0, 2, "ACCEPT"}, {99, 2, "ACCEPT"}} {
		tables := set.Tables(c.line)
		policy := ""
		if in := tables["filter"].Chain("INPUT"); in != nil {
			policy = in.Policy
		}
		if len(tables) != c.tables || policy != c.policy {
			t.Errorf("before line %d: %d tables, policy %q", c.line, len(tables), policy)
		}
	}
}

func TestModprobeAndSideEffects(t *testing.T) {
	set, err := Parse("f", []byte("*filter\n-A INPUT -M /bin/true -j ACCEPT\n-A INPUT --modpr x\n-A INPUT -j LED --led-trigger-id x\nCOMMIT\n"),
		ParseOptions{Family: netfilter.IPv4, Backend: netfilter.NFT})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(set.Modprobe, []int{2, 3}) || !slices.Equal(set.SideEffects, []int{4}) {
		t.Errorf("got %v and %v", set.Modprobe, set.SideEffects)
	}
}
