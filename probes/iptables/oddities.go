package iptables

import "strings"

// oddities are checks that only one extension makes.
func (l *loaded) oddities() string {
	switch l.ext.name {
	case "recent":
		return l.oddRecent()
	case "statistic":
		if l.gave("every") && l.num("packet") >= l.num("every") {
			return "--packet must be below --every"
		}
	case "owner":
		if l.gave("suppl-groups") && l.given[0].name == "suppl-groups" {
			return "you need to use --gid-owner first"
		}
	case "policy":
		return l.oddPolicy()
	case "HMARK":
		if l.gave("hmark-spi-mask") && (l.gave("hmark-sport-mask") || l.gave("hmark-dport-mask")) {
			return "--hmark-spi-mask cannot be used with --hmark-sport-mask or --hmark-dport-mask"
		}
	case "SNPT", "DNPT":
		return l.oddPrefixes()
	}
	return ""
}

// num is the value of a numeric option, 0 where it is not given.
func (l *loaded) num(name string) uint64 {
	n := uint64(0)
	if g := l.get(name); g != nil {
		n, _ = number(g.arg, 0, 1<<63)
	}
	return n
}

func (l *loaded) oddRecent() string {
	if l.gave("rttl") && (l.gave("set") || l.gave("remove")) {
		return "--rttl may only be used with --rcheck or --update"
	}
	if l.num("hitcount") > 255 {
		return "hitcount is larger than allowed maximum"
	}
	return ""
}

// oddPolicy looks at each element of an IPsec policy: --next begins another.
func (l *loaded) oddPolicy() string {
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
		any = any || isOneOf(g.name, "reqid spi tunnel-src tunnel-dst proto mode")
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
func (l *loaded) oddPrefixes() string {
	for _, name := range []string{"src-pfx", "dst-pfx"} {
		g := l.get(name)
		if g == nil {
			continue
		}
		h, why := parseHost(g.arg, IPv6)
		if why != "" || h.name != "" {
			continue // found fault with already
		}
		addr, _, _ := strings.Cut(g.arg, "/")
		if whole, ok := numericAddr(addr, IPv6); h.mask.lo != 0 || ok && whole != h.addr {
			return "--" + name + " needs a prefix of at most 64 bits, without bits behind it"
		}
	}
	return ""
}
