package rules

import (
	"strings"

	"lifeline/probes/iptables/lex"
	"lifeline/probes/iptables/netfilter"
	"lifeline/probes/iptables/netset"
)

// compileMatch adds one match to a rule.
func (p *ruleParser) compileMatch(r *Rule, l *extensionUse) {
	switch {
	case l.ext == nil:
		r.Unmodelled = append(r.Unmodelled, l.name)
	case l.ext.match == nil:
		r.Unmodelled = append(r.Unmodelled, l.ext.name)
	default:
		l.ext.match(p, r, l)
	}
}

// matchesAll: a comment, or udp, which stands only with -p udp, which no packet of a
// question has.
func matchesAll(*ruleParser, *Rule, *extensionUse) {}

// matchesNothing: these look for a header that the question's packets do not have, and
// without it they match nothing, negated or not.
func matchesNothing(p *ruleParser, r *Rule, _ *extensionUse) {
	r.Matches = append(r.Matches, NeverMatch{})
}

func matchMark(p *ruleParser, r *Rule, l *extensionUse) {
	g := l.get("mark")
	v, m, _ := valueMask(g.arg)
	r.Matches = append(r.Matches, MarkMatch{Conn: l.ext.name == "connmark", Value: v, Mask: m, Inv: g.negate})
}

func matchICMP(p *ruleParser, r *Rule, l *extensionUse) {
	g := l.given[0]
	t, _ := parseICMP(g.arg, p.family)
	r.Matches = append(r.Matches, ICMPMatch{t, g.negate})
}

// matchRecent: --set adds the source to the list and always matches.
func matchRecent(p *ruleParser, r *Rule, l *extensionUse) {
	switch g := l.get("set"); {
	case g == nil:
		r.Unmodelled = append(r.Unmodelled, "recent")
	case g.negate:
		r.Matches = append(r.Matches, NeverMatch{})
	}
}

func matchRPFilter(p *ruleParser, r *Rule, l *extensionUse) {
	r.Matches = append(r.Matches, RPFilterMatch{Loose: l.gave("loose"), Inv: l.gave("invert")})
}

func matchTCP(p *ruleParser, r *Rule, l *extensionUse) {
	for i := range l.given {
		g := &l.given[i]
		switch g.name {
		case "source-port", "destination-port":
			rng, err := p.names.tcpPorts(g.arg, "tcp")
			r.addPorts(g.name == "source-port", []netset.PortRange{rng}, g.negate, err == nil)
		case "syn":
			r.Matches = append(r.Matches, TCPFlagsMatch{netfilter.FlagFIN | netfilter.FlagSYN | netfilter.FlagRST | netfilter.FlagACK, netfilter.FlagSYN, g.negate})
		case "tcp-flags":
			m, _ := parseFlags(g.arg)
			c, _ := parseFlags(g.arg2)
			r.Matches = append(r.Matches, TCPFlagsMatch{m, c, g.negate})
		case "tcp-option":
			r.Unmodelled = append(r.Unmodelled, "tcp-option")
		}
	}
}

// addPorts narrows the source or destination ports of a rule.
func (r *Rule) addPorts(src bool, rs []netset.PortRange, inv, known bool) {
	if !known {
		r.Unmodelled = append(r.Unmodelled, "service name")
		return
	}
	s := netset.NewPortSet(rs)
	if inv {
		s = s.Complement()
	}
	if src {
		r.Sport = r.Sport.Intersect(s)
	} else {
		r.Dport = r.Dport.Intersect(s)
	}
}

func matchMultiport(p *ruleParser, r *Rule, l *extensionUse) {
	g := &l.given[0]
	rs, err := p.names.parseMultiport(g.arg, portProtocol(p.protoNum))
	switch {
	case g.name != "ports" || err != nil:
		r.addPorts(g.name == "source-ports", rs, g.negate, err == nil)
	default:
		r.Matches = append(r.Matches, EitherPortMatch{netset.NewPortSet(rs), g.negate})
	}
}

func matchAddrRange(p *ruleParser, r *Rule, l *extensionUse) {
	for i := range l.given {
		g := &l.given[i]
		sp, _ := parseAddrRange(g.arg, p.family)
		s := netset.NewAddrSet([]netset.Span{sp})
		if g.negate {
			s = s.Complement(p.family)
		}
		if g.name == "src-range" {
			r.Src = r.Src.Intersect(s)
		} else {
			r.Dst = r.Dst.Intersect(s)
		}
	}
}

func matchState(p *ruleParser, r *Rule, l *extensionUse) { p.addState(r, l.get("state")) }

