package rulegen

import (
	"fmt"
	"net/netip"
	"strings"
)

// matches writes the part of a rule before its target, and the protocol that
// it is restricted to, if any.
func (g *gen) matches() (text, proto string) {
	var b strings.Builder
	if g.odds(35) {
		b.WriteString(g.address("-s", g.peer()))
	}
	if g.odds(15) {
		b.WriteString(g.address("-d", pick(g, g.local(), g.peer())))
	}
	if g.odds(15) && !g.hooked("OUTPUT", "POSTROUTING") {
		fmt.Fprintf(&b, " %s-i %s", g.not(25), g.link())
	}
	if g.odds(10) && !g.hooked("PREROUTING", "INPUT") {
		fmt.Fprintf(&b, " %s-o %s", g.not(25), g.link())
	}
	if g.odds(65) {
		proto = pick(g, "tcp", "tcp", "tcp", "tcp", "udp", "icmp6-or-icmp")
		b.WriteString(g.protocol(&proto))
	}
	if proto == "tcp" {
		g.tcp(&b)
	}
	if g.Family == 6 && proto == "ipv6-icmp" && g.odds(70) {
		fmt.Fprintf(&b, " -m icmp6 %s--icmpv6-type %s", g.not(10), pick(g, "135", "136", "neighbour-solicitation", "136/0", "128", "2"))
	}
	g.general(&b)
	if g.Uncertain && g.odds(15) {
		b.WriteString(g.uncertain(proto))
	}
	if g.odds(8) {
		b.WriteString(` -m comment --comment "a \"quoted\" -j DROP comment"`)
	}
	return b.String(), proto
}

// address writes an address match; everything cannot be negated with nft.
func (g *gen) address(option, addr string) string {
	if strings.HasSuffix(addr, "/0") {
		return " " + option + " " + addr
	}
	return " " + g.not(20) + option + " " + addr
}

func (g *gen) not(odds int) string {
	if g.odds(odds) {
		return "! "
	}
	return ""
}

func (g *gen) protocol(proto *string) string {
	if *proto == "icmp6-or-icmp" {
		*proto = "icmp"
		if g.Family == 6 {
			*proto = "ipv6-icmp"
		}
	}
	if g.odds(4) {
		p := *proto
		*proto = ""
		return " ! -p " + p
	}
	if *proto == "tcp" && g.odds(8) {
		return " -p 6"
	}
	return " -p " + *proto
}

