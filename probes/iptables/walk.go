package iptables

import (
	"slices"
)

// stage is a moment in the life of a packet: which packet of the flow, at
// which hook and table.
type stage struct {
	leg   *leg
	hook  string
	table string
	// translated: this machine's address is the one after DNAT.
	translated bool
	// conntracked: conntrack has looked at the packet.
	conntracked bool
}

// cause is what drops packets: a rule, a policy or the kernel itself.
type cause struct {
	stage stage
	chain *Chain
	rule  *Rule
	// why is set where neither a rule nor a policy drops.
	why string
	// assumed names the assumption where dropping is not certain.
	assumed string
	// peer is the neighbour that the dropped packet is for, where it is not
	// the management source itself.
	peer word128
}

// dropped is a part of a packet set that is, or may be, dropped.
type dropped struct {
	segment
	by *cause
}

// walk takes packet sets through the chains of one hook of one table.
type walk struct {
	an       *analysis
	stage    stage
	nat      bool
	views    map[classID]*view
	accepted []segment
	memo     map[memoKey][]memoEntry
	depth    int
}

type memoKey struct {
	chain *Chain
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
func (w *walk) run(c *Chain, in []segment) []segment {
	cur := chunked(w.an.sp, in)
	ret := w.chain(c, cur)
	w.an.tracePolicy(w, c, ret)
	if c.Policy == "DROP" {
		w.drop(ret, &cause{stage: w.stage, chain: c})
	} else {
		w.accepted = append(w.accepted, ret...)
	}
	return w.an.sp.merge(w.accepted)
}

func (w *walk) drop(segs []segment, by *cause) {
	for _, g := range segs {
		w.an.drops = append(w.an.drops, dropped{g, by})
	}
}

// pass is the state of one walk through one chain.
type pass struct {
	*walk
	chain *Chain
	cur   *flowSet
	live  []liveClass
	ret   []segment
	// acceptAll and dropAll: everything now in cur has been emitted as
	// perhaps accepted, or perhaps dropped, already.
	acceptAll, dropAll bool
	// shares is used again for every rule.
	shares []share
}

// liveClass is a class that may be in the set, and what rules see of it.
type liveClass struct {
	id classID
	v  *view
}

// chain walks a chain and returns what falls off its end or returns.
func (w *walk) chain(c *Chain, cur *flowSet) []segment {
	w.depth++
	defer func() { w.depth-- }()
	p := &pass{walk: w, chain: c, cur: cur}
	for _, ch := range cur.chunks {
		for _, g := range ch {
			p.learn([]*fiber{g.f})
		}
	}
	for _, r := range c.Rules {
		if cur.empty() {
			break
		}
		if !r.noteworthy() {
			continue
		}
		w.an.sp.work += max(1, len(p.live))
		if w.an.overBudget() || w.depth > maxWalkDepth {
			w.an.exhausted = true
			return nil
		}
		p.rule(r)
	}
	return w.an.sp.merge(append(p.ret, cur.segments()...))
}

// learn adds the classes of fibers to those that may be in the set.
func (p *pass) learn(fibers []*fiber) {
	last := (*fiber)(nil)
	for _, f := range fibers {
		if f == last {
			continue
		}
		last = f
		for _, c := range f.cells {
			if !slices.ContainsFunc(p.live, func(l liveClass) bool { return l.id == c.class }) {
				p.live = append(p.live, liveClass{c.class, p.view(c.class)})
			}
		}
	}
	p.acceptAll, p.dropAll = false, false
}

func (w *walk) view(id classID) *view {
	v := w.views[id]
	if v == nil {
		v = w.an.view(w.stage, w.an.sp.classes[id])
		w.views[id] = v
	}
	return v
}

// share is what a rule takes of the classes that it matches over one set of
// peers.
type share struct {
	peers  *addrSet
	hits   []hit
	reason string
	memo   map[uint32]split
	last   *fiber
	lastIs split
	got    []segment
}

// hit is a class that a rule matches.
type hit struct {
	class classID
	ports *portSet
	sure  bool
}

// split is a fiber in two: what the rule takes and what goes on.
type split struct{ taken, rest *fiber }

// rule applies one rule to the set.
func (p *pass) rule(r *Rule) {
	shares := p.shares[:0]
	for _, l := range p.live {
		known, open := r.outcomes(l.v)
		shares = addHit(shares, l.id, known)
		shares = addHit(shares, l.id, open)
	}
	p.shares = shares
	for i := range shares {
		p.take(r, &shares[i])
	}
	for i := range shares {
		if s := &shares[i]; len(s.got) > 0 {
			p.an.traceRule(p.walk, p.chain, r, s.reason, s.got)
			p.dispose(r, s)
		}
	}
}

// addHit notes that the rule matches a class.
func addHit(shares []share, id classID, o outcome) []share {
	if o.hit == no {
		return shares
	}
	i := slices.IndexFunc(shares, func(s share) bool { return s.peers == o.peers })
	if i < 0 {
		i = len(shares)
		shares = addShare(shares, o.peers)
	}
	s := &shares[i]
	s.hits = append(s.hits, hit{id, o.ports, o.hit == yes})
	if o.hit == maybe {
		s.reason = o.reason
	}
	return shares
}

// addShare appends a share for one set of peers, with the buffers of a former
// rule's.
func addShare(shares []share, peers *addrSet) []share {
	if n := len(shares); n < cap(shares) {
		shares = shares[:n+1]
		old := &shares[n]
		*old = share{peers: peers, hits: old.hits[:0], got: old.got[:0]}
		return shares
	}
	return append(shares, share{peers: peers})
}

// split divides a fiber by a share.
func (p *pass) split(s *share, f *fiber) split {
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

func (p *pass) divide(s *share, f *fiber) split {
	var taken, sure []cell
	for _, c := range f.cells {
		for _, h := range s.hits {
			if h.class != c.class {
				continue
			}
			x := cell{c.class, c.ports.intersect(h.ports)}
			taken = append(taken, x)
			if h.sure {
				sure = append(sure, x)
			}
		}
	}
	sp := p.an.sp
	return split{taken: sp.fiber(taken), rest: sp.minus(f, sp.fiber(sure))}
}

// take removes from the set what a share certainly matches, and notes what it
// may match.
func (p *pass) take(r *Rule, s *share) {
	k := r.target.kind
	if p.cur.empty() {
		return // another share has taken all
	}
	if p.alreadyPerhaps(k, s) {
		p.an.noteUncertain(r, s.reason, p.cur.bounds())
		return
	}
	whole := true
	p.cur.edit(s.peers, func(g segment) *fiber {
		x := p.split(s, g.f)
		if x.taken != nil {
			s.got = append(s.got, segment{g.span, x.taken})
		}
		whole = whole && x.taken == g.f
		return x.rest
	})
	if len(s.got) == 0 || s.reason == "" {
		return
	}
	p.an.noteUncertain(r, s.reason, boundsOf(s.got))
	if s.peers == nil && whole && len(s.got) == p.cur.n {
		p.acceptAll = p.acceptAll || k == tgAccept
		p.dropAll = p.dropAll || k == tgDrop || k == tgReject
	}
}

// boundsOf is the range of peers that segments span.
func boundsOf(segs []segment) span {
	b := segs[0].span
	for _, g := range segs[1:] {
		b.lo, b.hi = minWord(b.lo, g.lo), maxWord(b.hi, g.hi)
	}
	return b
}

// alreadyPerhaps reports whether a rule that only perhaps applies can add
// nothing to what was perhaps accepted or dropped before.
func (p *pass) alreadyPerhaps(k targetKind, s *share) bool {
	if p.an.tracer != nil || s.reason == "" || slices.ContainsFunc(s.hits, func(h hit) bool { return h.sure }) {
		return false
	}
	return k == tgAccept && p.acceptAll || (k == tgDrop || k == tgReject) && p.dropAll
}
