package preboot

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"

	"lifeline/probes/iptables"
)

// ruleGen makes random rule files around one question: addresses, ports and
// links of the rules are those of the question or just beside them, so that
// most rules matter.
type ruleGen struct {
	r       *rand.Rand
	family  iptables.Family
	backend iptables.Backend
	chains  []string
	// sets are the ipsets that rules may name.
	sets []string
	// edits: commands other than -A stand among the rules.
	edits bool
	b     strings.Builder
}

func newRuleGen(seed uint64, f iptables.Family, b iptables.Backend) *ruleGen {
	return &ruleGen{r: rand.New(rand.NewPCG(seed, 1)), family: f, backend: b}
}

func (g *ruleGen) one(list ...string) string { return list[g.r.IntN(len(list))] }
func (g *ruleGen) chance(p float64) bool     { return g.r.Float64() < p }

// question asks for networks behind the gateway and on the link.
func (g *ruleGen) question() iptables.Question {
	q := iptables.Question{Family: g.family, Backend: g.backend, Iface: "eth0", Ports: []uint16{22}, Host: diffHost()}
	nets := []string{"10.0.0.0/8", "10.1.0.0/16", "10.1.2.0/24", "10.1.2.3/32", "192.0.2.0/24", "172.16.0.0/12"}
	q.Dst = addrs("192.0.2.10")
	if g.family == iptables.IPv6 {
		nets = []string{"2001:db8:a::/48", "2001:db8:a:1::/64", "2001:db8:a:1::7/128", "2001:db8::/64", "2001:db8:b::/48"}
		q.Dst = addrs("2001:db8::10")
	}
	for _, i := range g.r.Perm(len(nets))[:1+g.r.IntN(2)] {
		q.Mgmt = append(q.Mgmt, netip.MustParsePrefix(nets[i]))
	}
	if g.chance(0.2) {
		q.Ports = append(q.Ports, 2022)
	}
	return q
}

// diffHost is the machine of all differential questions.
func diffHost() iptables.Host {
	return iptables.Host{
		Links: []iptables.Link{
			{Name: "eth0", Addresses: prefixes("192.0.2.10/24", "2001:db8::10/64")},
			{Name: "eth1", Addresses: prefixes("198.51.100.10/24", "2001:db8:e::10/64")},
		},
		Routes: []iptables.Route{{Dst: "default", Link: "eth0"}, {Dst: "10.9.0.0/16", Link: "eth1"}},
	}
}

// file makes one rule file.
func (g *ruleGen) file() string {
	for _, t := range []struct {
		name  string
		share float64
	}{{"raw", 0.3}, {"mangle", 0.3}, {"nat", 0.25}, {"security", 0.05}, {"filter", 0.97}} {
		if g.chance(t.share) {
			g.table(t.name)
		}
	}
	if g.chance(0.08) {
		g.table("filter") // a second time: the last one counts
	}
	return g.b.String()
}

var builtin = map[string][]string{
	"raw": {"PREROUTING", "OUTPUT"}, "mangle": {"PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"},
	"nat": {"PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"}, "filter": {"INPUT", "FORWARD", "OUTPUT"}, "security": {"INPUT", "FORWARD", "OUTPUT"},
}

func (g *ruleGen) line(format string, args ...any) { fmt.Fprintf(&g.b, format+"\n", args...) }

func (g *ruleGen) table(table string) {
	g.line("*%s", table)
	for _, c := range builtin[table] {
		policy := "ACCEPT"
		switch {
		case table == "filter" && c == "INPUT" && g.chance(0.7), table == "filter" && c == "OUTPUT" && g.chance(0.2), table == "filter" && c == "FORWARD":
			policy = "DROP"
		case table != "nat" && g.chance(0.03):
			policy = "DROP"
		}
		g.line(":%s %s [0:0]", c, policy)
	}
	g.chains = nil
	for i := range g.r.IntN(4) {
		g.chains = append(g.chains, fmt.Sprintf("%s-%d", g.one("ssh", "LOGGING", "f2b-sshd", "in"), i))
		g.line(":%s - [0:0]", g.chains[i])
	}
	own := g.chains
	// A chain may jump to later ones only: no loops.
	for i, c := range own {
		g.chains = own[i+1:]
		for range g.r.IntN(4) {
			g.rule(table, c, "")
		}
	}
	g.chains = own
	for _, hook := range builtin[table] {
		if hook == "FORWARD" {
			continue
		}
		g.hook(table, hook)
		if g.edits && g.chance(0.3) {
			g.edit(table)
		}
	}
	g.line("COMMIT")
}

