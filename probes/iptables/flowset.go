package iptables

import (
	"slices"
)

// segment is a range of peer addresses over which one fiber stands.
type segment struct {
	span
	f *fiber
}

// flowSet is a set of packets: disjoint segments in order, kept in chunks so
// that splitting one costs little in a set of many.
type flowSet struct {
	sp     *space
	chunks [][]segment
	n      int
}

// chunkSize is the number of segments above which a chunk is split.
const chunkSize = 256

// newFlowSet makes a set of segments in any order, joining what overlaps.
func newFlowSet(sp *space, segs []segment) *flowSet {
	return chunked(sp, sp.merge(segs))
}

// chunked cuts ordered, disjoint segments into chunks.
func chunked(sp *space, segs []segment) *flowSet {
	s := &flowSet{sp: sp, n: len(segs)}
	for len(segs) > 0 {
		k := min(chunkSize/2, len(segs))
		s.chunks = append(s.chunks, slices.Clone(segs[:k]))
		segs = segs[k:]
	}
	return s
}

func (s *flowSet) empty() bool { return s.n == 0 }

// segments lists the set in order.
func (s *flowSet) segments() []segment {
	out := make([]segment, 0, s.n)
	for _, c := range s.chunks {
		out = append(out, c...)
	}
	return out
}

// bounds is the range of peers that the set spans; it must not be empty.
func (s *flowSet) bounds() span {
	last := s.chunks[len(s.chunks)-1]
	return span{s.chunks[0][0].lo, last[len(last)-1].hi}
}

// chunkAt is the index of the first chunk that ends at w or later.
func (s *flowSet) chunkAt(w word128) int {
	lo, hi := 0, len(s.chunks)
	for lo < hi {
		m := int(uint(lo+hi) >> 1)
		if c := s.chunks[m]; c[len(c)-1].hi.less(w) {
			lo = m + 1
		} else {
			hi = m
		}
	}
	return lo
}

// segmentAt is the index of the first segment of a chunk that ends at w or
// later.
func segmentAt(c []segment, w word128) int {
	lo, hi := 0, len(c)
	for lo < hi {
		m := int(uint(lo+hi) >> 1)
		if c[m].hi.less(w) {
			lo = m + 1
		} else {
			hi = m
		}
	}
	return lo
}

// edit changes the fibers over the given addresses (nil: all): change returns
// what is left of a fiber. Segments are split at the borders.
func (s *flowSet) edit(over *addrSet, change func(segment) *fiber) {
	if over == nil {
		s.editAll(change)
		return
	}
	if len(over.spans) > s.n {
		s.editSparse(over, change)
		return
	}
	for _, x := range over.spans {
		s.editSpan(x, change)
	}
}

func (s *flowSet) editAll(change func(segment) *fiber) {
	out := s.chunks[:0]
	s.n = 0
	for _, c := range s.chunks {
		k := 0
		for _, g := range c {
			s.sp.work++
			if f := change(g); f != nil {
				c[k] = segment{g.span, f}
				k++
			}
		}
		if k > 0 {
			out = append(out, c[:k])
			s.n += k
		}
	}
	s.chunks = out
}

// editSparse serves a set of addresses with more spans than there are
// segments: it looks the spans up by segment.
func (s *flowSet) editSparse(over *addrSet, change func(segment) *fiber) {
	for _, g := range s.segments() {
		for i := over.from(g.lo); i < len(over.spans) && !g.hi.less(over.spans[i].lo); i++ {
			s.editSpan(span{maxWord(g.lo, over.spans[i].lo), minWord(g.hi, over.spans[i].hi)}, change)
		}
	}
}

func (s *flowSet) editSpan(x span, change func(segment) *fiber) {
	for ci := s.chunkAt(x.lo); ci < len(s.chunks); {
		c := s.chunks[ci]
		if x.hi.less(c[0].lo) {
			return
		}
		i := segmentAt(c, x.lo)
		j := i
		var repl [8]segment
		out := repl[:0]
		for ; j < len(c) && !x.hi.less(c[j].lo); j++ {
			out = splitSegment(out, c[j], x, change)
			s.sp.work++
		}
		before := len(c)
		c = slices.Replace(c, i, j, out...)
		s.n += len(c) - before
		ci = s.store(ci, c)
	}
}

// splitSegment appends what becomes of a segment when the part within x is
// changed.
func splitSegment(out []segment, g segment, x span, change func(segment) *fiber) []segment {
	if g.lo.less(x.lo) {
		out = append(out, segment{span{g.lo, x.lo.prev()}, g.f})
	}
	mid := span{maxWord(g.lo, x.lo), minWord(g.hi, x.hi)}
	if f := change(segment{mid, g.f}); f != nil {
		out = append(out, segment{mid, f})
	}
	if x.hi.less(g.hi) {
		out = append(out, segment{span{x.hi.next(), g.hi}, g.f})
	}
	return out
}

