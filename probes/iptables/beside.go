package iptables

import (
	"fmt"
	"slices"
	"strings"
)

// beside counts in what stands beside the rules: native nftables and arptables
// files. They are not modelled; what they might drop is an assumption, and
// what they certainly drop is shown.
func (l *loading) beside(q Question, in Inputs, r *Result) {
	n := parseNFT(in.NFT...)
	if chain := n.reaches(q, slices.Concat(in.Rules, in.Other)); chain != "" && n.unread == "" {
		n.unread = "chain " + chain
	}
	if len(in.NFT) > 0 {
		l.besideOne(q, r, n.effect(q), n.where, "nftables")
	}
	if n.flushes && r.Verdict == Blocked && l.hasNFTRules() {
		*r = Result{Load: r.Load, LoadError: r.LoadError, Warnings: r.Warnings, Probes: r.Probes, Listen: r.Listen}
		r.assume(Assumption{Name: "nftables",
			Why: "\"flush ruleset\" in a native nftables file removes the rules of the nft back end if it is loaded after them"})
	}
	if in.ARP != nil && q.Family == IPv4 {
		e, where := arpEffect(*in.ARP, q.Iface)
		l.besideOne(q, r, e, where, "arptables")
	}
}

func (l *loading) hasNFTRules() bool {
	if l.backend == NFT {
		return len(l.main) > 0
	}
	return len(l.other) > 0
}

// besideOne joins the effect of one file: yes drops all, maybe may drop some.
func (l *loading) besideOne(q Question, r *Result, e tri, where TraceStep, name string) {
	switch {
	case e == no:
	case e == maybe:
		r.assume(Assumption{Name: name, Rule: where.Rule, File: where.File, Line: where.Line,
			Why: "a native " + name + " file may drop packets of the question; it is not modelled here"})
	case r.Verdict != Blocked || r.Scope == ScopePart:
		r.Verdict, r.Scope, r.Assumptions = Blocked, ScopeAll, nil
		r.Trace = []TraceStep{where}
		r.Counterexample = besidePacket(q, name)
	}
}

func besidePacket(q Question, name string) *Packet {
	p := &Packet{Leg: "SYN", Proto: "tcp", In: q.Iface, State: "NEW", Flags: "SYN", SPort: usualPort}
	if name == "arptables" {
		p = &Packet{Leg: "ARP request", Proto: "arp", In: q.Iface}
	}
	for _, m := range q.Mgmt {
		if q.Family.of(m.Addr()) {
			p.Src = m.Addr()
			break
		}
	}
	for _, d := range q.Dst {
		if q.Family.of(d) {
			p.Dst = d
			break
		}
	}
	if len(q.Ports) > 0 && p.Proto == "tcp" {
		p.DPort = q.Ports[0]
	}
	return p
}

// arpEffect reads an arptables file: does it drop the ARP of the link?
func arpEffect(f File, link string) (tri, TraceStep) {
	first := map[string]bool{}
	worst, where := no, TraceStep{}
	note := func(t tri, i int, line, chain string) {
		if t == yes && worst != yes || t == maybe && worst == no {
			worst = t
			if f.Withheld && t == maybe {
				line = "a rule that is not understood, and is not shown here"
			}
			where = TraceStep{File: f.Name, Line: i + 1, Leg: "ARP request", Hook: chain, Table: "filter", Chain: chain, Rule: line, Did: "drop"}
		}
	}
	type policy struct {
		i    int
		text string
	}
	policies := map[string]policy{}
	i := -1
	for raw := range strings.Lines(string(f.Text)) {
		i++
		raw = strings.TrimSuffix(raw, "\n")
		w := strings.Fields(raw)
		if len(w) > 0 && strings.HasPrefix(w[0], "[") {
			w = w[1:]
		}
		switch {
		case len(w) >= 2 && strings.HasPrefix(w[0], ":") && w[1] == "DROP":
			policies[w[0][1:]] = policy{i, raw}
		case len(w) >= 3 && (w[0] == "-P" || w[0] == "--policy") && w[2] == "DROP":
			policies[w[1]] = policy{i, raw}
		case len(w) >= 2 && (w[0] == "-A" || w[0] == "--append" || w[0] == "-I"):
			note(arpRule(w, link, !first[w[1]]), i, raw, w[1])
			first[w[1]] = true
		}
	}
	for chain, p := range policies {
		t := maybe
		if !first[chain] && chain != "FORWARD" {
			t = yes
		}
		note(t, p.i, p.text, chain)
	}
	return worst, where
}

// arpRule judges one rule: an unconditional drop that stands first drops all.
func arpRule(w []string, link string, isFirst bool) tri {
	if w[1] == "FORWARD" {
		return no
	}
	plain, drops, passes := true, false, false
	for i := 2; i < len(w); i++ {
		switch {
		case w[i] == "-j" && i+1 < len(w):
			i++
			drops = w[i] == "DROP"
			passes = w[i] == "ACCEPT" || w[i] == "CONTINUE"
		case (w[i] == "-i" || w[i] == "-o") && i+1 < len(w):
			i++
			plain = plain && w[i] == link
		default:
			plain = false
		}
	}
	switch {
	case passes:
		return no
	case plain && drops && isFirst && (w[1] == "INPUT" || w[1] == "OUTPUT"):
		return yes
	}
	return maybe
}

// warnings are sentences about what management does not need to work, but
// misses sooner or later.
func (a *analysis) warnings() []string {
	if len(a.targets) == 0 || a.exhausted {
		return nil
	}
	var out []string
	warn := func(l *leg, peer span, text string) {
		like := []segment{{f: a.sp.fiber([]cell{{a.sp.id(class{syn: trackYes, joined: true, hop: -1}), newPortSet([]portRange{{0, 0}})}})}}
		if t, by := a.tryLegs([]span{peer}, like, l); t != yes {
			out = append(out, fmt.Sprintf("%s (%s)", text, by.words()))
		}
	}
	src := a.sources()
	if len(src.spans) == 0 {
		return nil
	}
	near := span{src.spans[0].lo, src.spans[0].lo}
	if a.q.Family == IPv4 {
		warn(&leg{name: "fragmentation needed", proto: 1, icmp: 3, code: 4, states: stRelated}, near,
			"ICMP \"fragmentation needed\" is dropped: behind a smaller MTU a session hangs at its first large packet")
		return out
	}
	warn(&leg{name: "packet too big", proto: 58, icmp: 2, states: stRelated}, near,
		"ICMPv6 \"packet too big\" is dropped: behind a smaller MTU a session hangs at its first large packet")
	router := spanOfPrefix(mustPrefix("fe80::1/128"))
	all := wordOf(mustPrefix("ff02::1/128").Addr())
	warn(&leg{name: "router advertisement", proto: 58, icmp: 134, states: stUntracked, local: all,
		localType: atMulticast, peerType: atUnicast}, router,
		"router advertisements are dropped: an address or default route that comes by them expires")
	return out
}
