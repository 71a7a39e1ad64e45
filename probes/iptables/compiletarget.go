package iptables

import (
	"fmt"
	"strings"
)

// compileTarget sets what the rule does. A name that is neither a verdict nor
// a shipped target is a chain, or something unknown.
func (p *ruleParser) compileTarget(r *Rule) string {
	t := &r.target
	t.name = p.jump
	if p.isGoto {
		t.kind = tgGoto
		return ""
	}
	switch p.jump {
	case "":
		return ""
	case "ACCEPT":
		t.kind = tgAccept
		return ""
	case "DROP":
		t.kind = tgDrop
		return ""
	case "RETURN":
		t.kind = tgReturn
		return ""
	case "QUEUE":
		t.kind = tgUnknown
		return ""
	}
	if p.target.ext == nil {
		t.kind = tgJump // resolved, or found unknown, with the table
		if len(p.target.given) > 0 || thirdParty(p.jump) {
			t.kind = tgUnknown
			p.uncertain = append(p.uncertain, fmt.Sprintf("target %q", p.jump))
		}
		return ""
	}
	return p.compileExtTarget(r, p.target)
}

// thirdParty knows targets that common add-ons to netfilter bring.
func thirdParty(name string) bool {
	return isOneOf(name, "ACCOUNT CHAOS DELUDE DHCPMAC DNETMAP ECHO FULLCONENAT IPMARK LOGMARK PROTO SYSRQ TARPIT"+
		" RAWDNAT RAWSNAT NDPI XOR ASYMSHIFT")
}

func (p *ruleParser) compileExtTarget(r *Rule, l *loaded) string {
	t := &r.target
	if why := p.checkTargetProtocol(r, l); why != "" {
		return why
	}
	switch l.ext.name {
	case "LOG", "NFLOG", "ULOG", "AUDIT", "TRACE", "CLASSIFY", "DSCP", "TOS", "ECN", "CHECKSUM", "SECMARK",
		"CONNSECMARK", "RATEEST", "IDLETIMER", "LED", "TCPMSS", "TCPOPTSTRIP", "TEE":
		t.kind = tgContinue
	case "REJECT":
		t.kind = tgReject
		if g := l.get("reject-with"); g != nil && strings.HasPrefix(strings.ToLower(g.arg), "t") &&
			(p.protoNum != 6 || p.isInverted('p')) {
			return "REJECT --reject-with tcp-reset needs -p tcp"
		}
	case "MARK":
		t.kind = tgMark
		t.mark = p.markTarget(l)
	case "CONNMARK":
		t.kind = tgConnmark
		t.mark = p.markTarget(l)
	case "HMARK":
		t.kind = tgUnknownMark
	case "SET":
		t.kind = tgContinue
		if l.gave("map-set") {
			t.kind = tgUnknownMark
		}
		for i := range l.given {
			if g := &l.given[i]; g.opt.kind == kindTwoWords {
				r.conds = append(r.conds, setUse{g.arg, g.name != "map-set"})
			}
		}
	case "NOTRACK":
		t.kind = tgNotrack
	case "CT":
		p.ctTarget(t, l)
	case "DNAT", "REDIRECT", "NETMAP", "SNAT", "MASQUERADE":
		return p.natTarget(t, l)
	case "TTL", "HL":
		t.kind = tgHopLimit
		g := &l.given[0]
		n, _ := number(g.arg, 0, 255)
		t.hop = hopOp{set: strings.HasSuffix(g.name, "-set"), val: int(n)}
		if strings.HasSuffix(g.name, "-dec") {
			t.hop.val = -int(n)
		}
	default:
		t.kind = tgUnknown // NFQUEUE, SYNPROXY, TPROXY, CLUSTERIP, SNPT, DNPT ...
	}
	return ""
}

