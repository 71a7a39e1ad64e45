// Package rulegen writes random iptables rules files, for tests that compare
// what the analysis says with what packets do.
//
// The files load on both back ends unless Broken is asked for. They are full of
// what matters to one question: its sources, addresses, ports and links, and
// values next to them.
package rulegen

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
)

// Profile says what the files are about.
type Profile struct {
	// Family is 4 or 6.
	Family int
	// Iface is the management link, Other another link of the machine.
	Iface, Other string
	// Dst are the machine's addresses that management connects to.
	Dst []netip.Addr
	// Ports are the TCP ports that management connects to.
	Ports []uint16
	// Mgmt are the management sources.
	Mgmt []netip.Prefix
	// Uncertain adds matches and targets whose effect depends on time, rate or
	// chance.
	Uncertain bool
	// Broken adds, to about half of the files, something that a restore tool
	// may refuse.
	Broken bool
	// Chains is the largest number of user chains in a table, 4 if 0.
	Chains int
	// Rules is the largest number of rules in a chain, 6 if 0.
	Rules int
}

// gen writes one file.
type gen struct {
	Profile
	r *rand.Rand
	b strings.Builder
	// table is the table being written, chain the chain, users its user
	// chains; the ones behind index may be jumped to, so that there is no loop.
	table, chain string
	users        []string
	index        int
}

// File writes one random file.
func (p Profile) File(r *rand.Rand) string {
	if p.Chains == 0 {
		p.Chains = 4
	}
	if p.Rules == 0 {
		p.Rules = 6
	}
	g := &gen{Profile: p, r: r}
	for _, t := range []struct {
		name string
		odds int
	}{{"raw", 25}, {"mangle", 40}, {"nat", 30}, {"filter", 95}, {"security", 8}} {
		if g.odds(t.odds) {
			g.writeTable(t.name)
		}
	}
	text := g.b.String()
	if p.Broken && g.odds(50) {
		text = g.breakIt(text)
	}
	return text
}

// odds is true in n of 100 cases.
func (g *gen) odds(n int) bool { return g.r.IntN(100) < n }

// pick returns one of the words.
func pick[T any](g *gen, words ...T) T { return words[g.r.IntN(len(words))] }

func builtin(table string) []string {
	switch table {
	case "raw":
		return []string{"PREROUTING", "OUTPUT"}
	case "nat":
		return []string{"PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"}
	case "mangle":
		return []string{"PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"}
	}
	return []string{"INPUT", "FORWARD", "OUTPUT"}
}

func (g *gen) writeTable(name string) {
	g.table = name
	g.users = nil
	for i := range g.r.IntN(g.Chains + 1) {
		g.users = append(g.users, fmt.Sprintf("%s%d", pick(g, "c", "user-", "LOG_"), i))
	}
	fmt.Fprintf(&g.b, "*%s\n", name)
	for _, c := range builtin(name) {
		policy := "ACCEPT"
		if (name == "filter" && g.odds(45) || g.odds(4)) && name != "nat" {
			policy = "DROP"
		}
		fmt.Fprintf(&g.b, ":%s %s [%d:%d]\n", c, policy, g.r.IntN(9), g.r.IntN(900))
	}
	for _, u := range g.users {
		fmt.Fprintf(&g.b, ":%s - [0:0]\n", u)
	}
	for _, c := range builtin(name) {
		g.writeChain(c, -1)
	}
	for i, u := range g.users {
		g.writeChain(u, i)
	}
	g.b.WriteString("COMMIT\n")
}

// writeChain writes the rules of a chain; user chains jump forward only.
func (g *gen) writeChain(name string, index int) {
	g.chain, g.index = name, index
	if index < 0 && g.table == "filter" && name != "FORWARD" {
		g.usual(name)
	}
	for range g.r.IntN(g.Rules + 1) {
		if rule := g.rule(); rule != "" {
			fmt.Fprintf(&g.b, "-A %s%s\n", name, rule)
		}
	}
}

// usual writes what real files begin with, so that many flows get through.
func (g *gen) usual(chain string) {
	if g.odds(60) {
		fmt.Fprintf(&g.b, "-A %s -m %s ESTABLISHED,RELATED -j ACCEPT\n", chain, pick(g, "state --state", "conntrack --ctstate"))
	}
	if chain == "INPUT" && g.odds(50) {
		g.b.WriteString("-A INPUT -i lo -j ACCEPT\n")
	}
	if g.Family == 6 && g.odds(70) {
		fmt.Fprintf(&g.b, "-A %s -p ipv6-icmp -j ACCEPT\n", chain)
	}
	if chain == "INPUT" && g.odds(40) {
		fmt.Fprintf(&g.b, "-A INPUT -p tcp -m tcp --dport %d -j ACCEPT\n", pick(g, g.Ports...))
	}
}

// hooked reports whether the chain hangs on one of the hooks itself.
func (g *gen) hooked(hooks ...string) bool {
	for _, h := range hooks {
		if g.chain == h {
			return true
		}
	}
	return false
}

// rule writes one rule without its command.
func (g *gen) rule() string {
	m, proto := g.matches()
	t := g.target(proto)
	if t == "" {
		return ""
	}
	return m + t
}