// hook fills a built-in chain: the filter table as people write it, the
// others with little.
func (g *ruleGen) hook(table, hook string) {
	if table == "filter" && g.chance(0.75) {
		g.line("-A %s -m %s %s RELATED,ESTABLISHED -j ACCEPT", hook, g.one("conntrack --ctstate", "state --state"), "")
	}
	if table == "filter" && g.family == iptables.IPv6 && g.chance(0.8) {
		g.line("-A %s -p %s -j ACCEPT", hook, g.one("ipv6-icmp", "icmpv6", "58", "ipv6-icmp --icmpv6-type neighbour-solicitation", "ipv6-icmp"))
	}
	n := g.r.IntN(3)
	if table == "filter" {
		n = g.r.IntN(7)
	}
	for range n {
		g.rule(table, hook, hook)
	}
	if table == "filter" && g.chance(0.6) {
		port := "--dport"
		if hook == "OUTPUT" {
			port = "--sport"
		}
		g.line("-A %s %s-p tcp -m tcp %s 22 -j ACCEPT", hook, g.address(hook, 0.5), port)
	}
	if table == "filter" && hook == "INPUT" && g.chance(0.15) {
		g.line("-A INPUT -j %s", g.one("DROP", "REJECT", "REJECT --reject-with "+g.byFamily("icmp-admin-prohibited", "icmp6-adm-prohibited")))
	}
}

func (g *ruleGen) byFamily(v4, v6 string) string {
	if g.family == iptables.IPv4 {
		return v4
	}
	return v6
}

// address is an -s or -d with a share of chance, near the question's.
func (g *ruleGen) address(hook string, share float64) string {
	if !g.chance(share) {
		return ""
	}
	flag, not := "-s", ""
	if hook == "OUTPUT" || hook == "POSTROUTING" || hook == "" && g.chance(0.3) {
		flag = "-d"
	}
	if g.chance(0.15) {
		not = "! "
	}
	a := g.one("10.0.0.0/8", "10.1.0.0/16", "10.1.2.0/24", "10.1.2.128/25", "10.1.2.3", "192.0.2.0/24", "192.0.2.64/26", "172.16.0.0/12", "172.20.0.0/14",
		"0.0.0.0/0", "10.0.0.1/255.0.0.255", "10.128.0.0/9", "10.9.0.0/16")
	if g.family == iptables.IPv6 {
		a = g.one("2001:db8:a::/48", "2001:db8:a:1::/64", "2001:db8:a:1::7", "2001:db8::/64", "2001:db8:b::/48", "fe80::/10", "::/0", "2001:db8:a:8000::/49", "2001:db8::1/ffff:ffff:ffff:ffff::1")
	}
	if g.chance(0.1) && not == "" {
		a += "," + g.byFamily("10.200.0.0/13", "2001:db8:c::/48")
	}
	return not + flag + " " + a + " "
}

// rule writes one rule of a chain; hook is empty in chains of the user.
func (g *ruleGen) rule(table, chain, hook string) {
	match := g.address(hook, 0.4)
	if g.chance(0.25) {
		match += g.link(hook)
	}
	tcp := g.chance(0.6)
	if tcp {
		match += g.one("", "! ", "", "", "", "", "", "")
		if strings.HasSuffix(match, "! ") {
			match += "-p " + g.one("udp", "icmp", "tcp") + " "
			tcp = false
		} else {
			match += g.one("-p tcp ", "-p tcp -m tcp ", "-p 6 ") + g.tcp()
		}
	}
	if g.chance(0.35) {
		match += g.extension(table, tcp)
	}
	if len(g.sets) > 0 && g.chance(0.2) {
		match += g.set()
	}
	g.line("-A %s %s%s", chain, match, g.target(table, hook, tcp))
}

func (g *ruleGen) link(hook string) string {
	flag := "-i"
	if hook == "OUTPUT" || hook == "POSTROUTING" {
		flag = "-o"
	}
	if hook == "" {
		return ""
	}
	return g.one("", "", "! ") + flag + " " + g.one("eth0", "eth+", "eth0+", "lo", "eth1", "+", "wlan0") + " "
}

func (g *ruleGen) tcp() string {
	port := func() string { return g.one("22", "22", "ssh", ":21", "22:23", "23:", "1024:65535", "2022", "443") }
	switch g.r.IntN(9) {
	case 0, 1, 2, 3:
		return g.one("", "", "", "! ") + "--dport " + port() + " "
	case 4:
		return g.one("", "", "! ") + "--sport " + port() + " "
	case 5:
		return g.one("", "! ") + "--syn "
	case 6:
		return g.one("", "! ") + "--tcp-flags " + g.one("SYN,ACK SYN", "ALL SYN,ACK", "SYN,RST,ACK,FIN SYN", "ACK ACK", "RST RST", "ALL NONE") + " "
	case 7:
		return "-m multiport " + g.one("", "", "! ") + g.one("--dports", "--sports", "--ports") + " " + g.one("22,443", "80,443", "20:25", "22", "1:1023,2022") + " "
	}
	return ""
}

