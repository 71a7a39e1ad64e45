package flow

import (
	"slices"

	"lifeline/probes/iptables/netset"
	"lifeline/probes/iptables/rules"
	"lifeline/probes/iptables/tri"
)

// stage is a moment in the life of a packet: which packet of the flow, at
// which hook and table.
type stage struct {
	step  *packetStep
	hook  string
	table string
	// translated: this machine's address is the one after DNAT.
	translated bool
	// conntracked: conntrack has looked at the packet.
	conntracked bool
}

// dropCause is what drops packets: a rule, a policy or the kernel itself.
type dropCause struct {
	stage stage
	chain *rules.Chain
	rule  *rules.Rule
	// why is set where neither a rule nor a policy drops.
	why string
	// assumed names the assumption where dropping is not certain.
	assumed string
	// peer is the neighbour that the dropped packet is for, where it is not
	// the management source itself.
	peer netset.Addr
}

// dropped is a part of a packet set that is, or may be, dropped.
type dropped struct {
	segment
	by *dropCause
}

// tableWalk takes packet sets through the chains of one hook of one table.
type tableWalk struct {
	an       *Analysis
	stage    stage
	nat      bool
	views    map[classID]*packetView
	accepted []segment
	memo     map[memoKey][]memoEntry
	depth    int
}

type memoKey struct {
	chain *rules.Chain
	hash  uint64
}

// memoEntry remembers what a chain returned for a packet set.
type memoEntry struct {
	in, ret []segment
}

// maxWalkDepth bounds the nesting of chains.
const maxWalkDepth = 4096

// run takes a set through a built-in chain and its policy and returns what is
// accepted.
func (w *tableWalk) run(c *rules.Chain, in []segment) []segment {
	cur := chunked(w.an.cells, in)
	ret := w.chain(c, cur)
	if len(ret) > 0 {
		w.an.tracer.notePolicy(w.stage, c)
	}
	if c.Policy == "DROP" {
		w.drop(ret, &dropCause{stage: w.stage, chain: c})
	} else {
		w.accepted = append(w.accepted, ret...)
	}
	return w.an.cells.merge(w.accepted)
}

func (w *tableWalk) drop(segs []segment, by *dropCause) {
	for _, g := range segs {
		w.an.drops = append(w.an.drops, dropped{g, by})
	}
}

// chainWalk is the state of one walk through one chain.
type chainWalk struct {
	*tableWalk
	chain *rules.Chain
	cur   *flowSet
	live  []liveClass
	ret   []segment
	// acceptAll and dropAll: everything now in cur has been emitted as
	// perhaps accepted, or perhaps dropped, already.
	acceptAll, dropAll bool
	// parts is used again for every rule.
	parts []matchedPart
}

// liveClass is a class that may be in the set, and what rules see of it.
type liveClass struct {
	id classID
	v  *packetView
}

// chain walks a chain and returns what falls off its end or returns.
func (w *tableWalk) chain(c *rules.Chain, cur *flowSet) []segment {
	w.depth++
	defer func() { w.depth-- }()
	p := &chainWalk{tableWalk: w, chain: c, cur: cur}
	for _, ch := range cur.chunks {
		for _, g := range ch {
			p.addLive([]*cellSet{g.set})
		}
	}
	for _, r := range c.Rules {
		if cur.empty() {
			break
		}
		if !r.HasEffect() {
			continue
		}
		w.an.cells.work += max(1, len(p.live))
		if w.an.overBudget() || w.depth > maxWalkDepth {
			w.an.exhausted = true
			return nil
		}
		p.applyRule(r)
	}
	return w.an.cells.merge(append(p.ret, cur.segments()...))
}

// addLive adds the classes of cell sets to those that may be in the set.
func (p *chainWalk) addLive(sets []*cellSet) {
	last := (*cellSet)(nil)
	for _, f := range sets {
		if f == last {
			continue
		}
		last = f
		for _, c := range f.cells {
			if !slices.ContainsFunc(p.live, func(l liveClass) bool { return l.id == c.class }) {
				p.live = append(p.live, liveClass{c.class, p.packetView(c.class)})
			}
		}
	}
	p.acceptAll, p.dropAll = false, false
}

func (w *tableWalk) packetView(id classID) *packetView {
	v := w.views[id]
	if v == nil {
		v = w.an.packetView(w.stage, w.an.cells.classes[id])
		w.views[id] = v
	}
	return v
}

// matchedPart is what a rule takes of the classes that it matches over one set of
// peers.
type matchedPart struct {
	peers  *netset.AddrSet
	hits   []hit
	reason string
	memo   map[uint32]split
	last   *cellSet
	lastIs split
	got    []segment
}

