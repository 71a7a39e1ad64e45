package iptables

import (
	"slices"

	"lifeline/probes/iptables/arptables"
	"lifeline/probes/iptables/flow"
	"lifeline/probes/iptables/nftables"
	"lifeline/probes/iptables/tri"
)

// beside counts in what stands beside the rules: native nftables and arptables
// files. They are not modelled; what they might drop is an assumption, and
// what they certainly drop is shown.
func (l *loading) beside(q Question, in Inputs, r *Result) {
	var files []nftables.File
	for _, f := range in.NFT {
		files = append(files, nftables.File{Name: f.Name, Text: f.Text, Withheld: f.Withheld})
	}
	var rules [][]byte
	for _, f := range slices.Concat(in.Rules, in.Other) {
		rules = append(rules, f.Text)
	}
	n := nftables.Parse(files...)
	n.NoteShared(q.Family, rules)
	if len(in.NFT) > 0 {
		l.besideOne(q, r, n.Effect(q.Family, q.Iface), n.Where, "nftables")
	}
	if n.Flushes && r.Verdict == Blocked && l.hasNFTRules() {
		*r = Result{Load: r.Load, LoadError: r.LoadError, Warnings: r.Warnings, Probes: r.Probes, Listen: r.Listen}
		r.assume(Assumption{Name: "nftables",
			Why: "\"flush ruleset\" in a native nftables file removes the rules of the nft back end if it is loaded after them"})
	}
	if in.ARP != nil && q.Family == IPv4 {
		e, where := arptables.Effect(in.ARP.Name, in.ARP.Text, in.ARP.Withheld, q.Iface)
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
func (l *loading) besideOne(q Question, r *Result, e tri.Value, where TraceStep, name string) {
	switch {
	case e == tri.No:
	case e == tri.Maybe:
		r.assume(Assumption{Name: name, Rule: where.Rule, File: where.File, Line: where.Line,
			Why: "a native " + name + " file may drop packets of the question; it is not modelled here"})
	case r.Verdict != Blocked || r.Scope == ScopePart:
		r.Verdict, r.Scope, r.Assumptions = Blocked, ScopeAll, nil
		r.Trace = []TraceStep{where}
		r.Counterexample = besidePacket(q, name)
	}
}

func besidePacket(q Question, name string) *Packet {
	p := &Packet{Step: "SYN", Proto: "tcp", In: q.Iface, State: "NEW", Flags: "SYN", SPort: flow.UsualPort}
	if name == "arptables" {
		p = &Packet{Step: "ARP request", Proto: "arp", In: q.Iface}
	}
	for _, m := range q.Mgmt {
		if q.Family.Of(m.Addr()) {
			p.Src = m.Addr()
			break
		}
	}
	for _, d := range q.Dst {
		if q.Family.Of(d) {
			p.Dst = d
			break
		}
	}
	if len(q.Ports) > 0 && p.Proto == "tcp" {
		p.DPort = q.Ports[0]
	}
	return p
}
