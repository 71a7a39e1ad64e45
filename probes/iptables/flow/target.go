package flow

import (
	"slices"

	"lifeline/probes/iptables/netfilter"
	"lifeline/probes/iptables/rules"
	"lifeline/probes/iptables/tri"
)

// applyTarget sends the taken segments where the target says.
func (p *chainWalk) applyTarget(r *rules.Rule, s *matchedPart) {
	switch t := &r.Target; t.Kind {
	case rules.TargetAccept:
		p.accepted = append(p.accepted, s.got...)
	case rules.TargetDrop, rules.TargetReject:
		p.drop(s.got, &dropCause{stage: p.stage, chain: p.chain, rule: r, assumed: s.reason})
	case rules.TargetReturn:
		p.ret = append(p.ret, s.got...)
	case rules.TargetJump:
		p.continueWith(p.callChain(t.Chain, s.got))
	case rules.TargetGoto:
		p.ret = append(p.ret, p.callChain(t.Chain, s.got)...)
	case rules.TargetDNAT, rules.TargetRedirect, rules.TargetNetmap, rules.TargetSNAT:
		p.translate(r, s.got)
	case rules.TargetMark, rules.TargetConnmark, rules.TargetNotrack, rules.TargetZone, rules.TargetHopLimit, rules.TargetUnknownMark:
		if t.Kind == rules.TargetUnknownMark {
			p.an.noteUncertain(r, targetReason(r), boundsOf(s.got))
		}
		p.continueWith(p.projected(s.got, func(c class) class { return p.afterTarget(r, c) }))
	default:
		p.unknownTarget(r, s.got)
	}
}

// continueWith puts segments back into the set for the rules that follow.
func (p *chainWalk) continueWith(segs []segment) {
	if len(segs) > 0 {
		p.addLive(p.cur.add(segs))
	}
}

// projected turns the classes of segments into others.
func (p *chainWalk) projected(segs []segment, to func(class) class) []segment {
	memo := map[*cellSet]*cellSet{}
	out := make([]segment, len(segs))
	for i, g := range segs {
		f, ok := memo[g.set]
		if !ok {
			f = p.an.cells.project(g.set, to)
			memo[g.set] = f
		}
		out[i] = segment{g.Span, f}
	}
	return out
}

// callChain walks another chain, or remembers what it did with the same set.
func (p *chainWalk) callChain(c *rules.Chain, in []segment) []segment {
	if len(c.Rules) == 0 {
		return in
	}
	in = p.an.cells.merge(in)
	k := memoKey{c, hashSegments(in)}
	if p.an.tracer == nil {
		for _, e := range p.memo[k] {
			if slices.Equal(e.in, in) {
				return e.ret
			}
		}
	}
	ret := p.tableWalk.chain(c, chunked(p.an.cells, in))
	p.memo[k] = append(p.memo[k], memoEntry{in, ret})
	return ret
}

func hashSegments(segs []segment) uint64 {
	h := uint64(14695981039346656037)
	for _, g := range segs {
		for _, x := range [...]uint64{g.Lo.Hi, g.Lo.Lo, g.Hi.Hi, g.Hi.Lo, uint64(g.set.id)} {
			h = (h ^ x) * 1099511628211
			h ^= h >> 29
		}
	}
	return h
}

// afterTarget is what a target makes of a class.
func (p *chainWalk) afterTarget(r *rules.Rule, c class) class {
	switch t := &r.Target; t.Kind {
	case rules.TargetMark:
		return c.applyMark(t.Mark, false)
	case rules.TargetConnmark:
		switch tracked := p.an.tracked(p.stage, c); {
		case tracked == tri.No, c.onTemplate(p.stage) && !t.Mark.Restore:
			return c
		case c.onTemplate(p.stage):
			c.mark, c.markBlur = 0, 1<<32-1
			return c
		case tracked == tri.Maybe:
			d, _ := c.blend(c.applyMark(t.Mark, true))
			return d
		}
		return c.applyMark(t.Mark, true)
	case rules.TargetNotrack:
		if !c.template.set && !p.stage.conntracked {
			c.template = template{set: true, notrack: true}
			c.states = netfilter.StateUntracked
		}
	case rules.TargetZone:
		if !c.template.set && !p.stage.conntracked {
			c.template = template{set: true, zone: int32(t.Zone)}
			// The template that hangs on the packet now says NEW, and nothing
			// of a connection.
			c.states = netfilter.StateNew | netfilter.StateInvalid
		}
	case rules.TargetHopLimit:
		return c.applyHop(t.Hop)
	case rules.TargetUnknownMark:
		c.mark, c.markBlur = 0, 1<<32-1
	}
	return c
}

// translate accepts in the nat table, with another destination.
func (p *chainWalk) translate(r *rules.Rule, got []segment) {
	if !p.nat {
		p.unknownTarget(r, got)
		return
	}
	p.accepted = append(p.accepted, p.projected(got, func(c class) class {
		if r.Target.Kind == rules.TargetSNAT {
			c.hidden = true
			return c
		}
		c.cur = p.an.translated(c, r)
		return c
	})...)
}

// unknownTarget may accept, drop or go on, with a mark that is not known.
func (p *chainWalk) unknownTarget(r *rules.Rule, got []segment) {
	p.an.noteUncertain(r, targetReason(r), boundsOf(got))
	p.accepted = append(p.accepted, got...)
	p.drop(got, &dropCause{stage: p.stage, chain: p.chain, rule: r, assumed: targetReason(r)})
	p.continueWith(p.projected(got, func(c class) class {
		c.mark, c.markBlur = 0, 1<<32-1
		return c
	}))
}
