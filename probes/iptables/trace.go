package iptables

import "fmt"

// maxTrace bounds the steps that a trace keeps.
const maxTrace = 100

// tracer collects what happens to one flow.
type tracer struct {
	steps []TraceStep
}

func (a *analysis) traceStep(st stage, chain *Chain, r *Rule, did string) {
	if a.tracer == nil || len(a.tracer.steps) >= maxTrace {
		return
	}
	s := TraceStep{Leg: st.leg.name, Hook: st.hook, Table: st.table, Did: did}
	if chain != nil {
		s.Chain = chain.Name
	}
	switch {
	case r != nil:
		s.File, s.Line, s.Rule = r.File, r.Line, r.Text
	case chain != nil:
		s.File, s.Line, s.Rule = chain.policyFile, chain.PolicyLine, "policy "+chain.Policy
	}
	a.tracer.steps = append(a.tracer.steps, s)
}

// traceRule notes that a rule matched, or perhaps did.
func (a *analysis) traceRule(w *walk, c *Chain, r *Rule, reason string, got []segment) {
	if a.tracer == nil || len(got) == 0 {
		return
	}
	did := r.target.did()
	if reason != "" {
		did = "perhaps " + did + " (" + reason + ")"
	}
	a.traceStep(w.stage, c, r, did)
}

func (a *analysis) tracePolicy(w *walk, c *Chain, left []segment) {
	if a.tracer == nil || len(left) == 0 {
		return
	}
	did := "accept"
	if c.Policy == "DROP" {
		did = "drop"
	}
	a.traceStep(w.stage, c, nil, did)
}

func (a *analysis) traceKernel(by *cause) {
	a.traceStep(by.stage, nil, nil, "drop: "+by.why)
}

// did says what a target does, in words.
func (t *target) did() string {
	switch t.kind {
	case tgAccept:
		return "accept"
	case tgDrop:
		return "drop"
	case tgReject:
		return "reject"
	case tgReturn:
		return "return"
	case tgJump:
		return "jump to " + t.name
	case tgGoto:
		return "go to " + t.name
	case tgMark, tgUnknownMark:
		return t.mark.did("mark")
	case tgConnmark:
		return t.mark.did("connection mark")
	case tgNotrack:
		return "do not track"
	case tgZone:
		return fmt.Sprintf("set conntrack zone %d", t.zone)
	case tgDNAT, tgRedirect, tgNetmap:
		return "translate the destination"
	case tgSNAT:
		return "translate the source"
	case tgHopLimit:
		return "change the hop limit"
	}
	return "hand to " + t.name
}

func (m markOp) did(what string) string {
	switch {
	case m.save:
		return "save the mark in the connection"
	case m.restore:
		return "restore the mark from the connection"
	}
	return fmt.Sprintf("set %s 0x%x/0x%x", what, m.value, m.mask)
}

// flow is one connection of the question.
type flow struct {
	src    word128
	sport  uint16
	target uint16
}

// fate is what becomes of one flow.
type fate struct {
	an    *analysis
	flow  flow
	by    *cause // nil: nothing drops it
	class class
	steps []TraceStep
}

// follow takes one flow through everything again and notes the steps.
func (a *analysis) follow(f flow) fate {
	b := newAnalysis(a.q, a.sets, a.stack)
	b.tracer = &tracer{}
	only := newPortSet([]portRange{{f.sport, f.sport}})
	var set []segment
	for _, g := range b.start() {
		if !g.contains(f.src) {
			continue
		}
		for _, c := range g.f.cells {
			if b.sp.classes[c.class].target == f.target {
				set = append(set, segment{span{f.src, f.src}, b.sp.fiber([]cell{{c.class, only}})})
			}
		}
	}
	b.everything(set)
	r := fate{an: b, flow: f, steps: b.tracer.steps}
	for _, d := range b.drops {
		if r.by == nil || r.by.assumed != "" && d.by.assumed == "" {
			r.by, r.class = d.by, b.sp.classes[d.f.cells[0].class]
		}
	}
	if r.by != nil {
		r.steps = upTo(r.steps, r.by)
	}
	return r
}

// upTo cuts a trace behind the step that drops.
func upTo(steps []TraceStep, by *cause) []TraceStep {
	for i, s := range steps {
		if s.Leg != by.stage.leg.name || s.Hook != by.stage.hook || s.Table != by.stage.table && by.why == "" {
			continue
		}
		if by.rule != nil && s.Line == by.rule.Line && s.File == by.rule.File ||
			by.rule == nil && by.chain != nil && s.Rule == "policy DROP" || by.why != "" && s.Did == "drop: "+by.why {
			return steps[:i+1]
		}
	}
	return steps
}

// packet is what the flow looks like where it is dropped.
func (r fate) packet() *Packet {
	a, by, fam := r.an, r.by, r.an.q.Family
	v := a.view(by.stage, r.class)
	p := &Packet{
		Leg: by.stage.leg.name, Src: r.flow.src.addr(fam), Dst: v.local.addr.addr(fam), Proto: "tcp",
		SPort: r.flow.sport, DPort: v.local.port, In: v.in, Out: v.outLink, Flags: flagString(v.flags),
		State: stateNames(r.class.states), Mark: r.class.mark,
	}
	if by.stage.leg.neighbour() {
		p.Proto, p.ICMPType, p.SPort, p.DPort, p.Flags = "ipv6-icmp", by.stage.leg.icmp, 0, 0, ""
		if by.peer != (word128{}) {
			p.Src = by.peer.addr(fam)
		}
	}
	if by.stage.leg.out {
		p.Src, p.Dst, p.SPort, p.DPort = p.Dst, p.Src, p.DPort, p.SPort
	}
	return p
}

func stateNames(m uint8) string {
	out := ""
	for i, n := range [...]string{"INVALID", "NEW", "ESTABLISHED", "RELATED", "UNTRACKED"} {
		if m>>i&1 != 0 {
			if out != "" {
				out += "|"
			}
			out += n
		}
	}
	return out
}
