package flow

import (
	"slices"

	"lifeline/probes/iptables/netset"
)

// classID numbers a class within one analysis.
type classID uint32

// cell is a class together with the peer ports that it is about.
type cell struct {
	class classID
	ports *netset.PortSet // never nil
}

// cellSet is what stands over one range of peer addresses: cells of distinct
// classes, sorted. Equal cell sets are the same pointer, so that comparing and
// remembering them is cheap. The empty cell set is nil.
type cellSet struct {
	id    uint32
	cells []cell
}

// interner holds the classes and cell sets of one analysis.
type interner struct {
	classes  []class
	byClass  map[class]classID
	ports    map[string]*netset.PortSet
	cellSets map[string]*cellSet
	unions   map[[2]uint32]*cellSet
	minuses  map[[2]uint32]*cellSet
	next     uint32
	key      []byte
	// work counts elementary steps, against the budget.
	work int
}

func newInterner() *interner {
	return &interner{byClass: map[class]classID{}, ports: map[string]*netset.PortSet{}, cellSets: map[string]*cellSet{},
		unions: map[[2]uint32]*cellSet{}, minuses: map[[2]uint32]*cellSet{}}
}

// id numbers a class.
func (in *interner) id(c class) classID {
	if i, ok := in.byClass[c]; ok {
		return i
	}
	i := classID(len(in.classes))
	in.classes = append(in.classes, c)
	in.byClass[c] = i
	return i
}

// unique makes equal port sets one pointer.
func (in *interner) unique(p *netset.PortSet) *netset.PortSet {
	k := in.key[:0]
	for _, r := range p.Ranges {
		k = append(k, byte(r.Lo>>8), byte(r.Lo), byte(r.Hi>>8), byte(r.Hi))
	}
	in.key = k
	if q, ok := in.ports[string(k)]; ok {
		return q
	}
	in.ports[string(k)] = p
	return p
}

// cellSet makes a cell set of cells in any order: cells of one class are joined,
// empty ones left out.
func (in *interner) cellSet(cells []cell) *cellSet {
	cells = slices.DeleteFunc(cells, func(c cell) bool { return c.ports.Empty() })
	if len(cells) == 0 {
		return nil
	}
	slices.SortFunc(cells, func(a, b cell) int { return int(a.class) - int(b.class) })
	out := cells[:1]
	for _, c := range cells[1:] {
		if last := &out[len(out)-1]; last.class == c.class {
			last.ports = last.ports.Union(c.ports)
			continue
		}
		out = append(out, c)
	}
	k := make([]byte, 0, 64)
	for i := range out {
		in.work += len(out[i].ports.Ranges)
		out[i].ports = in.unique(out[i].ports)
		k = append(k, byte(out[i].class>>24), byte(out[i].class>>16), byte(out[i].class>>8), byte(out[i].class), byte(len(out[i].ports.Ranges)>>8), byte(len(out[i].ports.Ranges)))
		for _, r := range out[i].ports.Ranges {
			k = append(k, byte(r.Lo>>8), byte(r.Lo), byte(r.Hi>>8), byte(r.Hi))
		}
	}
	if f, ok := in.cellSets[string(k)]; ok {
		return f
	}
	in.next++
	f := &cellSet{in.next, slices.Clone(out)}
	in.cellSets[string(k)] = f
	return f
}

// union holds the cells of both. Where a flow would stand in two classes that
// differ in marks only, they are blended: the marks are then not known.
func (in *interner) union(a, b *cellSet) *cellSet {
	switch {
	case a == nil || a == b:
		return b
	case b == nil:
		return a
	}
	k := [2]uint32{min(a.id, b.id), max(a.id, b.id)}
	if f, ok := in.unions[k]; ok {
		return f
	}
	f := in.cellSet(in.blendOverlaps(slices.Concat(a.cells, b.cells)))
	in.unions[k] = f
	return f
}

// blendOverlaps takes apart cells whose ports overlap and whose classes can be
// blended.
func (in *interner) blendOverlaps(cells []cell) []cell {
	for {
		o, ok := in.overlapToBlend(cells)
		if !ok {
			return joinCells(cells)
		}
		m := in.id(o.mix)
		cells[o.i].ports, cells[o.j].ports = in.withoutBlend(cells[o.i], m, o.ports), in.withoutBlend(cells[o.j], m, o.ports)
		cells = joinCells(append(cells, cell{m, o.ports}))
	}
}

// overlap is where two cells are to become a third.
type overlap struct {
	i, j  int // of the cells
	mix   class
	ports *netset.PortSet
}

// overlapToBlend finds the first two cells of distinct classes that can be blended and
// share ports.
func (in *interner) overlapToBlend(cells []cell) (overlap, bool) {
	for i := range cells {
		for j := i + 1; j < len(cells); j++ {
			if cells[i].class == cells[j].class {
				continue
			}
			mix, ok := in.classes[cells[i].class].blend(in.classes[cells[j].class])
			if !ok {
				continue
			}
			if both := cells[i].ports.Intersect(cells[j].ports); !both.Empty() {
				return overlap{i, j, mix, both}, true
			}
		}
	}
	return overlap{}, false
}

// withoutBlend leaves in a cell what is not blended into class m.
func (in *interner) withoutBlend(c cell, m classID, both *netset.PortSet) *netset.PortSet {
	if c.class == m {
		return c.ports
	}
	return c.ports.Minus(both)
}

// joinCells joins cells of one class and drops empty ones.
func joinCells(cells []cell) []cell {
	var out []cell
	for _, c := range cells {
		if c.ports.Empty() {
			continue
		}
		if i := slices.IndexFunc(out, func(o cell) bool { return o.class == c.class }); i >= 0 {
			out[i].ports = out[i].ports.Union(c.ports)
			continue
		}
		out = append(out, c)
	}
	return out
}

// minus leaves what a holds beyond b, class by class.
func (in *interner) minus(a, b *cellSet) *cellSet {
	if a == nil || b == nil {
		return a
	}
	if a == b {
		return nil
	}
	k := [2]uint32{a.id, b.id}
	if f, ok := in.minuses[k]; ok {
		return f
	}
	out := slices.Clone(a.cells)
	for i := range out {
		for _, c := range b.cells {
			if c.class == out[i].class {
				out[i].ports = out[i].ports.Minus(c.ports)
			}
		}
	}
	f := in.cellSet(out)
	in.minuses[k] = f
	return f
}

// project turns every class into another; cells that become alike are joined.
func (in *interner) project(f *cellSet, to func(class) class) *cellSet {
	if f == nil {
		return nil
	}
	out := make([]cell, len(f.cells))
	for i, c := range f.cells {
		out[i] = cell{in.id(to(in.classes[c.class])), c.ports}
	}
	return in.cellSet(in.blendOverlaps(out))
}
