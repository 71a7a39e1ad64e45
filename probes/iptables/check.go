package iptables

import (
	"fmt"
	"strconv"
	"strings"
)

// checkValue says what is wrong with an option's argument, as far as the tool
// itself would notice. What only the machine could tell goes to uncertain.
func (p *ruleParser) checkValue(l *loaded, g *given) string {
	o := g.opt
	bad := fmt.Sprintf("bad value for option \"--%s\": %q", o.name, g.arg)
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
		_, ok = number(g.arg, o.min, hi)
	case kindU8s, kindU16s, kindU32s:
		_, _, ok = numberRange(g.arg, uint64(1)<<(8<<(o.kind-kindU8s))-1)
	case kindU64s:
		_, _, ok = numberRange(g.arg, 1<<64-1)
	case kindNumber:
		f, err := strconv.ParseFloat(g.arg, 64)
		ok = err == nil && (o.max == 0 || f >= float64(o.min) && f <= float64(o.max))
	case kindMark:
		_, _, ok = valueMask(g.arg)
	case kindTOS:
		ok = validTOS(g.arg)
	case kindLogLevel:
		_, ok = number(g.arg, 0, 7)
		ok = ok || isOneOf(g.arg, "alert crit debug emerg error info notice panic warning")
	case kindMAC:
		ok = validMAC(g.arg)
	case kindPrefixLen:
		_, ok = netMask(g.arg, p.family)
	case kindHost, kindHostMask:
		return p.checkHost(g.arg, o.kind == kindHostMask, bad)
	case kindProtocol:
		return p.checkName(p.names.protocol(g.arg))
	case kindPort, kindPorts:
		return p.checkPorts(g.arg, o.kind == kindPorts)
	case kindTCPPorts:
		return p.checkTCPPorts(g.arg, l.ext.name)
	case kindText, kindTwoWords:
		return p.checkText(l, g, bad)
	}
	if !ok {
		return bad
	}
	return ""
}

// checkName turns the outcome of a name table into an error or an uncertainty.
func (p *ruleParser) checkName(_ any, known bool, why string) string {
	if why == "" && !known {
		p.uncertain = append(p.uncertain, "a name that the machine's tables must know")
	}
	return why
}

func isOneOf(s, list string) bool {
	for f := range strings.FieldsSeq(list) {
		if f == s {
			return true
		}
	}
	return false
}