// extension is one more match. Some are not modelled by the analysis, which
// must then not be sure.
func (g *ruleGen) extension(table string, tcp bool) string {
	not := g.one("", "", "", "! ")
	state := func() string {
		return g.one("NEW", "ESTABLISHED", "INVALID", "RELATED,ESTABLISHED", "NEW,ESTABLISHED", "UNTRACKED", "INVALID,UNTRACKED", "NEW,RELATED")
	}
	list := []string{
		"-m conntrack " + not + "--ctstate " + state() + " ", "-m conntrack " + not + "--ctstate " + state() + " ",
		"-m state " + not + "--state " + strings.ReplaceAll(state(), "UNTRACKED", "ESTABLISHED") + " ",
		"-m mark " + not + "--mark " + g.one("0x1", "0x0", "0x2/0x3", "1/1") + " ",
		"-m comment --comment \"a -j DROP \\\"quoted\\\"\" ",
		"-m connmark " + not + "--mark 0x1 ",
		"-m limit --limit 1/hour --limit-burst 3 ",
		"-m statistic --mode random --probability 0.5 ",
		"-m length " + not + "--length " + g.one("0:100", "1000:", "40:60") + " ",
		"-m conntrack --ctdir " + g.one("ORIGINAL", "REPLY") + " ",
		"-m conntrack " + not + "--ctstatus " + g.one("ASSURED", "SEEN_REPLY", "NONE", "CONFIRMED") + " ",
		"-m hl --hl-gt 1 ", "-m pkttype --pkt-type unicast ", "-m time --timestart 00:00 --timestop 23:59 ", "-m dscp --dscp 0 ",
		"-m recent --name r --rcheck ",
	}
	if g.family == iptables.IPv4 {
		list[11] = "-m ttl --ttl-gt 1 "
		list = append(list, "-m iprange "+not+"--src-range "+g.one("10.1.2.0-10.1.3.255", "10.1.2.3-10.1.2.3", "10.0.0.0-10.127.255.255")+" ",
			"-m addrtype "+not+"--dst-type LOCAL ", "-m addrtype "+not+"--src-type "+g.one("LOCAL", "UNICAST", "BROADCAST")+" ")
	} else {
		list = append(list, "-m iprange "+not+"--src-range 2001:db8:a::-2001:db8:a:7fff:ffff:ffff:ffff:ffff ")
	}
	return g.one(list...)
}

func (g *ruleGen) target(table, hook string, tcp bool) string {
	if len(g.chains) > 0 && g.chance(0.25) {
		return g.one("-j ", "-j ", "-g ") + g.one(g.chains...)
	}
	if len(g.sets) > 0 && g.chance(0.04) {
		return "-j SET --add-set ips src --exist"
	}
	switch table {
	case "raw":
		return g.one("-j ACCEPT", "-j DROP", "-j NOTRACK", "-j CT --notrack", "-j RETURN", "")
	case "mangle":
		return g.one("-j ACCEPT", "-j DROP", "-j MARK --set-mark 0x1", "-j MARK --set-xmark 0x2/0x3", "-j MARK --or-mark 1", "-j CONNMARK --save-mark", "-j CONNMARK --restore-mark",
			"-j CONNMARK --set-mark 1", "-j RETURN", "-j TOS --set-tos 0x10", "")
	case "nat":
		return g.natTarget(hook, tcp)
	}
	if tcp && g.chance(0.05) {
		return "-j REJECT --reject-with tcp-reset"
	}
	return g.one("-j ACCEPT", "-j ACCEPT", "-j ACCEPT", "-j DROP", "-j DROP", "-j REJECT", "-j RETURN", "-j LOG --log-prefix \"x \"", "", "-j DROP")
}

func (g *ruleGen) natTarget(hook string, tcp bool) string {
	switch {
	case hook == "PREROUTING" && tcp:
		return g.one("-j REDIRECT --to-ports 22", "-j REDIRECT --to-ports 2022", "-j REDIRECT", "-j DNAT --to-destination "+g.byFamily("192.0.2.10:22", "[2001:db8::10]:22"),
			"-j DNAT --to-destination "+g.byFamily("198.51.100.10", "2001:db8:e::10"), "-j ACCEPT", "-j RETURN")
	case hook == "POSTROUTING":
		return g.one("-j MASQUERADE", "-j ACCEPT", "-j RETURN")
	}
	return g.one("-j ACCEPT", "-j RETURN", "")
}
