package rulegen

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
)

// target writes the end of a rule; empty where the table has nothing to do.
func (g *gen) target(proto string) string {
	if g.odds(25) && g.index+1 < len(g.users) {
		to := g.users[g.index+1+g.r.IntN(len(g.users)-g.index-1)]
		return fmt.Sprintf(" -%s %s", pick(g, "j", "j", "j", "g"), to)
	}
	if g.Uncertain && g.odds(4) && g.table != "nat" {
		return pick(g, " -j NFQUEUE --queue-num 7 --queue-bypass", " -j NFQUEUE --queue-num 7")
	}
	switch g.table {
	case "raw":
		return g.odd(30, pick(g, " -j CT --notrack", " -j NOTRACK", " -j CT --zone 3", " -j CT --notrack"))
	case "nat":
		return g.natTarget(proto)
	case "mangle":
		return g.odd(60, g.markTarget())
	case "filter":
		if g.odds(12) && g.index < 0 && !g.hooked("FORWARD") {
			return " -j REJECT"
		}
		return g.odd(8, g.markTarget())
	}
	return g.verdict()
}

// odd is the special target in n of 100 cases, else a verdict.
func (g *gen) odd(n int, special string) string {
	if g.odds(n) {
		return special
	}
	return g.verdict()
}

func (g *gen) verdict() string {
	return pick(g, " -j ACCEPT", " -j ACCEPT", " -j DROP", " -j RETURN", " -j ACCEPT", " -j DROP", "",
		" -j NFLOG --nflog-prefix \"-j DROP\"")
}

func (g *gen) markTarget() string {
	return pick(g, " -j MARK --set-mark 0x1", " -j MARK --set-xmark 0x2/0x2", " -j MARK --or-mark 0x1", " -j MARK --and-mark 0xfe",
		" -j MARK --xor-mark 0x3", " -j CONNMARK --set-mark 0x1", " -j CONNMARK --save-mark", " -j CONNMARK --restore-mark",
		" -j CONNMARK --set-xmark 0x2/0x3", " -j CONNMARK --restore-mark --nfmask 0x1 --ctmask 0x3")
}

// natTarget translates to a port or address of this machine, or accepts.
func (g *gen) natTarget(proto string) string {
	if !g.hooked("PREROUTING") || proto != "tcp" {
		return pick(g, " -j ACCEPT", " -j RETURN")
	}
	d := pick(g, g.Dst...)
	to := fmt.Sprintf("%s:%d", d, pick(g, g.Ports...))
	if g.Family == 6 {
		to = fmt.Sprintf("[%s]:%d", d, pick(g, g.Ports...))
	}
	return pick(g, fmt.Sprintf(" -j REDIRECT --to-ports %d", pick(g, g.Ports...)), " -j REDIRECT", " -j DNAT --to-destination "+to,
		" -j ACCEPT", " -j RETURN")
}

// breakIt damages a file.
func (g *gen) breakIt(text string) string {
	lines := strings.SplitAfter(text, "\n")
	i := g.r.IntN(max(1, len(lines)-1))
	bad := []string{"-A INPUT ! -s 0.0.0.0/0 -j DROP\n", "-A INPUT -p tcp --dprot 22 -j ACCEPT\n", "-A INPUT -j NOSUCH\n", "-A NOSUCH -j ACCEPT\n", "COMMIT \n", "\n \n",
		"-A INPUT -p tcp --dport 22 -j ACCEPT # ssh\n", ":new ACCEPT [0:0]\n", ":INPUT FOO [0:0]\n", "-N c0\n", "-A INPUT -s 10.0.0.300 -j DROP\n",
		"-P INPUT DROP\n", "-I INPUT 1 -j ACCEPT\n", "-I INPUT 99 -j ACCEPT\n", "-D INPUT 1\n", "-F\n", "-X\n", "-Z\n", "-4 -A INPUT -j ACCEPT\n",
		"-6 -A INPUT -j DROP\n", "-A INPUT -i eth0 -i eth1 -j DROP\n", "-A INPUT -m set --match-set none src -j DROP\n", "-A INPUT -t nat -j DROP\n",
		"-A INPUT ! -s 10.0.0.0/8,10.1.0.0/16 -j DROP\n", "[1:2] -A INPUT -j ACCEPT\n", "[1 -A INPUT -j ACCEPT\n", "-A INPUT -o eth0 -j ACCEPT\n",
		"-A INPUT -m state -j ACCEPT\n", "-A INPUT -m multiport --dports 22 -j DROP\n", "-R INPUT 1 -j DROP\n", "-L\n", "-E c0 c9\n", "-C INPUT -j DROP\n",
		"-A INPUT -j DROP --foo\n", "-A INPUT -m tcp --dport 22\n", "-A INPUT -m owner --uid-owner 0 -j DROP\n", "-A INPUT -j REDIRECT\n",
		"-A INPUT -p tcp -m tcp --dport ssh --syn -j ACCEPT\n", "-A INPUT -p TCP --dport 0x16 -j ACCEPT\n", "-A INPUT --proto tcp --dpo 22 --jump ACCEPT\n",
		"-AINPUT -p tcp\n", "-A INPUT \"-j\" \"ACCEPT\"\n", "-A INPUT -m comment --comment \"unclosed\n", "\t-A INPUT -j ACCEPT\n", "*filter\n", "#-A INPUT\n",
		"-A INPUT -p tcp --tcp-flags SYN -j DROP\n", "-A INPUT -m mark --mark 0x1/ -j DROP\n", "-A INPUT -m conntrack --ctstate FOO -j DROP\n"}
	switch g.r.IntN(6) {
	case 0: // cut short
		return strings.Join(lines[:i], "")
	case 1: // a line lost
		return strings.Join(append(append([]string{}, lines[:i]...), lines[min(i+1, len(lines)):]...), "")
	case 2: // a line twice
		return strings.Join(append(append([]string{}, lines[:i]...), append([]string{lines[i]}, lines[i:]...)...), "")
	case 3: // Windows line ends in one line
		lines[i] = strings.Replace(lines[i], "\n", "\r\n", 1)
		return strings.Join(lines, "")
	}
	return strings.Join(append(append([]string{}, lines[:i]...), append([]string{pick(g, bad...)}, lines[i:]...)...), "")
}

// RandomIn picks a random address of a prefix.
func RandomIn(r *rand.Rand, p netip.Prefix) netip.Addr {
	a := p.Addr().AsSlice()
	for i := range a {
		host := byte(0xff)
		switch n := p.Bits() - 8*i; {
		case n >= 8:
			host = 0
		case n > 0:
			host = 0xff >> n
		}
		a[i] = a[i]&^host | byte(r.UintN(256))&host
	}
	out, _ := netip.AddrFromSlice(a)
	return out
}
