package rules

import (
	"errors"
	"strings"

	"lifeline/probes/iptables/lex"
	"lifeline/probes/iptables/netfilter"
)

// The checks of options against each other that only one extension makes.

func (l *extensionUse) checkStatistic() error {
	if l.gave("every") && l.num("packet") >= l.num("every") {
		return errors.New("--packet must be below --every")
	}
	return nil
}

func (l *extensionUse) checkOwner() error {
	if l.gave("suppl-groups") && l.given[0].name == "suppl-groups" {
		return errors.New("you need to use --gid-owner first")
	}
	return nil
}

func (l *extensionUse) checkHMARK() error {
	if l.gave("hmark-spi-mask") && (l.gave("hmark-sport-mask") || l.gave("hmark-dport-mask")) {
		return errors.New("--hmark-spi-mask cannot be used with --hmark-sport-mask or --hmark-dport-mask")
	}
	return nil
}

// num is the value of a numeric option, 0 where it is not given.
func (l *extensionUse) num(name string) uint64 {
	n := uint64(0)
	if g := l.get(name); g != nil {
		n, _ = lex.Number(g.arg, 0, 1<<63)
	}
	return n
}

func (l *extensionUse) checkRecent() error {
	if l.gave("rttl") && (l.gave("set") || l.gave("remove")) {
		return errors.New("--rttl may only be used with --rcheck or --update")
	}
	if l.num("hitcount") > 1<<16-1 {
		return errors.New("hitcount is larger than allowed maximum")
	}
	return nil
}

// checkPolicy looks at each element of an IPsec policy: --next begins another.
func (l *extensionUse) checkPolicy() error {
	mode, tunnel, any := "", false, false
	for i := range l.given {
		g := &l.given[i]
		switch g.name {
		case "next":
			if tunnel && mode != "tunnel" {
				return errors.New("--tunnel-src and --tunnel-dst are only valid in tunnel mode")
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
		return errors.New("--tunnel-src and --tunnel-dst are only valid in tunnel mode")
	case l.gave("strict") && !any:
		return errors.New("--strict needs a policy element")
	}
	return nil
}

// oddPrefixes: the kernel translates prefixes of at most 64 bits, and wants no
// bits behind them (ip6t_NPT.c).
func (l *extensionUse) checkPrefixes() error {
	for _, name := range []string{"src-pfx", "dst-pfx"} {
		g := l.get(name)
		if g == nil {
			continue
		}
		h, err := parseHost(g.arg, netfilter.IPv6)
		if err != nil || h.name != "" {
			continue // found fault with already
		}
		addr, _, _ := strings.Cut(g.arg, "/")
		if whole, ok := numericAddr(addr, netfilter.IPv6); h.mask.Lo != 0 || ok && whole != h.addr {
			return errors.New("--" + name + " needs a prefix of at most 64 bits, without bits behind it")
		}
	}
	return nil
}
