package rules

import (
	"fmt"
	"strconv"
	"strings"

	"lifeline/probes/iptables/lex"
	"lifeline/probes/iptables/netset"
)

// checkValue says what is wrong with an option's argument, as far as the tool
// itself would notice. What only the machine could tell goes to uncertain.
func (p *ruleParser) checkValue(l *extensionUse, g *optionUse) string {
	o := g.opt
	ok := true
	switch o.kind {
	case kindU8, kindU16, kindU32, kindU64:
		hi := uint64(1)<<(8<<(o.kind-kindU8)) - 1
		if o.kind == kindU64 {
			hi = 1<<64 - 1
		}
		if o.max != 0 {
			hi = o.max
		}
		_, ok = lex.Number(g.arg, o.min, hi)
	case kindU8s, kindU16s, kindU32s:
		var lo, hi uint64
		lo, hi, ok = numberRange(g.arg, uint64(1)<<(8<<(o.kind-kindU8s))-1)
		switch o.name {
		case "mss":
			ok = ok && lo <= hi
		case "queue-balance":
			ok = ok && lo < hi && hi-lo < 65535 // the kernel counts them in 16 bits
		}
	case kindU64s:
		var lo, hi uint64
		lo, hi, ok = numberRange(g.arg, 1<<64-1)
		ok = ok && lo <= hi
	case kindNumber:
		f, err := strconv.ParseFloat(g.arg, 64)
		ok = err == nil && (o.max == 0 || f >= float64(o.min) && f <= float64(o.max))
	case kindMark:
		_, _, ok = valueMask(g.arg)
	case kindTOS:
		ok = validTOS(g.arg)
	case kindLogLevel:
		_, ok = lex.Number(g.arg, 0, 7)
		ok = ok || lex.OneOf(g.arg, "alert crit debug emerg error info notice panic warning")
	case kindMAC:
		ok = validMAC(g.arg)
	case kindPrefixLen:
		_, ok = netMask(g.arg, p.family)
	case kindHost, kindHostMask:
		return p.checkHost(g, o.kind == kindHostMask)
	case kindProtocol:
		return p.checkName(p.names.protocol(g.arg))
	case kindPort, kindPorts:
		return p.checkPorts(g.arg, o.kind == kindPorts)
	case kindTCPPorts:
		return p.checkTCPPorts(g.arg, l.ext.name)
	case kindText, kindTwoWords:
		return p.checkText(l, g)
	}
	if !ok {
		return g.bad()
	}
	return ""
}

// bad says that the argument is wrong.
func (g *optionUse) bad() string {
	return fmt.Sprintf("bad value for option \"--%s\": %q", g.opt.name, g.arg)
}

// checkName turns the outcome of a name table into an error or an uncertainty.
func (p *ruleParser) checkName(_ any, known bool, why string) string {
	if why == "" && !known {
		p.uncertain = append(p.uncertain, "a name that the machine's tables must know")
	}
	return why
}

func validTOS(s string) bool {
	if _, rest, ok := lex.NumberPrefix(s); ok && (rest == "" || rest[0] == '/') {
		if rest == "" {
			return true
		}
		_, ok = lex.Number(rest[1:], 0, 255)
		return ok
	}
	return lex.OneOf(strings.ToLower(s),
		"minimize-delay maximize-throughput maximize-reliability minimize-cost normal-service")
}

func validMAC(s string) bool {
	parts := strings.Split(s, ":")
	for _, x := range parts {
		if _, err := strconv.ParseUint(x, 16, 8); err != nil || len(x) > 2 {
			return false
		}
	}
	return len(parts) == 6
}

func (p *ruleParser) checkHost(g *optionUse, masked bool) string {
	name := g.arg
	if masked {
		if n, m, ok := strings.Cut(g.arg, "/"); ok {
			name = n
			if _, good := netMask(m, p.family); !good {
				return g.bad()
			}
		}
	}
	if _, ok := numericAddr(name, p.family); ok {
		return ""
	}
	if notAHostName(name) {
		return g.bad()
	}
	p.uncertain = append(p.uncertain, fmt.Sprintf("host name %q", name))
	return ""
}

// resolverPort reads a port as the C library's resolver does: decimal, and cut
// to 16 bits, or a service name.
func (p *ruleParser) resolverPort(s string) (port uint16, known bool, why string) {
	if v, err := strconv.ParseUint(s, 10, 64); err == nil {
		return uint16(v), true, ""
	}
	if port, known, why = p.names.service(s, "tcp"); why != "" {
		return p.names.service(s, "udp")
	}
	return port, known, why
}

// portPair reads "a", "a:b", ":b", "a:" for the options that go through the
// resolver.
func (p *ruleParser) portPair(s string) (a, b uint16, known bool, why string) {
	l, r, isRange := strings.Cut(s, ":")
	known, b = true, 65535
	if l != "" {
		var k bool
		if a, k, why = p.resolverPort(l); why != "" {
			return 0, 0, false, why
		}
		known = known && k
	}
	if !isRange {
		return a, a, known, ""
	}
	if r != "" {
		var k bool
		if b, k, why = p.resolverPort(r); why != "" {
			return 0, 0, false, why
		}
		known = known && k
	}
	return a, b, known, ""
}

func (p *ruleParser) checkPorts(s string, many bool) string {
	if !many && strings.Contains(s, ":") || strings.Count(s, ":") > 1 {
		return fmt.Sprintf("port %q does not resolve to anything", s)
	}
	_, _, known, why := p.portPair(s)
	return p.checkName(nil, known, why)
}

// tcpPorts reads the port range of the tcp and sctp matches.
func (p *ruleParser) tcpPorts(s, proto string) (r netset.PortRange, known bool, why string) {
	l, h, isRange := strings.Cut(s, ":")
	if !isRange {
		r.Lo, known, why = p.names.service(l, proto)
		r.Hi = r.Lo
		return r, known, why
	}
	r.Hi, known = 65535, true
	if l != "" {
		if r.Lo, known, why = p.names.service(l, proto); why != "" {
			return r, known, why
		}
	}
	if h != "" {
		var k bool
		if r.Hi, k, why = p.names.service(h, proto); why != "" {
			return r, known, why
		}
		known = known && k
	}
	if known && r.Lo > r.Hi {
		return r, known, "invalid portrange (min > max)"
	}
	return r, known, ""
}

func (p *ruleParser) checkTCPPorts(s, proto string) string {
	_, known, why := p.tcpPorts(s, proto)
	return p.checkName(nil, known, why)
}