// store puts a changed chunk back and returns the index of the next one.
func (s *flowSet) store(ci int, c []segment) int {
	switch {
	case len(c) == 0:
		s.chunks = slices.Delete(s.chunks, ci, ci+1)
		return ci
	case len(c) > chunkSize:
		h := len(c) / 2
		s.chunks[ci] = c[:h:h]
		s.chunks = slices.Insert(s.chunks, ci+1, slices.Clone(c[h:]))
		return ci + 2
	}
	s.chunks[ci] = c
	return ci + 1
}

// add joins segments into the set and returns the fibers that came about.
// Few segments are put in one by one, many by a merge.
func (s *flowSet) add(segs []segment) (fresh []*fiber) {
	if len(segs) > 4+s.n/16 {
		*s = *chunked(s.sp, s.sp.mergeTwo(s.segments(), s.sp.merge(segs)))
		for _, c := range s.chunks {
			for _, g := range c {
				fresh = append(fresh, g.f)
			}
		}
		return fresh
	}
	for _, g := range segs {
		fresh = append(s.insert(g, fresh), g.f)
	}
	return fresh
}

// insert joins one segment into the set.
func (s *flowSet) insert(g segment, fresh []*fiber) []*fiber {
	var covered []span
	s.editSpan(g.span, func(h segment) *fiber {
		covered = append(covered, h.span)
		f := s.sp.union(h.f, g.f)
		fresh = append(fresh, f)
		return f
	})
	lo := g.lo
	for _, c := range covered {
		if lo.less(c.lo) {
			s.insertGap(segment{span{lo, c.lo.prev()}, g.f})
		}
		if c.hi == g.hi {
			return fresh
		}
		lo = c.hi.next()
	}
	s.insertGap(segment{span{lo, g.hi}, g.f})
	return fresh
}

// insertGap puts a segment where there is none.
func (s *flowSet) insertGap(g segment) {
	s.n++
	s.sp.work++
	if len(s.chunks) == 0 {
		s.chunks = [][]segment{{g}}
		return
	}
	ci := min(s.chunkAt(g.lo), len(s.chunks)-1)
	c := s.chunks[ci]
	s.store(ci, slices.Insert(c, segmentAt(c, g.lo), g))
}

// merge orders segments and joins the fibers of those that overlap.
func (sp *space) merge(segs []segment) []segment {
	if len(segs) == 0 {
		return nil
	}
	sp.work += len(segs)
	if !slices.IsSortedFunc(segs, compareSegment) {
		segs = slices.Clone(segs)
		slices.SortFunc(segs, compareSegment)
	}
	return sp.mergeOrdered(segs)
}

// mergeOrdered joins overlapping segments of a list ordered by their begin.
func (sp *space) mergeOrdered(segs []segment) []segment {
	for i := 1; ; i++ {
		if i >= len(segs) {
			return glue(slices.Clone(segs))
		}
		if !segs[i-1].hi.less(segs[i].lo) {
			break
		}
	}
	h := len(segs) / 2
	return sp.mergeTwo(sp.mergeOrdered(segs[:h]), sp.mergeOrdered(segs[h:]))
}

func compareSegment(a, b segment) int { return a.lo.compare(b.lo) }

// mergeTwo joins two ordered, disjoint lists.
func (sp *space) mergeTwo(a, b []segment) []segment {
	sp.work += len(a) + len(b)
	out := make([]segment, 0, len(a)+len(b))
	var x, y segment // the heads, a nil fiber where there is none
	for {
		if x.f == nil && len(a) > 0 {
			x, a = a[0], a[1:]
		}
		if y.f == nil && len(b) > 0 {
			y, b = b[0], b[1:]
		}
		if x.f == nil || y.f == nil {
			break
		}
		if y.lo.less(x.lo) {
			x, y, a, b = y, x, b, a
		}
		switch {
		case x.hi.less(y.lo):
			out = append(out, x)
			x.f = nil
		case x.lo.less(y.lo):
			out = append(out, segment{span{x.lo, y.lo.prev()}, x.f})
			x.lo = y.lo
		default:
			hi := minWord(x.hi, y.hi)
			out = append(out, segment{span{x.lo, hi}, sp.union(x.f, y.f)})
			x.cut(hi)
			y.cut(hi)
		}
	}
	for _, h := range []segment{x, y} {
		if h.f != nil {
			out = append(out, h)
		}
	}
	return glue(append(append(out, a...), b...))
}

// cut takes everything up to hi off a segment; nothing left is a nil fiber.
func (g *segment) cut(hi word128) {
	if !hi.less(g.hi) {
		g.f = nil
		return
	}
	g.lo = hi.next()
}

// glue joins neighbours that hold the same.
func glue(segs []segment) []segment {
	out := segs[:0]
	for _, g := range segs {
		if n := len(out); n > 0 && out[n-1].f == g.f && out[n-1].hi.next() == g.lo && out[n-1].hi.less(g.lo) {
			out[n-1].hi = g.hi
			continue
		}
		out = append(out, g)
	}
	return out
}
