package iptables

import (
	"slices"

	"lifeline/probes/iptables/arptables"
	"lifeline/probes/iptables/flow"
	"lifeline/probes/iptables/nftables"
	"lifeline/probes/iptables/tri"
)

// otherRulesets are what is loaded beside the rules: native nftables and arptables files.
// They are not modelled; what they might drop is an assumption, and what they certainly
// drop is shown.
type otherRulesets struct {
	native *nftables.Ruleset // nil: no files
	arp    *arptables.File   // nil: none
}

func readOthers(f Family, in Inputs) (o otherRulesets) {
	if len(in.NFT) > 0 {
		var files []nftables.File
		for _, f := range in.NFT {
			files = append(files, nftables.File{Name: f.Name, Text: f.Text, Withheld: f.Withheld})
		}
		var texts [][]byte
		for _, f := range slices.Concat(in.Rules, in.Other) {
			texts = append(texts, f.Text)
		}
		o.native = nftables.Parse(files...)
		o.native.NoteShared(f, texts)
	}
	if in.ARP != nil && f == IPv4 {
		o.arp = arptables.Parse(in.ARP.Name, in.ARP.Text, in.ARP.Withheld)
	}
	return o
}

// join counts in what the others do to a question's packets.
func (o otherRulesets) join(q Question, l *reading, r *Result) {
	if o.native != nil {
		drops, where := o.native.Effect(q.Family, q.Iface)
		r.joinEffect(q, drops, where, "nftables")
		if o.native.Flushes && r.Verdict == Blocked && l.hasNFTRules() {
			*r = Result{Load: r.Load, LoadError: r.LoadError, Warnings: r.Warnings, Probes: r.Probes}
			r.assume(Assumption{Name: "nftables",
				Why: "\"flush ruleset\" in a native nftables file removes the rules of the nft back end if it is loaded after them"})
		}
	}
	if o.arp != nil {
		drops, where := o.arp.Effect(q.Iface)
		r.joinEffect(q, drops, where, "arptables")
	}
}

func (l *reading) hasNFTRules() bool {
	if l.backend == NFT {
		return len(l.main) > 0
	}
	return len(l.other) > 0
}

// joinEffect joins the effect of one kind of files: yes drops all, maybe may drop some.
func (r *Result) joinEffect(q Question, e tri.Value, where TraceStep, name string) {
	switch {
	case e == tri.No:
	case e == tri.Maybe:
		r.assume(Assumption{Name: name, Rule: where.Rule, File: where.File, Line: where.Line,
			Why: "a native " + name + " file may drop packets of the question; it is not modelled here"})
	case r.Verdict != Blocked || r.Scope == ScopePart:
		r.Verdict, r.Scope, r.Assumptions = Blocked, ScopeAll, nil
		r.Trace = []TraceStep{where}
		r.Counterexample = examplePacket(q, name)
	}
}

// examplePacket is one that such a file drops.
func examplePacket(q Question, name string) *Packet {
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