// hit is a class that a rule matches.
type hit struct {
	class classID
	ports *netset.PortSet
	sure  bool
}

// split is a cell set in two: what the rule takes and what goes on.
type split struct{ taken, rest *cellSet }

// applyRule applies one rule to the set.
func (p *chainWalk) applyRule(r *rules.Rule) {
	parts := p.parts[:0]
	for _, l := range p.live {
		known, open := l.v.outcomes(r)
		parts = addHit(parts, l.id, known)
		parts = addHit(parts, l.id, open)
	}
	p.parts = parts
	for i := range parts {
		p.takeMatched(r, &parts[i])
	}
	for i := range parts {
		if s := &parts[i]; len(s.got) > 0 {
			p.an.tracer.noteRule(p.stage, p.chain, r, s.reason)
			p.applyTarget(r, s)
		}
	}
}

// addHit notes that the rule matches a class.
func addHit(parts []matchedPart, id classID, o outcome) []matchedPart {
	if o.hit == tri.No {
		return parts
	}
	i := slices.IndexFunc(parts, func(s matchedPart) bool { return s.peers == o.peers })
	if i < 0 {
		i = len(parts)
		parts = addPart(parts, o.peers)
	}
	s := &parts[i]
	s.hits = append(s.hits, hit{id, o.ports, o.hit == tri.Yes})
	if o.hit == tri.Maybe {
		s.reason = o.reason
	}
	return parts
}

// addPart appends a part for one set of peers, with the buffers of a former
// rule's.
func addPart(parts []matchedPart, peers *netset.AddrSet) []matchedPart {
	if n := len(parts); n < cap(parts) {
		parts = parts[:n+1]
		old := &parts[n]
		*old = matchedPart{peers: peers, hits: old.hits[:0], got: old.got[:0]}
		return parts
	}
	return append(parts, matchedPart{peers: peers})
}

// split divides a cell set by a part.
func (p *chainWalk) split(s *matchedPart, f *cellSet) split {
	if s.last == f {
		return s.lastIs
	}
	x, ok := s.memo[f.id]
	if !ok {
		x = p.divide(s, f)
		if s.last != nil && s.memo == nil {
			s.memo = map[uint32]split{s.last.id: s.lastIs}
		}
		if s.memo != nil {
			s.memo[f.id] = x
		}
	}
	s.last, s.lastIs = f, x
	return x
}

func (p *chainWalk) divide(s *matchedPart, f *cellSet) split {
	var taken, sure []cell
	for _, c := range f.cells {
		for _, h := range s.hits {
			if h.class != c.class {
				continue
			}
			x := cell{c.class, c.ports.Intersect(h.ports)}
			taken = append(taken, x)
			if h.sure {
				sure = append(sure, x)
			}
		}
	}
	in := p.an.cells
	return split{taken: in.cellSet(taken), rest: in.minus(f, in.cellSet(sure))}
}

// takeMatched removes from the set what a part certainly matches, and notes what it
// may match.
func (p *chainWalk) takeMatched(r *rules.Rule, s *matchedPart) {
	k := r.Target.Kind
	if p.cur.empty() {
		return // another part has taken all
	}
	if p.addsNothing(k, s) {
		p.an.noteUncertain(r, s.reason, p.cur.bounds())
		return
	}
	whole := true
	p.cur.edit(s.peers, func(g segment) *cellSet {
		x := p.split(s, g.set)
		if x.taken != nil {
			s.got = append(s.got, segment{g.Span, x.taken})
		}
		whole = whole && x.taken == g.set
		return x.rest
	})
	if len(s.got) == 0 || s.reason == "" {
		return
	}
	p.an.noteUncertain(r, s.reason, boundsOf(s.got))
	if s.peers == nil && whole && len(s.got) == p.cur.n {
		p.acceptAll = p.acceptAll || k == rules.TargetAccept
		p.dropAll = p.dropAll || k == rules.TargetDrop || k == rules.TargetReject
	}
}

// boundsOf is the range of peers that segments span.
func boundsOf(segs []segment) netset.Span {
	b := segs[0].Span
	for _, g := range segs[1:] {
		b.Lo, b.Hi = netset.Min(b.Lo, g.Lo), netset.Max(b.Hi, g.Hi)
	}
	return b
}

// addsNothing reports whether a rule that only perhaps applies can add
// nothing to what was perhaps accepted or dropped before.
func (p *chainWalk) addsNothing(k rules.TargetKind, s *matchedPart) bool {
	if p.an.tracer != nil || s.reason == "" || slices.ContainsFunc(s.hits, func(h hit) bool { return h.sure }) {
		return false
	}
	return k == rules.TargetAccept && p.acceptAll || (k == rules.TargetDrop || k == rules.TargetReject) && p.dropAll
}
