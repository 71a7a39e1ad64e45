package rules

import (
	"errors"
	"fmt"
	"strings"

	"lifeline/probes/iptables/lex"
	"lifeline/probes/iptables/netfilter"
)

// compileTarget sets what the rule does. A name that is neither a verdict nor
// a shipped target is a chain, or something unknown.
func (p *ruleParser) compileTarget(r *Rule) error {
	t := &r.Target
	t.Name = p.jump
	if p.isGoto {
		t.Kind = TargetGoto
		return nil
	}
	switch p.jump {
	case "":
		return nil
	case "ACCEPT":
		t.Kind = TargetAccept
		return nil
	case "DROP":
		t.Kind = TargetDrop
		return nil
	case "RETURN":
		t.Kind = TargetReturn
		return nil
	case "QUEUE":
		t.Kind = TargetUnknown
		return nil
	}
	if p.target.ext == nil {
		t.Kind = TargetJump // resolved, or found unknown, with the table
		if len(p.target.given) > 0 || thirdParty(p.jump) {
			t.Kind = TargetUnknown
			p.uncertain = append(p.uncertain, fmt.Sprintf("target %q", p.jump))
		}
		return nil
	}
	if p.target.ext.target == nil {
		t.Kind = TargetUnknown // NFQUEUE, CLUSTERIP, SNPT, DNPT ...
		return nil
	}
	return p.target.ext.target(p, r, p.target)
}

// thirdParty knows targets that common add-ons to netfilter bring.
func thirdParty(name string) bool {
	return lex.OneOf(name, "ACCOUNT CHAOS DELUDE DHCPMAC DNETMAP ECHO FULLCONENAT IPMARK LOGMARK PROTO SYSRQ TARPIT"+
		" RAWDNAT RAWSNAT NDPI XOR ASYMSHIFT")
}

// goesOn: nothing that the question could feel.
func goesOn(*ruleParser, *Rule, *extensionUse) error { return nil }

// onlyTCP reports whether the rule takes TCP packets alone.
func (p *ruleParser) onlyTCP() bool { return p.protoNum == 6 && !p.isInverted('p') }

// needTCP is the error of a target for TCP packets in a rule that takes others.
func (p *ruleParser) needTCP(l *extensionUse) error {
	if !p.onlyTCP() {
		return errors.New(l.ext.name + " needs -p tcp")
	}
	return nil
}

func targetTCPOptions(p *ruleParser, _ *Rule, l *extensionUse) error { return p.needTCP(l) }

func targetSYNPROXY(p *ruleParser, r *Rule, l *extensionUse) error {
	r.Target.Kind = TargetUnknown
	return p.needTCP(l)
}

func targetTCPMSS(p *ruleParser, r *Rule, l *extensionUse) error {
	if err := p.needTCP(l); err != nil {
		return err
	}
	if p.backend == netfilter.Legacy && !r.matchesSYN() {
		return errors.New("TCPMSS works on SYN packets only")
	}
	return nil
}

func targetECN(p *ruleParser, _ *Rule, l *extensionUse) error {
	if l.gave("ecn-tcp-remove") || l.gave("ecn-tcp-cwr") || l.gave("ecn-tcp-ece") {
		return p.needTCP(l)
	}
	return nil
}

func targetTPROXY(p *ruleParser, r *Rule, _ *extensionUse) error {
	r.Target.Kind = TargetUnknown
	if !p.onlyTCP() && (p.protoNum != 17 || p.isInverted('p')) {
		return errors.New("TPROXY needs -p tcp or -p udp")
	}
	return nil
}

func targetReject(p *ruleParser, r *Rule, l *extensionUse) error {
	r.Target.Kind = TargetReject
	if g := l.get("reject-with"); g != nil && strings.HasPrefix(strings.ToLower(g.arg), "t") && !p.onlyTCP() {
		return errors.New("REJECT --reject-with tcp-reset needs -p tcp")
	}
	return nil
}

func targetMark(p *ruleParser, r *Rule, l *extensionUse) error {
	r.Target.Kind, r.Target.Mark = TargetMark, l.markChange()
	return nil
}

func targetConnmark(p *ruleParser, r *Rule, l *extensionUse) error {
	r.Target.Kind, r.Target.Mark = TargetConnmark, l.markChange()
	return nil
}

func targetUnknownMark(p *ruleParser, r *Rule, _ *extensionUse) error {
	r.Target.Kind = TargetUnknownMark
	return nil
}

func targetSet(p *ruleParser, r *Rule, l *extensionUse) error {
	if l.gave("map-set") {
		r.Target.Kind = TargetUnknownMark
	}
	for i := range l.given {
		if g := &l.given[i]; g.name == "add-set" || g.name == "del-set" || g.name == "map-set" {
			r.Matches = append(r.Matches, SetUse{g.arg, g.name != "map-set"})
		}
	}
	return nil
}

func targetNotrack(p *ruleParser, r *Rule, _ *extensionUse) error {
	r.Target.Kind = TargetNotrack
	return nil
}

func targetHopLimit(p *ruleParser, r *Rule, l *extensionUse) error {
	g := &l.given[0]
	n, _ := lex.Number(g.arg, 0, 255)
	r.Target.Kind, r.Target.Hop = TargetHopLimit, HopLimitChange{Set: strings.HasSuffix(g.name, "-set"), Val: int(n)}
	if strings.HasSuffix(g.name, "-dec") {
		r.Target.Hop.Val = -int(n)
	}
	return nil
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

// markChange reads MARK and CONNMARK into (old &^ mask) ^ value.
func (l *extensionUse) markChange() MarkChange {
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

func targetCT(p *ruleParser, r *Rule, l *extensionUse) error {
	t := &r.Target
	t.Kind = TargetZone // also with a helper or events: the first CT rule still wins
	switch {
	case l.gave("notrack"):
		t.Kind = TargetNotrack
	case l.gave("zone-orig"), l.gave("zone-reply"):
		t.Zone = -1
	case l.gave("zone"):
		t.Zone = -1
		if n, ok := lex.Number(l.get("zone").arg, 0, 65535); ok {
			t.Zone = int(n)
		}
	}
	return nil
}

func targetDNAT(p *ruleParser, r *Rule, l *extensionUse) error {
	r.Target.Kind = TargetDNAT
	r.Target.Nat, _ = p.parseNAT(l.get("to-destination").arg, false)
	return nil
}

func targetRedirect(p *ruleParser, r *Rule, l *extensionUse) error {
	r.Target.Kind = TargetRedirect
	if g := l.get("to-ports"); g != nil {
		r.Target.Nat, _ = p.parseNAT(g.arg, true)
	}
	return nil
}

func targetNetmap(p *ruleParser, r *Rule, l *extensionUse) error {
	h, err := parseHost(l.get("to").arg, p.family)
	if err != nil {
		return err
	}
	t := &r.Target
	t.Kind, t.Mask = TargetNetmap, h.mask
	t.Nat = NATRange{HasAddr: true, Lo: h.addr, Hi: h.addr}
	if h.name != "" {
		t.Kind = TargetUnknown
	}
	return nil
}

// targetSNAT is also MASQUERADE.
func targetSNAT(p *ruleParser, r *Rule, _ *extensionUse) error {
	r.Target.Kind = TargetSNAT
	return nil
}
