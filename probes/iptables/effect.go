package iptables

import (
	"slices"
)

// dispose sends the taken segments where the target says.
func (p *pass) dispose(r *Rule, s *share) {
	switch t := &r.target; t.kind {
	case tgAccept:
		p.accepted = append(p.accepted, s.got...)
	case tgDrop, tgReject:
		p.drop(s.got, &cause{stage: p.stage, chain: p.chain, rule: r, assumed: s.reason})
	case tgReturn:
		p.ret = append(p.ret, s.got...)
	case tgJump:
		p.goOn(p.call(t.chain, s.got))
	case tgGoto:
		p.ret = append(p.ret, p.call(t.chain, s.got)...)
	case tgDNAT, tgRedirect, tgNetmap, tgSNAT:
		p.translate(r, s.got)
	case tgMark, tgConnmark, tgNotrack, tgZone, tgHopLimit, tgUnknownMark:
		if t.kind == tgUnknownMark {
			p.an.noteUncertain(r, targetReason(r), boundsOf(s.got))
		}
		p.goOn(p.projected(s.got, func(c class) class { return p.changed(r, c) }))
	default:
		p.unknownTarget(r, s.got)
	}
}

// goOn puts segments back into the set for the rules that follow.
func (p *pass) goOn(segs []segment) {
	if len(segs) > 0 {
		p.learn(p.cur.add(segs))
	}
}

// projected turns the classes of segments into others.
func (p *pass) projected(segs []segment, to func(class) class) []segment {
	memo := map[*fiber]*fiber{}
	out := make([]segment, len(segs))
	for i, g := range segs {
		f, ok := memo[g.f]
		if !ok {
			f = p.an.sp.project(g.f, to)
			memo[g.f] = f
		}
		out[i] = segment{g.span, f}
	}
	return out
}

// call walks another chain, or remembers what it did with the same set.
func (p *pass) call(c *Chain, in []segment) []segment {
	if len(c.Rules) == 0 {
		return in
	}
	in = p.an.sp.merge(in)
	k := memoKey{c, hashSegments(in)}
	if p.an.tracer == nil {
		for _, e := range p.memo[k] {
			if slices.Equal(e.in, in) {
				return e.ret
			}
		}
	}
	ret := p.walk.chain(c, chunked(p.an.sp, in))
	p.memo[k] = append(p.memo[k], memoEntry{in, ret})
	return ret
}

func hashSegments(segs []segment) uint64 {
	h := uint64(14695981039346656037)
	for _, g := range segs {
		for _, x := range [...]uint64{g.lo.hi, g.lo.lo, g.hi.hi, g.hi.lo, uint64(g.f.id)} {
			h = (h ^ x) * 1099511628211
			h ^= h >> 29
		}
	}
	return h
}

// changed is what a target makes of a class.
func (p *pass) changed(r *Rule, c class) class {
	switch t := &r.target; t.kind {
	case tgMark:
		return c.applyMark(t.mark, false)
	case tgConnmark:
		switch tracked := p.an.tracked(p.stage, c); {
		case tracked == no, c.onTemplate(p.stage) && !t.mark.restore:
			return c
		case c.onTemplate(p.stage):
			c.mark, c.markBlur = 0, 1<<32-1
			return c
		case tracked == maybe:
			d, _ := c.blend(c.applyMark(t.mark, true))
			return d
		}
		return c.applyMark(t.mark, true)
	case tgNotrack:
		if !c.template.set && !p.stage.conntracked {
			c.template = template{set: true, notrack: true}
			c.states = stUntracked
		}
	case tgZone:
		if !c.template.set && !p.stage.conntracked {
			c.template = template{set: true, zone: int32(t.zone)}
			// The template that hangs on the packet now says NEW, and nothing
			// of a connection.
			c.states = stNew | stInvalid
		}
	case tgHopLimit:
		return c.applyHop(t.hop)
	case tgUnknownMark:
		c.mark, c.markBlur = 0, 1<<32-1
	}
	return c
}

// translate accepts in the nat table, with another destination.
func (p *pass) translate(r *Rule, got []segment) {
	if !p.nat {
		p.unknownTarget(r, got)
		return
	}
	p.accepted = append(p.accepted, p.projected(got, func(c class) class {
		if r.target.kind == tgSNAT {
			c.hidden = true
			return c
		}
		c.cur = p.an.translated(c, r)
		return c
	})...)
}

// unknownTarget may accept, drop or go on, with a mark that is not known.
func (p *pass) unknownTarget(r *Rule, got []segment) {
	p.an.noteUncertain(r, targetReason(r), boundsOf(got))
	p.accepted = append(p.accepted, got...)
	p.drop(got, &cause{stage: p.stage, chain: p.chain, rule: r, assumed: targetReason(r)})
	p.goOn(p.projected(got, func(c class) class {
		c.mark, c.markBlur = 0, 1<<32-1
		return c
	}))
}
