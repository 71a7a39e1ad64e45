package rules

import (
	"fmt"
	"strings"

	"lifeline/probes/iptables/lex"
	"lifeline/probes/iptables/netfilter"
)

// compileTarget sets what the rule does. A name that is neither a verdict nor
// a shipped target is a chain, or something unknown.
func (p *ruleParser) compileTarget(r *Rule) string {
	t := &r.Target
	t.Name = p.jump
	if p.isGoto {
		t.Kind = TargetGoto
		return ""
	}
	switch p.jump {
	case "":
		return ""
	case "ACCEPT":
		t.Kind = TargetAccept
		return ""
	case "DROP":
		t.Kind = TargetDrop
		return ""
	case "RETURN":
		t.Kind = TargetReturn
		return ""
	case "QUEUE":
		t.Kind = TargetUnknown
		return ""
	}
	if p.target.ext == nil {
		t.Kind = TargetJump // resolved, or found unknown, with the table
		if len(p.target.given) > 0 || thirdParty(p.jump) {
			t.Kind = TargetUnknown
			p.uncertain = append(p.uncertain, fmt.Sprintf("target %q", p.jump))
		}
		return ""
	}
	return p.compileExtTarget(r, p.target)
}

// thirdParty knows targets that common add-ons to netfilter bring.
func thirdParty(name string) bool {
	return lex.OneOf(name, "ACCOUNT CHAOS DELUDE DHCPMAC DNETMAP ECHO FULLCONENAT IPMARK LOGMARK PROTO SYSRQ TARPIT"+
		" RAWDNAT RAWSNAT NDPI XOR ASYMSHIFT")
}

func (p *ruleParser) compileExtTarget(r *Rule, l *extensionUse) string {
	t := &r.Target
	if why := p.checkTargetProtocol(r, l); why != "" {
		return why
	}
	switch l.ext.name {
	case "LOG", "NFLOG", "ULOG", "AUDIT", "TRACE", "CLASSIFY", "DSCP", "TOS", "ECN", "CHECKSUM", "SECMARK",
		"CONNSECMARK", "RATEEST", "IDLETIMER", "LED", "TCPMSS", "TCPOPTSTRIP", "TEE":
		t.Kind = TargetContinue
	case "REJECT":
		t.Kind = TargetReject
		if g := l.get("reject-with"); g != nil && strings.HasPrefix(strings.ToLower(g.arg), "t") &&
			(p.protoNum != 6 || p.isInverted('p')) {
			return "REJECT --reject-with tcp-reset needs -p tcp"
		}
	case "MARK":
		t.Kind = TargetMark
		t.Mark = p.markTarget(l)
	case "CONNMARK":
		t.Kind = TargetConnmark
		t.Mark = p.markTarget(l)
	case "HMARK":
		t.Kind = TargetUnknownMark
	case "SET":
		t.Kind = TargetContinue
		if l.gave("map-set") {
			t.Kind = TargetUnknownMark
		}
		for i := range l.given {
			if g := &l.given[i]; g.opt.kind == kindTwoWords {
				r.Matches = append(r.Matches, SetUse{g.arg, g.name != "map-set"})
			}
		}
	case "NOTRACK":
		t.Kind = TargetNotrack
	case "CT":
		p.ctTarget(t, l)
	case "DNAT", "REDIRECT", "NETMAP", "SNAT", "MASQUERADE":
		return p.natTarget(t, l)
	case "TTL", "HL":
		t.Kind = TargetHopLimit
		g := &l.given[0]
		n, _ := lex.Number(g.arg, 0, 255)
		t.Hop = HopLimitChange{Set: strings.HasSuffix(g.name, "-set"), Val: int(n)}
		if strings.HasSuffix(g.name, "-dec") {
			t.Hop.Val = -int(n)
		}
	default:
		t.Kind = TargetUnknown // NFQUEUE, SYNPROXY, TPROXY, CLUSTERIP, SNPT, DNPT ...
	}
	return ""
}

// checkTargetProtocol says where the kernel would refuse a target because of
// what the rule matches.
func (p *ruleParser) checkTargetProtocol(r *Rule, l *extensionUse) string {
	tcp := p.protoNum == 6 && !p.isInverted('p')
	switch l.ext.name {
	case "SYNPROXY", "TCPOPTSTRIP", "TCPMSS":
		if !tcp {
			return l.ext.name + " needs -p tcp"
		}
		if l.ext.name == "TCPMSS" && p.backend == netfilter.Legacy && !r.matchesSYN() {
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
	for _, c := range r.Matches {
		if f, ok := c.(TCPFlagsMatch); ok && f.Want&netfilter.FlagSYN != 0 && !f.Inv {
			return true
		}
	}
	return false
}

// markTarget reads MARK and CONNMARK into (old &^ mask) ^ value.
func (p *ruleParser) markTarget(l *extensionUse) MarkChange {
	op := MarkChange{Ctmask: 1<<32 - 1, Nfmask: 1<<32 - 1}
	u32 := func(name string) (uint32, bool) {
		g := l.get(name)
		if g == nil {
			return 0, false
		}
		n, _ := lex.Number(g.arg, 0, 1<<32-1)
		return uint32(n), true
	}
	if g := l.get("set-xmark"); g != nil {
		op.Value, op.Mask, _ = valueMask(g.arg)
	}
	if g := l.get("set-mark"); g != nil {
		op.Value, op.Mask, _ = valueMask(g.arg)
		op.Mask |= op.Value
	}
	if n, ok := u32("and-mark"); ok {
		op.Value, op.Mask = 0, ^n
	}
	if n, ok := u32("or-mark"); ok {
		op.Value, op.Mask = n, n
	}
	if n, ok := u32("xor-mark"); ok {
		op.Value, op.Mask = n, 0
	}
	op.Save, op.Restore = l.gave("save-mark"), l.gave("restore-mark")
	if n, ok := u32("mask"); ok {
		op.Ctmask, op.Nfmask = n, n
	}
	if n, ok := u32("ctmask"); ok {
		op.Ctmask = n
	}
	if n, ok := u32("nfmask"); ok {
		op.Nfmask = n
	}
	op.Shifted = l.gave("left-shift-mark") || l.gave("right-shift-mark")
	return op
}

func (p *ruleParser) ctTarget(t *target, l *extensionUse) {
	switch {
	case l.gave("notrack"):
		t.Kind = TargetNotrack
	case l.gave("zone-orig"), l.gave("zone-reply"):
		t.Kind, t.Zone = TargetZone, -1
	case l.gave("zone"):
		t.Kind, t.Zone = TargetZone, -1
		if n, ok := lex.Number(l.get("zone").arg, 0, 65535); ok {
			t.Zone = int(n)
		}
	default:
		t.Kind = TargetZone // a helper or events: the first CT rule still wins
	}
}

func (p *ruleParser) natTarget(t *target, l *extensionUse) string {
	switch l.ext.name {
	case "DNAT":
		t.Kind = TargetDNAT
		t.Nat, _ = p.parseNAT(l.get("to-destination").arg, false)
	case "REDIRECT":
		t.Kind = TargetRedirect
		if g := l.get("to-ports"); g != nil {
			t.Nat, _ = p.parseNAT(g.arg, true)
		}
	case "NETMAP":
		h, why := parseHost(l.get("to").arg, p.family)
		if why != "" {
			return why
		}
		t.Kind, t.Mask = TargetNetmap, h.mask
		t.Nat = natRange{HasAddr: true, Lo: h.addr, Hi: h.addr}
		if h.name != "" {
			t.Kind = TargetUnknown
		}
	default:
		t.Kind = TargetSNAT
	}
	return ""
}
