package preboot

import (
	"fmt"
	"strings"
	"testing"

	"lifeline/probes/iptables"
)

func TestMends(t *testing.T) {
	head := "*filter\n:INPUT DROP [0:0]\n:OUTPUT %s [0:0]\n:SIDE - [0:0]\n-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n"
	open, closed := fmt.Sprintf(head, "ACCEPT"), fmt.Sprintf(head, "DROP")
	for _, c := range []struct {
		name, rules string
		family      iptables.Family
		want        []string
	}{
		{"policy", open + "COMMIT\n", 4, []string{"6 true -A INPUT -i eth0 -s 10.4.0.0/14 -p tcp -m tcp --dport 22 -j ACCEPT"}},
		{"drop", open + "-A INPUT -s 10.7.0.0/16 -j DROP\n-A INPUT -p tcp --dport 22 -j ACCEPT\nCOMMIT\n", 4,
			[]string{"6 true -A INPUT -i eth0 -s 10.4.0.0/14 -p tcp -m tcp --dport 22 -j ACCEPT"}},
		{"drop in a side chain", open + "-A INPUT -j SIDE\n-A INPUT -p tcp --dport 22 -j ACCEPT\n-A SIDE -s 10.7.0.0/16 -j DROP\nCOMMIT\n", 4,
			[]string{"6 true -A INPUT -i eth0 -s 10.4.0.0/14 -p tcp -m tcp --dport 22 -j ACCEPT"}},
		{"inserted drop", open + "-I INPUT 1 -s 10.7.0.0/16 -j DROP\n-A INPUT -p tcp --dport 22 -j ACCEPT\nCOMMIT\n", 4,
			[]string{"8 true -I INPUT 1 -i eth0 -s 10.4.0.0/14 -p tcp -m tcp --dport 22 -j ACCEPT"}},
		{"both ways", closed + "COMMIT\n", 4, []string{"6 true -A INPUT -i eth0 -s 10.4.0.0/14 -p tcp -m tcp --dport 22 -j ACCEPT",
			"6 true -A OUTPUT -o eth0 -d 10.4.0.0/14 -p tcp -m tcp --sport 22 -j ACCEPT"}},
		{"neighbours", open + "-A INPUT -p tcp --dport 22 -j ACCEPT\nCOMMIT\n", 6,
			[]string{"7 true -A INPUT -i eth0 -p ipv6-icmp -m icmp6 --icmpv6-type 136 -j ACCEPT", "7 true -A INPUT -i eth0 -p ipv6-icmp -m icmp6 --icmpv6-type 135 -j ACCEPT"}},
		{"in order", open + "-A INPUT -p tcp --dport 22 -j ACCEPT\nCOMMIT\n", 4, nil},
		{"another table", "*raw\n:PREROUTING ACCEPT\n-A PREROUTING -s 10.6.0.0/16 -j DROP\nCOMMIT\n", 4,
			[]string{"3 true -A PREROUTING -i eth0 -s 10.4.0.0/14 -p tcp -m tcp --dport 22 -j ACCEPT"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			q := testQuestion(c.family, "10.4.0.0/14", "2001:db8:a::/48")
			role := roleRules4
			if c.family == iptables.IPv6 {
				role = roleRules6
			}
			i := inquiry{gathered: &gathered{files: []*ruleFile{{role: role, path: "f", text: []byte(c.rules), asked: true, said: toolWord{load: iptables.LoadOK}}}}}
			var got []string
			for _, m := range i.mends(q, i.analyse(q)) {
				got = append(got, fmt.Sprintf("%d %v %s", m.Line, m.Tested, m.Rule))
			}
			// The order of neighbour discovery's packets is the analysis's own.
			if strings.Join(sorted(got), "\n") != strings.Join(sorted(c.want), "\n") {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(c.want, "\n"))
			}
		})
	}
}

func TestLoadMends(t *testing.T) {
	for rules, want := range map[string]string{
		"*filter\n:INPUT DROP\n":                 "put a last line into f: COMMIT",
		"*filter\n-A INPUT --dprot 22\nCOMMIT\n": "correct f:2:",
		"*filter\n-A INPUT -j ACCEPT\nCOMMIT\n":  "correct or remove line 2 of f: \"-A INPUT -j ACCEPT\"",
	} {
		said := toolWord{load: iptables.LoadFails, message: "the tool's words", line: 2}
		if strings.HasPrefix(want, "put") {
			said.message = "COMMIT expected at line 3"
		}
		i := inquiry{gathered: &gathered{files: []*ruleFile{{role: roleRules4, path: "f", text: []byte(rules), asked: true, said: said}}}}
		q := testQuestion(4, "10.0.0.0/8")
		got := i.mends(q, i.analyse(q))
		if len(got) != 1 || !strings.HasPrefix(got[0].Text, want) {
			t.Errorf("%+v, want %q", got, want)
		}
	}
}
