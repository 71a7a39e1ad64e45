package rules

import (
	"strings"

	"lifeline/probes/iptables/lex"
	"lifeline/probes/iptables/netfilter"
)

// The checks of options against each other that only one extension makes.

func (l *extensionUse) checkStatistic() string {
	if l.gave("every") && l.num("packet") >= l.num("every") {
		return "--packet must be below --every"
	}
	return ""
}

func (l *extensionUse) checkOwner() string {
	if l.gave("suppl-groups") && l.given[0].name == "suppl-groups" {
		return "you need to use --gid-owner first"
	}
	return ""
}

func (l *extensionUse) checkHMARK() string {
	if l.gave("hmark-spi-mask") && (l.gave("hmark-sport-mask") || l.gave("hmark-dport-mask")) {
		return "--hmark-spi-mask cannot be used with --hmark-sport-mask or --hmark-dport-mask"
	}
	return ""
}

// num is the value of a numeric option, 0 where it is not given.
func (l *extensionUse) num(name string) uint64 {
	n := uint64(0)
	if g := l.get(name); g != nil {
		n, _ = lex.Number(g.arg, 0, 1<<63)
	}
	return n
}

func (l *extensionUse) checkRecent() string {
	if l.gave("rttl") && (l.gave("set") || l.gave("remove")) {
		return "--rttl may only be used with --rcheck or --update"
	}
	if l.num("hitcount") > 255 {
		return "hitcount is larger than allowed maximum"
	}
	return ""
}

// checkPolicy looks at each element of an IPsec policy: --next begins another.
func (l *extensionUse) checkPolicy() string {
	mode, tunnel, any := "", false, false
	for i := range l.given {
		g := &l.given[i]
		switch g.name {
		case "next":
			if tunnel && mode != "tunnel" {
				return "--tunnel-src and --tunnel-dst are only valid in tunnel mode"
			}
			mode, tunnel = "", false
		case "mode":
			mode = strings.ToLower(g.arg)
		case "tunnel-src", "tunnel-dst":
			tunnel = true
		}
		any = any || lex.OneOf(g.name, "reqid spi tunnel-src tunnel-dst proto mode")
	}
	switch {
	case tunnel && mode != "tunnel":
		return "--tunnel-src and --tunnel-dst are only valid in tunnel mode"
	case l.gave("strict") && !any:
		return "--strict needs a policy element"
	}
	return ""
}

// oddPrefixes: the kernel translates prefixes of at most 64 bits, and wants no
// bits behind them (ip6t_NPT.c).
func (l *extensionUse) checkPrefixes() string {
	for _, name := range []string{"src-pfx", "dst-pfx"} {
		g := l.get(name)
		if g == nil {
			continue
		}
		h, why := parseHost(g.arg, netfilter.IPv6)
		if why != "" || h.name != "" {
			continue // found fault with already
		}
		addr, _, _ := strings.Cut(g.arg, "/")
		if whole, ok := numericAddr(addr, netfilter.IPv6); h.mask.Lo != 0 || ok && whole != h.addr {
			return "--" + name + " needs a prefix of at most 64 bits, without bits behind it"
		}
	}
	return ""
}