// peer is a source of the question, a part of it, or something near.
func (g *gen) peer() string {
	p := pick(g, g.Mgmt...)
	bits := p.Addr().BitLen()
	switch g.r.IntN(8) {
	case 0, 1, 2:
		return p.String()
	case 3:
		if g.Family == 6 {
			return pick(g, "2001:db8::/32", "fe80::/10", "::/0", "fd00::/8", "2001:db8:ffff::/48")
		}
		return pick(g, "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "0.0.0.0/0", "198.51.100.0/24")
	case 4:
		return netip.PrefixFrom(RandomIn(g.r, p), bits).String()
	}
	n := p.Bits() + g.r.IntN(bits-p.Bits()+1)
	return netip.PrefixFrom(RandomIn(g.r, p), n).Masked().String()
}

func (g *gen) local() string {
	d := pick(g, g.Dst...)
	if g.odds(30) {
		return netip.PrefixFrom(d, d.BitLen()-8).Masked().String()
	}
	return d.String()
}

func (g *gen) link() string {
	return pick(g, g.Iface, g.Iface, g.Iface[:len(g.Iface)-1]+"+", g.Iface+"+", g.Other, "lo")
}

// port is a port of the question or one near it.
func (g *gen) port() int {
	p := int(pick(g, g.Ports...))
	return pick(g, p, p, p, p-1, p+1, 80, 443, 1024+g.r.IntN(60000))
}

func (g *gen) ports() string {
	a := g.port()
	switch g.r.IntN(5) {
	case 0:
		return fmt.Sprintf("%d:%d", a, min(65535, a+g.r.IntN(2000)))
	case 1:
		return fmt.Sprintf(":%d", a)
	case 2:
		return fmt.Sprintf("%d:", a)
	}
	return fmt.Sprint(a)
}

func (g *gen) sourcePorts() string {
	a := g.r.IntN(65000)
	return pick(g, fmt.Sprintf("%d:%d", a, a+g.r.IntN(65535-a)), "1024:65535", "32768:60999", fmt.Sprint(g.port()), "0:1023")
}

func (g *gen) tcp(b *strings.Builder) {
	local, peer := "--dport", "--sport"
	if g.hooked("OUTPUT", "POSTROUTING") {
		local, peer = peer, local
	}
	if g.odds(50) {
		fmt.Fprintf(b, " -m tcp %s%s %s", g.not(10), local, g.ports())
	}
	if g.odds(10) {
		fmt.Fprintf(b, " %s%s %s", g.not(20), peer, g.sourcePorts())
	}
	if g.odds(12) {
		fmt.Fprintf(b, " -m multiport %s--%s %d,%d:%d", g.not(15), pick(g, local[2:]+"s", peer[2:]+"s", "ports"), g.port(), 2000, 2100)
	}
	if g.odds(12) {
		fmt.Fprintf(b, " -m tcp %s%s", g.not(30), pick(g, "--syn", "--tcp-flags FIN,SYN,RST,ACK SYN", "--tcp-flags SYN SYN",
			"--tcp-flags ALL ACK", "--tcp-flags ALL ACK,PSH", "--tcp-flags SYN,ACK SYN,ACK", "--tcp-flags FIN,RST NONE",
			"--tcp-flags ACK ACK", "--tcp-flags ALL NONE"))
	}
}

// general are matches that go with any protocol.
func (g *gen) general(b *strings.Builder) {
	if g.odds(18) {
		fmt.Fprintf(b, " -m conntrack %s--ctstate %s", g.not(25), pick(g, "NEW", "ESTABLISHED", "NEW,ESTABLISHED", "INVALID",
			"RELATED,ESTABLISHED", "UNTRACKED", "NEW,UNTRACKED", "DNAT", "INVALID,NEW"))
		if g.odds(15) {
			fmt.Fprintf(b, " --ctdir %s", pick(g, "ORIGINAL", "REPLY"))
		}
		if g.odds(15) {
			fmt.Fprintf(b, " %s--ctorigdstport %d", g.not(20), g.port())
		}
		if g.odds(10) {
			fmt.Fprintf(b, " %s--ctorigsrc %s", g.not(20), g.peer())
		}
		if g.odds(10) {
			fmt.Fprintf(b, " %s--ctreplsrc %s", g.not(20), g.local())
		}
	}
	if g.odds(10) {
		fmt.Fprintf(b, " -m mark %s--mark %s", g.not(20), g.mark())
	}
	if g.odds(6) {
		fmt.Fprintf(b, " -m connmark %s--mark %s", g.not(20), g.mark())
	}
	if g.odds(7) {
		p := pick(g, g.Mgmt...)
		a, z := RandomIn(g.r, p), RandomIn(g.r, p)
		if z.Less(a) {
			a, z = z, a
		}
		fmt.Fprintf(b, " -m iprange %s--%s %s-%s", g.not(15), pick(g, "src-range", "dst-range"), a, z)
	}
	if g.odds(6) {
		fmt.Fprintf(b, " -m addrtype %s--%s %s", g.not(20), pick(g, "src-type", "dst-type"), pick(g, "LOCAL", "UNICAST", "LOCAL,MULTICAST"))
	}
	if g.Family == 6 && g.odds(6) {
		b.WriteString(pick(g, " -m hl --hl-eq 255", " -m rt --rt-type 0"))
	}
}

func (g *gen) mark() string {
	return pick(g, "0x1", "0x2", "0x1/0x1", "0x0/0x3", "0x2/0x2", "0x3", "0x0")
}

func (g *gen) uncertain(proto string) string {
	words := []string{" -m limit --limit 1/hour --limit-burst 1", " -m limit --limit 10000/sec", " -m statistic --mode random --probability 0.5",
		" -m recent --name r1 --set", " -m recent --name r1 --update --seconds 60 --hitcount 3", " -m length --length 0:60",
		" -m hashlimit --hashlimit-upto 1/min --hashlimit-burst 1 --hashlimit-mode srcip --hashlimit-name h1",
		" -m time --timestart 00:00 --timestop 12:00", " -m statistic --mode nth --every 2 --packet 0"}
	if proto == "tcp" {
		words = append(words, " -m connlimit --connlimit-above 1", " -m tcp --tcp-option 8")
	}
	return pick(g, words...)
}