func validTOS(s string) bool {
	if _, rest, ok := numberPrefix(s); ok && (rest == "" || rest[0] == '/') {
		if rest == "" {
			return true
		}
		_, ok = number(rest[1:], 0, 255)
		return ok
	}
	return isOneOf(strings.ToLower(s),
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

func (p *ruleParser) checkHost(s string, masked bool, bad string) string {
	name := s
	if masked {
		if n, m, ok := strings.Cut(s, "/"); ok {
			name = n
			if _, good := netMask(m, p.family); !good {
				return bad
			}
		}
	}
	if _, ok := numericAddr(name, p.family); ok {
		return ""
	}
	if notAHostName(name) {
		return bad
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
func (p *ruleParser) tcpPorts(s, proto string) (r portRange, known bool, why string) {
	l, h, isRange := strings.Cut(s, ":")
	if !isRange {
		r.lo, known, why = p.names.service(l, proto)
		r.hi = r.lo
		return r, known, why
	}
	r.hi, known = 65535, true
	if l != "" {
		if r.lo, known, why = p.names.service(l, proto); why != "" {
			return r, known, why
		}
	}
	if h != "" {
		var k bool
		if r.hi, k, why = p.names.service(h, proto); why != "" {
			return r, known, why
		}
		known = known && k
	}
	if known && r.lo > r.hi {
		return r, known, "invalid portrange (min > max)"
	}
	return r, known, ""
}

func (p *ruleParser) checkTCPPorts(s, proto string) string {
	_, known, why := p.tcpPorts(s, proto)
	return p.checkName(nil, known, why)
}

// checkText looks at arguments that have a syntax of their own.
func (p *ruleParser) checkText(l *loaded, g *given, bad string) string {
	if n := uint64(len(g.arg)); n < g.opt.min || g.opt.max != 0 && n > g.opt.max {
		return bad
	}
	ok := true
	switch l.ext.name + " " + g.name {
	case "conntrack ctstate", "state state":
		_, ok = parseStates(g.arg)
	case "conntrack ctdir":
		ok = strings.EqualFold(g.arg, "ORIGINAL") || strings.EqualFold(g.arg, "REPLY")
	case "conntrack ctstatus":
		ok = listOf(g.arg, "none expected seen_reply assured confirmed")
	case "addrtype src-type", "addrtype dst-type":
		_, ok = parseAddrTypes(g.arg)
	case "tcp tcp-flags":
		_, ok1 := parseFlags(g.arg)
		_, ok2 := parseFlags(g.arg2)
		ok = ok1 && ok2
	case "icmp icmp-type":
		_, ok = parseICMP(g.arg, IPv4)
	case "icmp6 icmpv6-type":
		_, ok = parseICMP(g.arg, IPv6)
	case "iprange src-range", "iprange dst-range":
		_, ok = parseAddrRange(g.arg, p.family)
	case "limit limit":
		ok = validRate(g.arg)
	case "REJECT reject-with":
		ok = validReject(g.arg, p.family)
	case "owner uid-owner":
		return p.checkAccount(g.arg, p.names.Users)
	case "owner gid-owner":
		return p.checkAccount(g.arg, p.names.Groups)
	case "set match-set", "SET add-set", "SET del-set", "SET map-set":
		ok = len(g.arg) < 32 && listOf(g.arg2, "src dst")
	case "multiport source-ports", "multiport destination-ports", "multiport ports":
		return p.checkMultiport(g.arg)
	case "DNAT to-destination", "SNAT to-source":
		_, why := p.parseNAT(g.arg, false)
		return why
	case "REDIRECT to-ports", "MASQUERADE to-ports":
		_, why := p.parseNAT(g.arg, true)
		return why
	case "pkttype pkt-type":
		ok = isOneOf(strings.ToLower(g.arg), "unicast broadcast multicast bcast mcast host")
	case "CT zone", "CT zone-orig", "CT zone-reply":
		_, ok = number(g.arg, 0, 65535)
		ok = ok || strings.EqualFold(g.arg, "mark")
	case "statistic mode":
		ok = isOneOf(g.arg, "random nth")
	case "policy dir":
		ok = isOneOf(g.arg, "in out")
	case "policy pol":
		ok = isOneOf(g.arg, "none ipsec")
	}
	if !ok {
		return bad
	}
	return ""
}

func (p *ruleParser) checkAccount(s string, table map[string]uint32) string {
	known, why := account(s, table)
	return p.checkName(nil, known, why)
}

// listOf checks a comma list of words that may be cut short, as the tool's
// strncasecmp takes them.
func listOf(s, words string) bool {
	for x := range strings.SplitSeq(s, ",") {
		if x == "" || !beginsOne(x, words) {
			return false
		}
	}
	return true
}

func beginsOne(x, words string) bool {
	for w := range strings.FieldsSeq(words) {
		if len(x) <= len(w) && strings.EqualFold(w[:len(x)], x) {
			return true
		}
	}
	return false
}

// validRate is "n[/second|minute|hour|day]", the unit possibly cut short.
func validRate(s string) bool {
	n, unit, has := strings.Cut(s, "/")
	if has && (unit == "" || !beginsOne(unit, "second minute hour day")) {
		return false
	}
	v := 0
	for i := 0; i < len(n) && n[i] >= '0' && n[i] <= '9' && v < 1<<24; i++ {
		v = v*10 + int(n[i]-'0')
	}
	return v > 0
}

func validReject(s string, f Family) bool {
	names := "icmp-net-unreachable net-unreach icmp-host-unreachable host-unreach icmp-proto-unreachable proto-unreach" +
		" icmp-port-unreachable port-unreach icmp-net-prohibited net-prohib icmp-host-prohibited host-prohib" +
		" tcp-reset tcp-rst icmp-admin-prohibited admin-prohib"
	if f == IPv6 {
		names = "icmp6-no-route no-route icmp6-adm-prohibited adm-prohibited icmp6-addr-unreachable addr-unreach" +
			" icmp6-port-unreachable port-unreach tcp-reset icmp6-policy-fail policy-fail icmp6-reject-route reject-route"
	}
	return s == "" || beginsOne(s, names)
}

// checkMultiport also needs a protocol with ports before it.
func (p *ruleParser) checkMultiport(s string) string {
	proto := portProtocol(p.protoNum)
	if proto == "" || p.isInverted('p') {
		return "multiport needs -p tcp, udp, udplite, sctp or dccp before it"
	}
	_, known, why := p.parseMultiport(s, proto)
	return p.checkName(nil, known, why)
}

func portProtocol(n uint8) string {
	switch n {
	case 6:
		return "tcp"
	case 17:
		return "udp"
	case 136:
		return "udplite"
	case 132:
		return "sctp"
	case 33:
		return "dccp"
	}
	return ""
}

// parseMultiport reads up to 15 ports, a range counting twice.
func (p *ruleParser) parseMultiport(s, proto string) (rs []portRange, known bool, why string) {
	known = true
	slots := 0
	for x := range strings.SplitSeq(s, ",") {
		l, h, isRange := strings.Cut(x, ":")
		slots++
		if isRange {
			slots++
		}
		if slots > 15 {
			return nil, true, "too many ports specified"
		}
		lo, k, why := p.names.service(l, proto)
		if why != "" {
			return nil, true, why
		}
		known = known && k
		hi := lo
		if isRange {
			if hi, k, why = p.names.service(h, proto); why != "" {
				return nil, true, why
			}
			if known = known && k; known && lo >= hi {
				return nil, true, "invalid portrange specified"
			}
		}
		rs = append(rs, portRange{lo, hi})
	}
	return rs, known, ""
}
