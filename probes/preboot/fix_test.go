package preboot

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lifeline/probes/iptables"
	"lifeline/probes/preboot/sandbox"
	"lifeline/probes/preboot/savedrules"
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
			role := savedrules.RoleRules4
			if c.family == iptables.IPv6 {
				role = savedrules.RoleRules6
			}
			i := inquiry{gathered: &gathered{files: []*bootFile{{File: &savedrules.File{Role: role, Path: "f", Text: []byte(c.rules)}, asked: true, said: sandbox.LoadStatus{Load: iptables.LoadOK}}}}}
			var got []string
			for _, m := range i.fixesFor(q, i.analyse(q)).list {
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
		said := sandbox.LoadStatus{Load: iptables.LoadFails, Message: "the tool's words", Line: 2}
		if strings.HasPrefix(want, "put") {
			said.Message = "COMMIT expected at line 3"
		}
		i := inquiry{gathered: &gathered{files: []*bootFile{{File: &savedrules.File{Role: savedrules.RoleRules4, Path: "f", Text: []byte(rules)}, asked: true, said: said}}}}
		q := testQuestion(4, "10.0.0.0/8")
		got := i.fixesFor(q, i.analyse(q)).list
		if len(got) != 1 || !strings.HasPrefix(got[0].Text, want) {
			t.Errorf("%+v, want %q", got, want)
		}
	}
}

// A port that sshd's configuration does not name is not proposed, and a file that is
// shut for sshd's own port as well is fixed for that.
func TestMendsOfConfiguredPorts(t *testing.T) {
	root := tree(t, map[string]string{"etc/iptables/rules.v4": "*filter\n:INPUT DROP\n-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\nCOMMIT\n"})
	m := newFakeHost()
	m.ports = []uint16{2022}
	shut := goodTestbed()
	shut.outcome = sandbox.TimedOut
	check := func(file string) (rules, texts []string) {
		t.Helper()
		c := fakeChecker(m, shut, root)
		r, err := c.check(t.Context(), Options{})
		if err != nil || r.Verdict != Unsafe {
			t.Fatalf("%s: %s: %s, %v", file, r.Verdict, r.Reason, err)
		}
		for _, m := range r.Checks[0].Fixes {
			if m.Tested {
				t.Errorf("%s: %q is said to be all that is needed", file, m.Text)
			}
			rules, texts = append(rules, m.Rule), append(texts, m.Text)
		}
		return rules, texts
	}
	rules, texts := check("both shut")
	if len(rules) != 2 || !strings.Contains(rules[0], "--dport 22 ") || rules[1] != "" || !strings.Contains(texts[1], "nothing is proposed for port 2022") {
		t.Errorf("both shut: %q, %q", rules, texts)
	}
	root = tree(t, map[string]string{"etc/iptables/rules.v4": openRules4()})
	if rules, texts = check("sshd's own open"); len(rules) != 1 || rules[0] != "" || !strings.Contains(texts[0], "`Port 2022`") {
		t.Errorf("sshd's own open: %q, %q", rules, texts)
	}
}

// TestFixesDoNotDependOnTheClock: however slow an analysis is, the same lines are
// proposed, and where there are more to propose than a person would want, that is said.
func TestFixesDoNotDependOnTheClock(t *testing.T) {
	tables := "*raw\n:PREROUTING DROP\nCOMMIT\n*filter\n:INPUT DROP\n:OUTPUT DROP\nCOMMIT\n"
	in := iptables.Inputs{Rules: []iptables.File{{Name: "f", Text: []byte(tables)}}}
	propose := func(mgmt ...string) fixes {
		q := testQuestion(4, mgmt...).Question
		fast := proposeRules(iptables.Analyse, q, in, iptables.Analyse(q, in))
		synctest.Test(t, func(t *testing.T) {
			slow := func(q iptables.Question, in iptables.Inputs) iptables.Result {
				time.Sleep(time.Minute)
				return iptables.Analyse(q, in)
			}
			if got := proposeRules(slow, q, in, iptables.Analyse(q, in)); !reflect.DeepEqual(got, fast) {
				t.Errorf("%d lines by a slow machine, %d by a fast one", len(got.list), len(fast.list))
			}
		})
		return fast
	}
	if f := propose("10.4.0.0/14"); len(f.list) != 3 || !f.list[0].Tested || f.warning() != "" {
		t.Errorf("%+v", f)
	}
	if f := propose("10.4.0.0/14", "172.16.0.0/12"); len(f.list) != 6 || !f.list[5].Tested {
		t.Errorf("two networks: %+v", f)
	}
	f := propose("10.4.0.0/14", "172.16.0.0/12", "192.0.2.0/28", "198.51.100.0/24", "203.0.113.0/24", "100.64.0.0/10") // 18 lines
	if len(f.list) != maxFixes || f.list[0].Tested || f.left == nil || !strings.Contains(f.warning(), "this is still dropped") ||
		f.list[0].Complete == nil || *f.list[0].Complete || !strings.Contains(f.list[0].Text, "not enough by itself") {
		t.Errorf("%+v", f)
	}
}
