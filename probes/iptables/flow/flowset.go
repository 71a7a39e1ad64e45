package flow

import (
	"slices"

	"lifeline/probes/iptables/netset"
)

// segment is a range of peer addresses over which one cell set stands.
type segment struct {
	netset.Span
	set *cellSet
}

// flowSet is a set of packets: disjoint segments in order, kept in chunks so
// that splitting one costs little in a set of many.
type flowSet struct {
	cells  *interner
	chunks [][]segment
	n      int
}

// chunkSize is the number of segments above which a chunk is split.
const chunkSize = 256

// newFlowSet makes a set of segments in any order, joining what overlaps.
func newFlowSet(cells *interner, segs []segment) *flowSet {
	return chunked(cells, cells.merge(segs))
}

// chunked cuts ordered, disjoint segments into chunks.
func chunked(cells *interner, segs []segment) *flowSet {
	s := &flowSet{cells: cells, n: len(segs)}
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
func (s *flowSet) bounds() netset.Span {
	last := s.chunks[len(s.chunks)-1]
	return netset.Span{Lo: s.chunks[0][0].Lo, Hi: last[len(last)-1].Hi}
}

// chunkAt is the index of the first chunk that ends at w or later.
func (s *flowSet) chunkAt(w netset.Addr) int {
	lo, hi := 0, len(s.chunks)
	for lo < hi {
		m := int(uint(lo+hi) >> 1)
		if c := s.chunks[m]; c[len(c)-1].Hi.Less(w) {
			lo = m + 1
		} else {
			hi = m
		}
	}
	return lo
}

// segmentAt is the index of the first segment of a chunk that ends at w or
// later.
func segmentAt(c []segment, w netset.Addr) int {
	lo, hi := 0, len(c)
	for lo < hi {
		m := int(uint(lo+hi) >> 1)
		if c[m].Hi.Less(w) {
			lo = m + 1
		} else {
			hi = m
		}
	}
	return lo
}

// edit changes the cell sets over the given addresses (nil: all): change returns
// what is left of a cell set. Segments are split at the borders.
func (s *flowSet) edit(over *netset.AddrSet, change func(segment) *cellSet) {
	if over == nil {
		s.editAll(change)
		return
	}
	if len(over.Spans) > s.n {
		s.editSparse(over, change)
		return
	}
	for _, x := range over.Spans {
		s.editSpan(x, change)
	}
}

func (s *flowSet) editAll(change func(segment) *cellSet) {
	out := s.chunks[:0]
	s.n = 0
	for _, c := range s.chunks {
		k := 0
		for _, g := range c {
			s.cells.work++
			if f := change(g); f != nil {
				c[k] = segment{g.Span, f}
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
func (s *flowSet) editSparse(over *netset.AddrSet, change func(segment) *cellSet) {
	for _, g := range s.segments() {
		for i := over.From(g.Lo); i < len(over.Spans) && !g.Hi.Less(over.Spans[i].Lo); i++ {
			s.editSpan(netset.Span{Lo: netset.Max(g.Lo, over.Spans[i].Lo), Hi: netset.Min(g.Hi, over.Spans[i].Hi)}, change)
		}
	}
}

func (s *flowSet) editSpan(x netset.Span, change func(segment) *cellSet) {
	for ci := s.chunkAt(x.Lo); ci < len(s.chunks); {
		c := s.chunks[ci]
		if x.Hi.Less(c[0].Lo) {
			return
		}
		i := segmentAt(c, x.Lo)
		j := i
		var repl [8]segment
		out := repl[:0]
		for ; j < len(c) && !x.Hi.Less(c[j].Lo); j++ {
			out = splitSegment(out, c[j], x, change)
			s.cells.work++
		}
		before := len(c)
		c = slices.Replace(c, i, j, out...)
		s.n += len(c) - before
		ci = s.store(ci, c)
	}
}

// splitSegment appends what becomes of a segment when the part within x is
// changed.
func splitSegment(out []segment, g segment, x netset.Span, change func(segment) *cellSet) []segment {
	if g.Lo.Less(x.Lo) {
		out = append(out, segment{netset.Span{Lo: g.Lo, Hi: x.Lo.Prev()}, g.set})
	}
	mid := netset.Span{Lo: netset.Max(g.Lo, x.Lo), Hi: netset.Min(g.Hi, x.Hi)}
	if f := change(segment{mid, g.set}); f != nil {
		out = append(out, segment{mid, f})
	}
	if x.Hi.Less(g.Hi) {
		out = append(out, segment{netset.Span{Lo: x.Hi.Next(), Hi: g.Hi}, g.set})
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

// add joins segments into the set and returns the cell sets that came about.
// Few segments are put in one by one, many by a merge.
func (s *flowSet) add(segs []segment) (fresh []*cellSet) {
	if len(segs) > 4+s.n/16 {
		*s = *chunked(s.cells, s.cells.mergeTwo(s.segments(), s.cells.merge(segs)))
		for _, c := range s.chunks {
			for _, g := range c {
				fresh = append(fresh, g.set)
			}
		}
		return fresh
	}
	for _, g := range segs {
		fresh = append(s.insert(g, fresh), g.set)
	}
	return fresh
}

// insert joins one segment into the set.
func (s *flowSet) insert(g segment, fresh []*cellSet) []*cellSet {
	var covered []netset.Span
	s.editSpan(g.Span, func(h segment) *cellSet {
		covered = append(covered, h.Span)
		f := s.cells.union(h.set, g.set)
		fresh = append(fresh, f)
		return f
	})
	lo := g.Lo
	for _, c := range covered {
		if lo.Less(c.Lo) {
			s.insertGap(segment{netset.Span{Lo: lo, Hi: c.Lo.Prev()}, g.set})
		}
		if c.Hi == g.Hi {
			return fresh
		}
		lo = c.Hi.Next()
	}
	s.insertGap(segment{netset.Span{Lo: lo, Hi: g.Hi}, g.set})
	return fresh
}

// insertGap puts a segment where there is none.
func (s *flowSet) insertGap(g segment) {
	s.n++
	s.cells.work++
	if len(s.chunks) == 0 {
		s.chunks = [][]segment{{g}}
		return
	}
	ci := min(s.chunkAt(g.Lo), len(s.chunks)-1)
	c := s.chunks[ci]
	s.store(ci, slices.Insert(c, segmentAt(c, g.Lo), g))
}

// merge orders segments and joins the cell sets of those that overlap.
func (in *interner) merge(segs []segment) []segment {
	if len(segs) == 0 {
		return nil
	}
	in.work += len(segs)
	if !slices.IsSortedFunc(segs, compareSegment) {
		segs = slices.Clone(segs)
		slices.SortFunc(segs, compareSegment)
	}
	return in.mergeOrdered(segs)
}

// mergeOrdered joins overlapping segments of a list ordered by their begin.
func (in *interner) mergeOrdered(segs []segment) []segment {
	for i := 1; ; i++ {
		if i >= len(segs) {
			return glue(slices.Clone(segs))
		}
		if !segs[i-1].Hi.Less(segs[i].Lo) {
			break
		}
	}
	h := len(segs) / 2
	return in.mergeTwo(in.mergeOrdered(segs[:h]), in.mergeOrdered(segs[h:]))
}

func compareSegment(a, b segment) int { return a.Lo.Compare(b.Lo) }

// mergeTwo joins two ordered, disjoint lists.
func (in *interner) mergeTwo(a, b []segment) []segment {
	in.work += len(a) + len(b)
	out := make([]segment, 0, len(a)+len(b))
	var x, y segment // the heads, a nil set of cells where there is none
	for {
		if x.set == nil && len(a) > 0 {
			x, a = a[0], a[1:]
		}
		if y.set == nil && len(b) > 0 {
			y, b = b[0], b[1:]
		}
		if x.set == nil || y.set == nil {
			break
		}
		if y.Lo.Less(x.Lo) {
			x, y, a, b = y, x, b, a
		}
		switch {
		case x.Hi.Less(y.Lo):
			out = append(out, x)
			x.set = nil
		case x.Lo.Less(y.Lo):
			out = append(out, segment{netset.Span{Lo: x.Lo, Hi: y.Lo.Prev()}, x.set})
			x.Lo = y.Lo
		default:
			hi := netset.Min(x.Hi, y.Hi)
			out = append(out, segment{netset.Span{Lo: x.Lo, Hi: hi}, in.union(x.set, y.set)})
			x.cut(hi)
			y.cut(hi)
		}
	}
	for _, h := range []segment{x, y} {
		if h.set != nil {
			out = append(out, h)
		}
	}
	return glue(append(append(out, a...), b...))
}

// cut takes everything up to hi off a segment; nothing left is a nil set of cells.
func (g *segment) cut(hi netset.Addr) {
	if !hi.Less(g.Hi) {
		g.set = nil
		return
	}
	g.Lo = hi.Next()
}

// glue joins neighbours that hold the same.
func glue(segs []segment) []segment {
	out := segs[:0]
	for _, g := range segs {
		if n := len(out); n > 0 && out[n-1].set == g.set && out[n-1].Hi.Next() == g.Lo && out[n-1].Hi.Less(g.Lo) {
			out[n-1].Hi = g.Hi
			continue
		}
		out = append(out, g)
	}
	return out
}