func (p *ruleParser) addState(r *Rule, g *optionUse) {
	m, _ := parseStates(g.arg)
	r.Matches = append(r.Matches, StateMatch{m, g.negate})
}

// matchConntrack handles the options beside --ctstate, which need a tracked
// packet to match at all.
func matchConntrack(p *ruleParser, r *Rule, l *extensionUse) {
	c := ConntrackMatch{}
	for i := range l.given {
		g := &l.given[i]
		switch g.name {
		case "ctstate":
			p.addState(r, g)
			c.WithState = true
		case "ctproto":
			n, err := p.names.protocol(g.arg)
			if err != nil {
				r.Unmodelled = append(r.Unmodelled, "protocol")
			}
			c.Parts = append(c.Parts, ConntrackPart{Field: ConntrackProto, Num: uint32(n), Inv: g.negate})
		case "ctdir":
			c.Parts = append(c.Parts, ConntrackPart{Field: ConntrackDir, Inv: strings.EqualFold(g.arg, "REPLY")})
		case "ctorigsrc", "ctorigdst", "ctreplsrc", "ctrepldst":
			p.connAddr(r, &c, g)
		case "ctorigsrcport", "ctorigdstport", "ctreplsrcport", "ctrepldstport":
			p.connPort(r, &c, g)
		default:
			c.Other = true // ctstatus, ctexpire
		}
	}
	if len(c.Parts) > 0 || c.Other {
		r.Matches = append(r.Matches, c)
	}
}

func (p *ruleParser) connAddr(r *Rule, c *ConntrackMatch, g *optionUse) {
	h, err := parseHost(g.arg, p.family)
	if err != nil || h.name != "" || !h.contiguous(p.family) {
		r.Unmodelled = append(r.Unmodelled, "conntrack")
		return
	}
	k := map[string]ConntrackField{"ctorigsrc": ConntrackOrigSrc, "ctorigdst": ConntrackOrigDst, "ctreplsrc": ConntrackReplSrc, "ctrepldst": ConntrackReplDst}
	c.Parts = append(c.Parts, ConntrackPart{Field: k[g.name], Addrs: netset.NewAddrSet([]netset.Span{h.span(p.family)}), Inv: g.negate})
}

func (p *ruleParser) connPort(r *Rule, c *ConntrackMatch, g *optionUse) {
	ports, err := p.names.portPair(g.arg)
	if err != nil {
		r.Unmodelled = append(r.Unmodelled, "conntrack")
		return
	}
	k := map[string]ConntrackField{"ctorigsrcport": ConntrackOrigSrcPort, "ctorigdstport": ConntrackOrigDstPort,
		"ctreplsrcport": ConntrackReplSrcPort, "ctrepldstport": ConntrackReplDstPort}
	c.Parts = append(c.Parts, ConntrackPart{Field: k[g.name], Ports: netset.NewPortSet([]netset.PortRange{ports}), Inv: g.negate})
}

func matchAddrType(p *ruleParser, r *Rule, l *extensionUse) {
	for _, name := range []string{"src-type", "dst-type"} {
		g := l.get(name)
		if g == nil {
			continue
		}
		m, _ := parseAddrTypes(g.arg)
		c := AddrTypeMatch{Src: name == "src-type", Mask: m, Inv: g.negate,
			LimitIn: l.gave("limit-iface-in"), LimitOut: l.gave("limit-iface-out")}
		r.Matches = append(r.Matches, c)
	}
}

func matchHopLimit(p *ruleParser, r *Rule, l *extensionUse) {
	g := &l.given[0]
	n, _ := lex.Number(g.arg, 0, 255)
	op := byte('=')
	switch {
	case strings.HasSuffix(g.name, "-lt"):
		op = '<'
	case strings.HasSuffix(g.name, "-gt"):
		op = '>'
	}
	r.Matches = append(r.Matches, HopLimitMatch{op, int(n), g.negate, l.ext.name})
}

// matchSet handles -m set; the set itself is looked up by the analysis.
func matchSet(p *ruleParser, r *Rule, l *extensionUse) {
	g := l.get("match-set")
	c := SetMatch{Name: g.arg, Inv: g.negate}
	for d := range strings.SplitSeq(g.arg2, ",") {
		c.Dirs = append(c.Dirs, strings.HasPrefix(d, "src"))
	}
	for i := range l.given {
		if n := l.given[i].name; n != "match-set" && n != "update-counters" && n != "update-subcounters" {
			c.Counters = true
		}
	}
	r.Matches = append(r.Matches, c)
}
