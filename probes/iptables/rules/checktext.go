package rules

import (
	"fmt"
	"strings"

	"lifeline/probes/iptables/lex"
	"lifeline/probes/iptables/netfilter"
	"lifeline/probes/iptables/netset"
)

// checkText looks at arguments that have a syntax of their own.
func (p *ruleParser) checkText(l *extensionUse, g *optionUse) string {
	if n := uint64(len(g.arg)); n < g.opt.min || g.opt.max != 0 && n > g.opt.max {
		return g.bad()
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
		_, ok = parseICMP(g.arg, netfilter.IPv4)
	case "icmp6 icmpv6-type":
		_, ok = parseICMP(g.arg, netfilter.IPv6)
		if strings.HasPrefix(strings.ToLower(g.arg), "mld") {
			p.uncertain = append(p.uncertain, "an ICMPv6 name that came with iptables 1.8.10")
		}
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
	case "connbytes connbytes-mode":
		ok = lex.OneOf(g.arg, "packets bytes avgpkt")
	case "connbytes connbytes-dir":
		ok = lex.OneOf(g.arg, "original reply both")
	case "connlabel label":
		return p.checkLabel(g)
	case "nfacct nfacct-name":
		p.uncertain = append(p.uncertain, fmt.Sprintf("accounting object %q", g.arg))
	case "mh mh-type":
		ok = validMobility(g.arg)
	case "AUDIT type":
		ok = lex.OneOf(strings.ToLower(g.arg), "accept drop reject")
	case "string string":
		ok = len(g.arg) <= 128
	case "TCPOPTSTRIP strip-options":
		ok = validStrip(g.arg)
	case "pkttype pkt-type":
		ok = lex.OneOf(strings.ToLower(g.arg), "unicast broadcast multicast bcast mcast host")
	case "CT zone", "CT zone-orig", "CT zone-reply":
		_, ok = lex.Number(g.arg, 0, 65535)
		ok = ok || strings.EqualFold(g.arg, "mark")
	case "statistic mode":
		ok = lex.OneOf(g.arg, "random nth")
	case "policy dir":
		ok = lex.OneOf(g.arg, "in out")
	case "policy pol":
		ok = lex.OneOf(g.arg, "none ipsec")
	}
	if !ok {
		return g.bad()
	}
	return ""
}

// checkLabel: a number, or a name that the machine's table must know.
func (p *ruleParser) checkLabel(g *optionUse) string {
	if _, ok := lex.Number(g.arg, 0, 127); ok {
		return ""
	}
	if g.arg[0] >= '0' && g.arg[0] <= '9' {
		return g.bad()
	}
	p.uncertain = append(p.uncertain, fmt.Sprintf("connection label %q", g.arg))
	return ""
}

// validMobility reads "type[:type]", where a type is a number or a name that may
// be cut short (ip6tables-extensions(8), mh).
func validMobility(s string) bool {
	lo, hi, isRange := strings.Cut(s, ":")
	bounds := [2]uint64{0, 255}
	for i, x := range []string{lo, hi} {
		if x == "" && isRange || i == 1 && !isRange {
			continue
		}
		n, numeric := lex.Number(x, 0, 255)
		if !numeric {
			return beginsOne(x, "binding-refresh-request brr home-test-init hoti careof-test-init coti home-test hot"+
				" careof-test cot binding-update bu binding-acknowledgement ba binding-error be")
		}
		bounds[i] = n
	}
	return !isRange || bounds[0] <= bounds[1]
}

func validStrip(s string) bool {
	for x := range strings.SplitSeq(s, ",") {
		if _, ok := lex.Number(x, 2, 255); !ok && !lex.OneOf(x, "wscale mss sack-permitted sack timestamp md5") {
			return false
		}
	}
	return true
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

func validReject(s string, f netfilter.Family) bool {
	names := "icmp-net-unreachable net-unreach icmp-host-unreachable host-unreach icmp-proto-unreachable proto-unreach" +
		" icmp-port-unreachable port-unreach icmp-net-prohibited net-prohib icmp-host-prohibited host-prohib" +
		" tcp-reset tcp-rst icmp-admin-prohibited admin-prohib"
	if f == netfilter.IPv6 {
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
func (p *ruleParser) parseMultiport(s, proto string) (rs []netset.PortRange, known bool, why string) {
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
		rs = append(rs, netset.PortRange{Lo: lo, Hi: hi})
	}
	return rs, known, ""
}
