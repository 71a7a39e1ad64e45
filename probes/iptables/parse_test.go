package iptables

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestSplitWords(t *testing.T) {
	for _, c := range []struct {
		line string
		want []string
	}{
		{"-A INPUT\t-j  ACCEPT\n", []string{"-A", "INPUT", "-j", "ACCEPT"}},
		{`--comment "a \"b\" \\ c" x`, []string{"--comment", `a "b" \ c`, "x"}},
		{`a"b"c`, []string{"ab", "c"}},
		{`"" x`, []string{"", "x"}},
		{`x "never closed`, []string{"x", "never closed"}},
		{`x "`, []string{"x"}},
		{`it's \n`, []string{"it's", `\n`}},
	} {
		words, why := splitWords(nil, c.line, 1)
		var got []string
		for _, w := range words {
			got = append(got, w.text)
		}
		if why != "" || !slices.Equal(got, c.want) {
			t.Errorf("%q: got %q, %s", c.line, got, why)
		}
	}
	if _, why := splitWords(nil, strings.Repeat("x", 2000), 1); why == "" {
		t.Error("an argument of 2000 bytes passes")
	}
	if _, why := splitWords(nil, strings.Repeat("x ", 300), 1); why == "" {
		t.Error("300 arguments pass")
	}
}

func TestNumber(t *testing.T) {
	for _, c := range []struct {
		in   string
		want uint64
		ok   bool
	}{
		{"22", 22, true}, {"022", 18, true}, {"0x16", 22, true}, {"+7", 7, true}, {"-1", 0, false}, {"", 0, false},
		{"0x", 0, false}, {"08", 0, false}, {"22a", 0, false}, {"99999999999999999999", 0, false}, {" 5", 5, true}, {"0", 0, true},
	} {
		got, ok := number(c.in, 0, 1<<63)
		if ok != c.ok || ok && got != c.want {
			t.Errorf("%q: got %d, %v", c.in, got, ok)
		}
	}
}

func TestParseHost(t *testing.T) {
	for _, c := range []struct {
		in   string
		f    Family
		want string // first and last address, or the reason
	}{
		{"10.1.2.3", IPv4, "10.1.2.3-10.1.2.3"},
		{"10.1.2.3/8", IPv4, "10.0.0.0-10.255.255.255"},
		{"10.1/16", IPv4, "10.1.0.0-10.1.255.255"},
		{"010.0.0.0/255.0.0.0", IPv4, "8.0.0.0-8.255.255.255"},
		{"whatever/0", IPv4, "0.0.0.0-255.255.255.255"},
		{"10.0.0.0/33", IPv4, "invalid mask `33' specified"},
		{"10.0.0.256", IPv4, "host/network `10.0.0.256' not found"},
		{"2001:db8::/32", IPv6, "2001:db8::-2001:db8:ffff:ffff:ffff:ffff:ffff:ffff"},
		{"fe80::/ffc0::", IPv6, "fe80::-febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
		{"10.0.0.1", IPv6, "host/network `10.0.0.1' not found"},
	} {
		h, why := parseHost(c.in, c.f)
		got := why
		if why == "" {
			s := h.span(c.f)
			got = s.lo.addr(c.f).String() + "-" + s.hi.addr(c.f).String()
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
		_, err := Parse("f", []byte("*filter\n"+c.line+"\nCOMMIT\n"), ParseOptions{Family: IPv4, Backend: NFT, Names: Names{Services: map[string]uint16{}}})
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
		for b, want := range map[Backend]bool{NFT: c.nft, Legacy: c.legacy} {
			if _, err := Parse("f", []byte(c.text), ParseOptions{Family: IPv4, Backend: b}); (err == nil) != want {
				t.Errorf("%q on %s: %v", c.text, b, err)
			}
		}
	}
}

// TestLongLines: the tool reads lines in pieces of 10239 bytes, so that the
// rest of a longer one is a line of its own.
func TestLongLines(t *testing.T) {
	text := "*filter\n#" + strings.Repeat("x", 10238) + "-A INPUT -j DROP\nCOMMIT\n"
	set, err := Parse("f", []byte(text), ParseOptions{Family: IPv4, Backend: NFT})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(set.Tables(0)["filter"].Chain("INPUT").Rules); n != 1 {
		t.Errorf("got %d rules", n)
	}
}

func TestTablesUpToALine(t *testing.T) {
	set, err := Parse("f", []byte("*filter\n:INPUT DROP\nCOMMIT\n*nat\nCOMMIT\n*filter\n:INPUT ACCEPT\nCOMMIT\n"), ParseOptions{Family: IPv4, Backend: NFT})
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
		ParseOptions{Family: IPv4, Backend: NFT})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(set.Modprobe, []int{2, 3}) || !slices.Equal(set.SideEffects, []int{4}) {
		t.Errorf("got %v and %v", set.Modprobe, set.SideEffects)
	}
}

// TestTheToolsWord compares what Analyse makes of a file by itself and with
// the restore tool's word.
func TestTheToolsWord(t *testing.T) {
	q := benchQuestion(1)
	open := []byte("*filter\n:INPUT ACCEPT\nCOMMIT\n")
	shut := []byte("*filter\n:INPUT DROP\nCOMMIT\n*nat\n:PREROUTING ACCEPT\nCOMMIT\n")
	odd := []byte("*filter\n-A INPUT --frobnicate\nCOMMIT\n")
	for _, c := range []struct {
		name    string
		text    []byte
		told    Told
		load    Load
		verdict Verdict
	}{
		{"agreed", open, Told{Load: LoadOK}, LoadOK, Allowed},
		{"not asked", open, Told{}, LoadOK, Allowed},
		{"tool unknown", open, Told{Load: LoadUnknown}, LoadUnknown, Conditional},
		{"tool refuses all", shut, Told{Load: LoadFails, Error: "line 3 failed", Line: 3}, LoadFails, Conditional},
		{"tool refuses the second table", shut, Told{Load: LoadFails, Error: "line 6 failed", Line: 6}, LoadFails, Blocked},
		{"tool refuses somewhere", shut, Told{Load: LoadFails, Error: "killed"}, LoadFails, Conditional},
		{"tool accepts what we do not", odd, Told{Load: LoadOK}, LoadOK, Conditional},
		{"nobody accepts", odd, Told{Load: LoadFails, Line: 2}, LoadFails, Conditional},
		{"tool ends early", []byte("*filter\n:INPUT DROP\n-V\nCOMMIT\n"), Told{Load: LoadOK}, LoadFails, Conditional},
	} {
		r := Analyse(q, Inputs{Rules: []File{{Name: "f", Text: c.text, Told: c.told}}})
		if r.Load != c.load || r.Verdict != c.verdict {
			t.Errorf("%s: load %s, %s, %v", c.name, r.Load, r.Verdict, r.Assumptions)
		}
	}
}

func TestReadNames(t *testing.T) {
	n := ReadNames(NameFiles{
		Services:  []byte("# comment\nssh 22/tcp # secure\nweb 8080/tcp www-alt\nbad x/tcp\n"),
		Protocols: []byte("tcp 6 TCP\nfoo 200 FOO\n"), Passwd: []byte("root:x:0:0::/root:/bin/sh\nbad\n"), Group: []byte("adm:x:4:\n")})
	if n.Services["ssh/tcp"] != 22 || n.Services["www-alt/tcp"] != 8080 || n.Protocols["foo"] != 200 || n.Groups["adm"] != 4 {
		t.Errorf("got %+v", n)
	}
	if _, ok := n.Users["root"]; !ok || len(n.Users) != 1 {
		t.Errorf("users: %v", n.Users)
	}
}