// checkTargetProtocol says where the kernel would refuse a target because of
// what the rule matches.
func (p *ruleParser) checkTargetProtocol(r *Rule, l *loaded) string {
	tcp := p.protoNum == 6 && !p.isInverted('p')
	switch l.ext.name {
	case "SYNPROXY", "TCPOPTSTRIP", "TCPMSS":
		if !tcp {
			return l.ext.name + " needs -p tcp"
		}
		if l.ext.name == "TCPMSS" && p.backend == Legacy && !r.matchesSYN() {
			return "TCPMSS works on SYN packets only"
		}
	case "ECN":
		if !tcp && (l.gave("ecn-tcp-remove") || l.gave("ecn-tcp-cwr") || l.gave("ecn-tcp-ece")) {
			return "ECN needs -p tcp"
		}
	case "TPROXY":
		if !tcp && (p.protoNum != 17 || p.isInverted('p')) {
			return "TPROXY needs -p tcp or -p udp"
		}
	}
	return ""
}

// matchesSYN reports whether a rule takes packets with the SYN flag only.
func (r *Rule) matchesSYN() bool {
	for _, c := range r.conds {
		if f, ok := c.(flagsCond); ok && f.want&flSYN != 0 && !f.inv {
			return true
		}
	}
	return false
}

// markTarget reads MARK and CONNMARK into (old &^ mask) ^ value.
func (p *ruleParser) markTarget(l *loaded) markOp {
	op := markOp{ctmask: 1<<32 - 1, nfmask: 1<<32 - 1}
	u32 := func(name string) (uint32, bool) {
		g := l.get(name)
		if g == nil {
			return 0, false
		}
		n, _ := number(g.arg, 0, 1<<32-1)
		return uint32(n), true
	}
	if g := l.get("set-xmark"); g != nil {
		op.value, op.mask, _ = valueMask(g.arg)
	}
	if g := l.get("set-mark"); g != nil {
		op.value, op.mask, _ = valueMask(g.arg)
		op.mask |= op.value
	}
	if n, ok := u32("and-mark"); ok {
		op.value, op.mask = 0, ^n
	}
	if n, ok := u32("or-mark"); ok {
		op.value, op.mask = n, n
	}
	if n, ok := u32("xor-mark"); ok {
		op.value, op.mask = n, 0
	}
	op.save, op.restore = l.gave("save-mark"), l.gave("restore-mark")
	if n, ok := u32("mask"); ok {
		op.ctmask, op.nfmask = n, n
	}
	if n, ok := u32("ctmask"); ok {
		op.ctmask = n
	}
	if n, ok := u32("nfmask"); ok {
		op.nfmask = n
	}
	op.shifted = l.gave("left-shift-mark") || l.gave("right-shift-mark")
	return op
}

func (p *ruleParser) ctTarget(t *target, l *loaded) {
	switch {
	case l.gave("notrack"):
		t.kind = tgNotrack
	case l.gave("zone-orig"), l.gave("zone-reply"):
		t.kind, t.zone = tgZone, -1
	case l.gave("zone"):
		t.kind, t.zone = tgZone, -1
		if n, ok := number(l.get("zone").arg, 0, 65535); ok {
			t.zone = int(n)
		}
	default:
		t.kind = tgZone // a helper or events: the first CT rule still wins
	}
}

func (p *ruleParser) natTarget(t *target, l *loaded) string {
	switch l.ext.name {
	case "DNAT":
		t.kind = tgDNAT
		t.nat, _ = p.parseNAT(l.get("to-destination").arg, false)
	case "REDIRECT":
		t.kind = tgRedirect
		if g := l.get("to-ports"); g != nil {
			t.nat, _ = p.parseNAT(g.arg, true)
		}
	case "NETMAP":
		h, why := parseHost(l.get("to").arg, p.family)
		if why != "" {
			return why
		}
		t.kind, t.mask = tgNetmap, h.mask
		t.nat = natRange{hasAddr: true, lo: h.addr, hi: h.addr}
		if h.name != "" {
			t.kind = tgUnknown
		}
	default:
		t.kind = tgSNAT
	}
	return ""
}
