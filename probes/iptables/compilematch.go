package iptables

import (
	"strings"
)

// compileMatch adds one match to a rule.
func (p *ruleParser) compileMatch(r *Rule, l *loaded) {
	if l.ext == nil {
		r.unknown = append(r.unknown, l.name)
		return
	}
	switch l.ext.name {
	case "comment":
	case "tcp":
		p.compileTCP(r, l)
	case "udp":
		// Only with -p udp, which no packet of the question has.
	case "multiport":
		p.compileMultiport(r, l)
	case "iprange":
		p.compileRange(r, l)
	case "state":
		p.addState(r, l.get("state"))
	case "conntrack":
		p.compileConntrack(r, l)
	case "mark", "connmark":
		g := l.get("mark")
		v, m, _ := valueMask(g.arg)
		r.conds = append(r.conds, markCond{conn: l.ext.name == "connmark", value: v, mask: m, inv: g.negate})
	case "addrtype":
		p.compileAddrType(r, l)
	case "icmp", "icmp6":
		if g := l.given[0]; true {
			t, _ := parseICMP(g.arg, p.family)
			r.conds = append(r.conds, icmpCond{t, g.negate})
		}
	case "hl", "ttl":
		p.compileHopLimit(r, l)
	case "set":
		p.compileSet(r, l)
	case "recent":
		// --set adds the source to the list and always matches.
		switch g := l.get("set"); {
		case g == nil:
			r.unknown = append(r.unknown, "recent")
		case g.negate:
			r.conds = append(r.conds, neverCond{})
		}
	case "rpfilter":
		r.conds = append(r.conds, rpfilterCond{loose: l.gave("loose"), inv: l.gave("invert")})
	case "rt", "hbh", "dst", "frag", "srh", "ah":
		// They look for a header that the question's packets do not have, and
		// without it they match nothing, negated or not.
		r.conds = append(r.conds, neverCond{})
	default:
		r.unknown = append(r.unknown, l.ext.name)
	}
}

func (p *ruleParser) compileTCP(r *Rule, l *loaded) {
	for i := range l.given {
		g := &l.given[i]
		switch g.name {
		case "source-port", "destination-port":
			rng, known, _ := p.tcpPorts(g.arg, "tcp")
			r.addPorts(g.name == "source-port", []portRange{rng}, g.negate, known)
		case "syn":
			r.conds = append(r.conds, flagsCond{flFIN | flSYN | flRST | flACK, flSYN, g.negate})
		case "tcp-flags":
			m, _ := parseFlags(g.arg)
			c, _ := parseFlags(g.arg2)
			r.conds = append(r.conds, flagsCond{m, c, g.negate})
		case "tcp-option":
			r.unknown = append(r.unknown, "tcp-option")
		}
	}
}

// addPorts narrows the source or destination ports of a rule.
func (r *Rule) addPorts(src bool, rs []portRange, inv, known bool) {
	if !known {
		r.unknown = append(r.unknown, "service name")
		return
	}
	s := newPortSet(rs)
	if inv {
		s = s.complement()
	}
	if src {
		r.sport = r.sport.intersect(s)
	} else {
		r.dport = r.dport.intersect(s)
	}
}

func (p *ruleParser) compileMultiport(r *Rule, l *loaded) {
	g := &l.given[0]
	rs, known, _ := p.parseMultiport(g.arg, portProtocol(p.protoNum))
	switch {
	case g.name != "ports" || !known:
		r.addPorts(g.name == "source-ports", rs, g.negate, known)
	default:
		r.conds = append(r.conds, eitherPortCond{newPortSet(rs), g.negate})
	}
}

func (p *ruleParser) compileRange(r *Rule, l *loaded) {
	for i := range l.given {
		g := &l.given[i]
		sp, _ := parseAddrRange(g.arg, p.family)
		s := newAddrSet([]span{sp})
		if g.negate {
			s = s.complement(p.family)
		}
		if g.name == "src-range" {
			r.src = r.src.intersect(s)
		} else {
			r.dst = r.dst.intersect(s)
		}
	}
}

