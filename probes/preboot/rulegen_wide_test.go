package preboot

import (
	"fmt"
	"strings"

	"lifeline/probes/iptables"
	"lifeline/probes/iptables/rulegen"
	"lifeline/probes/preboot/sandbox"
)

// diffCase is all that is loaded for one question of the differential test.
type diffCase struct {
	question iptables.Question
	rules    string
	// sets is what ipset restores before, other what the other back end loads;
	// empty for nothing.
	sets, other string
}

// newDiffCase makes the case of a seed. Files come from two generators.
func newDiffCase(seed uint64, f iptables.Family, b iptables.Backend) diffCase {
	g := newRuleGen(seed, f, b)
	c := diffCase{question: g.question()}
	if seed%8 >= 4 { // every other file of each kind
		c.rules = rulegen.Profile{Family: int(f), Iface: "eth0", Other: "eth1", Dst: c.question.Dst, Ports: c.question.Ports, Mgmt: c.question.Mgmt,
			Uncertain: seed%3 == 0, Broken: seed%5 == 0}.File(g.r)
		return c
	}
	if g.chance(0.3) {
		c.sets = g.ipsets()
	}
	g.edits = g.chance(0.2)
	c.rules = g.file()
	if g.chance(0.15) {
		o := newRuleGen(seed+1<<40, f, b.Other())
		o.table("filter")
		c.other = o.b.String()
	}
	return c
}

func (c diffCase) inputs(names iptables.Names) iptables.Inputs {
	in := iptables.Inputs{Rules: []iptables.File{{Name: "rules", Text: []byte(c.rules)}}, Names: names}
	if c.sets != "" {
		in.IPSets = &iptables.File{Name: "sets", Text: []byte(c.sets)}
	}
	if c.other != "" {
		in.Other = []iptables.File{{Name: "other", Text: []byte(c.other)}}
	}
	return in
}

// loads puts the case in the place of the one before; its rules come last.
func (c diffCase) loads() []sandbox.Load {
	f, b := c.question.Family, c.question.Backend
	list := []sandbox.Load{clearing(b, f), clearing(b.Other(), f)}
	if c.sets != "" {
		list = append(list, sandbox.Load{Commands: []sandbox.Command{{Argv: []string{"ipset", "restore"}}}, Input: []byte(c.sets)})
	}
	if c.other != "" {
		list = append(list, restore(b.Other(), f, c.other))
	}
	return append(list, restore(b, f, c.rules))
}

func (c diffCase) String() string {
	text := c.rules
	if c.sets != "" {
		text += "-- sets --\n" + c.sets
	}
	if c.other != "" {
		text += "-- other back end --\n" + c.other
	}
	return text
}

// ipsets makes sets of each kind that the analysis reads.
func (g *ruleGen) ipsets() string {
	family := g.byFamily("inet", "inet6")
	net := func() string {
		return strings.TrimSuffix(g.one(strings.Fields(g.byFamily("10.0.0.0/8 10.1.0.0/16 10.1.2.0/24 10.1.2.128/25 192.0.2.0/24 172.16.0.0/12 10.64.0.0/10 203.0.113.0/24",
			"2001:db8:a::/48 2001:db8:a:1::/64 2001:db8::/64 2001:db8:b::/48 2001:db8:a:8000::/49"))...), "/0")
	}
	g.sets = []string{"ips", "nets", "ports", "lists"}
	var b strings.Builder
	// Sets stay from case to case: the kernel lets them go only some time after
	// the rules.
	for i, kind := range []string{"hash:ip family " + family, "hash:net family " + family, "hash:net,port family " + family, "list:set"} {
		fmt.Fprintf(&b, "create %s %s -exist\nflush %s\n", g.sets[i], kind, g.sets[i])
	}
	for range g.r.IntN(3) {
		fmt.Fprintf(&b, "add ips %s -exist\n", g.byFamily(g.one("10.1.2.3", "10.1.2.9", "192.0.2.77"), g.one("2001:db8:a:1::7", "2001:db8::99")))
	}
	have := map[string]bool{}
	for range g.r.IntN(4) {
		if n := net(); !have[n] {
			have[n] = true
			fmt.Fprintf(&b, "add nets %s%s\n", n, g.one("", "", " nomatch"))
		}
	}
	for range g.r.IntN(3) {
		fmt.Fprintf(&b, "add ports %s,%s -exist\n", net(), g.one("22", "tcp:22", "tcp:2022", "udp:22", "tcp:20-25"))
	}
	b.WriteString(g.one("", "add lists nets\n", "add lists ips\nadd lists nets\n"))
	return b.String()
}

// set is a match on one of the sets, or a target that writes to one.
func (g *ruleGen) set() string {
	name := g.one(g.sets...)
	dirs := g.one("src", "src", "dst")
	if name == "ports" {
		dirs = g.one("src,dst", "src,dst", "dst,dst", "dst,src", "src,src")
	}
	return fmt.Sprintf("-m set %s--match-set %s %s ", g.one("", "", "! "), name, dirs)
}

// edit changes the table in the middle of the file, as files written by hand do.
func (g *ruleGen) edit(table string) {
	hook := g.one(builtin[table]...)
	rule := func() string { return g.address(hook, 0.7) + g.target(table, hook, false) }
	switch g.r.IntN(14) {
	case 0, 1, 2:
		g.line("-I %s %s", hook, rule())
	case 3:
		g.line("-A %s -m comment --comment first", hook)
		g.line("-I %s %d %s", hook, 1+g.r.IntN(2), rule())
	case 4:
		g.line("-I %s %s", hook, rule())
		g.line("-D %s 1", hook)
	case 5:
		r := rule()
		g.line("-A %s %s", hook, r)
		g.line("-D %s %s", hook, r)
	case 6:
		g.line("-F %s", hook)
	case 7:
		g.line("-P %s %s", hook, g.one("ACCEPT", "DROP"))
	case 8:
		g.line("-Z %s", g.one("", hook))
	case 9:
		g.line("-N mine")
		g.line("-A mine %s", rule())
		g.line("-%s %s -j mine", g.one("A", "I"), hook)
	case 10:
		g.line("-%s", g.one("F", "X"))
	case 11:
		g.line("-N old")
		g.line("-E old new")
	case 12:
		g.line("-A %s -m comment --comment first", hook)
		g.line("-R %s 1 %s", hook, rule())
	case 13:
		g.line("-X %s", hook)
	}
}
