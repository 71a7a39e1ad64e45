package flow

import (
	"lifeline/probes/iptables/netfilter"
	"lifeline/probes/iptables/netset"
	"lifeline/probes/iptables/rules"
)

// maxTrace bounds the steps that a trace keeps.
const maxTrace = 100

// tracer collects what happens to one flow.
type tracer struct {
	steps []netfilter.TraceStep
}

// note adds a step; a nil tracer notes nothing.
func (t *tracer) note(st stage, chain *rules.Chain, r *rules.Rule, did string) {
	if t == nil || len(t.steps) >= maxTrace {
		return
	}
	s := netfilter.TraceStep{Step: st.step.name, Hook: st.hook, Table: st.table, Did: did}
	if chain != nil {
		s.Chain = chain.Name
	}
	switch {
	case r != nil:
		s.File, s.Line, s.Rule = r.File, r.Line, r.Text
	case chain != nil:
		s.File, s.Line, s.Rule = chain.PolicyFile, chain.PolicyLine, "policy "+chain.Policy
	}
	t.steps = append(t.steps, s)
}

// noteRule notes that a rule matched, or perhaps did.
func (t *tracer) noteRule(st stage, c *rules.Chain, r *rules.Rule, reason string) {
	if t == nil {
		return
	}
	did := r.Target.Action()
	if reason != "" {
		did = "perhaps " + did + " (" + reason + ")"
	}
	t.note(st, c, r, did)
}

// notePolicy notes what the policy of a chain does.
func (t *tracer) notePolicy(st stage, c *rules.Chain) {
	did := "accept"
	if c.Policy == "DROP" {
		did = "drop"
	}
	t.note(st, c, nil, did)
}

// noteKernel notes that the kernel itself drops.
func (t *tracer) noteKernel(by *dropCause) { t.note(by.stage, nil, nil, "drop: "+by.why) }

// connection is one of the question's.
type connection struct {
	src    netset.Addr
	sport  uint16
	target uint16
}

// tracedFlow is what becomes of one flow.
type tracedFlow struct {
	an    *Analysis
	flow  connection
	by    *dropCause // nil: nothing drops it
	class class
	steps []netfilter.TraceStep
}

// traceFlow takes one flow through everything again and notes the steps.
func (a *Analysis) traceFlow(f connection) tracedFlow {
	b := New(a.q, a.sets, a.stack)
	b.tracer = &tracer{}
	only := netset.NewPortSet([]netset.PortRange{{Lo: f.sport, Hi: f.sport}})
	var set []segment
	for _, g := range b.start() {
		if !g.Contains(f.src) {
			continue
		}
		for _, c := range g.set.cells {
			if b.cells.classes[c.class].target == f.target {
				set = append(set, segment{netset.Span{Lo: f.src, Hi: f.src}, b.cells.cellSet([]cell{{c.class, only}})})
			}
		}
	}
	b.discoverAndConnect(set)
	r := tracedFlow{an: b, flow: f, steps: b.tracer.steps}
	for _, d := range b.drops {
		if r.by == nil || r.by.assumed != "" && d.by.assumed == "" {
			r.by, r.class = d.by, b.cells.classes[d.set.cells[0].class]
		}
	}
	if r.by != nil {
		r.steps = upTo(r.steps, r.by)
	}
	return r
}

// upTo cuts a trace behind the step that drops.
func upTo(steps []netfilter.TraceStep, by *dropCause) []netfilter.TraceStep {
	for i, s := range steps {
		if s.Step != by.stage.step.name || s.Hook != by.stage.hook || s.Table != by.stage.table && by.why == "" {
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
func (r tracedFlow) packet() *netfilter.Packet {
	a, by, fam := r.an, r.by, r.an.q.Family
	v := a.packetView(by.stage, r.class)
	p := &netfilter.Packet{
		Step: by.stage.step.name, Src: r.flow.src.IP(fam), Dst: v.local.addr.IP(fam), Proto: "tcp",
		SPort: r.flow.sport, DPort: v.local.port, In: v.in, Out: v.outLink, Flags: netfilter.FlagString(v.flags),
		State: netfilter.StateString(r.class.states), Mark: r.class.mark,
	}
	if by.stage.step.neighbourDiscovery() {
		p.Proto, p.ICMPType, p.SPort, p.DPort, p.Flags = "ipv6-icmp", by.stage.step.icmp, 0, 0, ""
		if by.peer != (netset.Addr{}) {
			p.Src = by.peer.IP(fam)
		}
	}
	if by.stage.step.out {
		p.Src, p.Dst, p.SPort, p.DPort = p.Dst, p.Src, p.DPort, p.SPort
	}
	return p
}