func (p *ruleParser) addState(r *Rule, g *given) {
	m, _ := parseStates(g.arg)
	r.conds = append(r.conds, stateCond{m, g.negate})
}

// compileConntrack handles the options beside --ctstate, which need a tracked
// packet to match at all.
func (p *ruleParser) compileConntrack(r *Rule, l *loaded) {
	c := connCond{}
	for i := range l.given {
		g := &l.given[i]
		switch g.name {
		case "ctstate":
			p.addState(r, g)
			c.withState = true
		case "ctproto":
			n, known, _ := p.names.protocol(g.arg)
			if !known {
				r.unknown = append(r.unknown, "protocol")
			}
			c.parts = append(c.parts, connPart{kind: ctProto, num: uint32(n), inv: g.negate})
		case "ctdir":
			c.parts = append(c.parts, connPart{kind: ctDir, inv: strings.EqualFold(g.arg, "REPLY")})
		case "ctorigsrc", "ctorigdst", "ctreplsrc", "ctrepldst":
			p.connAddr(r, &c, g)
		case "ctorigsrcport", "ctorigdstport", "ctreplsrcport", "ctrepldstport":
			p.connPort(r, &c, g)
		default:
			c.other = true // ctstatus, ctexpire
		}
	}
	if len(c.parts) > 0 || c.other {
		r.conds = append(r.conds, c)
	}
}

func (p *ruleParser) connAddr(r *Rule, c *connCond, g *given) {
	h, why := parseHost(g.arg, p.family)
	if why != "" || h.name != "" || !h.contiguous(p.family) {
		r.unknown = append(r.unknown, "conntrack")
		return
	}
	k := map[string]connKind{"ctorigsrc": ctOrigSrc, "ctorigdst": ctOrigDst, "ctreplsrc": ctReplSrc, "ctrepldst": ctReplDst}
	c.parts = append(c.parts, connPart{kind: k[g.name], addrs: newAddrSet([]span{h.span(p.family)}), inv: g.negate})
}

func (p *ruleParser) connPort(r *Rule, c *connCond, g *given) {
	a, b, known, _ := p.portPair(g.arg)
	if !known {
		r.unknown = append(r.unknown, "conntrack")
		return
	}
	k := map[string]connKind{"ctorigsrcport": ctOrigSrcPort, "ctorigdstport": ctOrigDstPort,
		"ctreplsrcport": ctReplSrcPort, "ctrepldstport": ctReplDstPort}
	c.parts = append(c.parts, connPart{kind: k[g.name], ports: newPortSet([]portRange{{a, b}}), inv: g.negate})
}

func (p *ruleParser) compileAddrType(r *Rule, l *loaded) {
	for _, name := range []string{"src-type", "dst-type"} {
		g := l.get(name)
		if g == nil {
			continue
		}
		m, _ := parseAddrTypes(g.arg)
		c := addrTypeCond{src: name == "src-type", mask: m, inv: g.negate,
			limitIn: l.gave("limit-iface-in"), limitOut: l.gave("limit-iface-out")}
		r.conds = append(r.conds, c)
	}
}

func (p *ruleParser) compileHopLimit(r *Rule, l *loaded) {
	g := &l.given[0]
	n, _ := number(g.arg, 0, 255)
	op := byte('=')
	switch {
	case strings.HasSuffix(g.name, "-lt"):
		op = '<'
	case strings.HasSuffix(g.name, "-gt"):
		op = '>'
	}
	r.conds = append(r.conds, hopCond{op, int(n), g.negate, l.ext.name})
}

// compileSet handles -m set; the set itself is looked up by the analysis.
func (p *ruleParser) compileSet(r *Rule, l *loaded) {
	g := l.get("match-set")
	c := setCond{name: g.arg, inv: g.negate}
	for d := range strings.SplitSeq(g.arg2, ",") {
		c.dirs = append(c.dirs, strings.HasPrefix(d, "src"))
	}
	for i := range l.given {
		if n := l.given[i].name; n != "match-set" && n != "update-counters" && n != "update-subcounters" {
			c.counters = true
		}
	}
	r.conds = append(r.conds, c)
}
