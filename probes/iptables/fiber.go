package iptables

import (
	"slices"
)

// classID numbers a class within one analysis.
type classID uint32

// cell is a class together with the peer ports that it is about.
type cell struct {
	class classID
	ports *portSet // never nil
}

// fiber is what stands over one range of peer addresses: cells of distinct
// classes, sorted. Equal fibers are the same pointer, so that comparing and
// remembering them is cheap. The empty fiber is nil.
type fiber struct {
	id    uint32
	cells []cell
}

// space holds the classes and fibers of one analysis.
type space struct {
	classes []class
	byClass map[class]classID
	ports   map[string]*portSet
	fibers  map[string]*fiber
	unions  map[[2]uint32]*fiber
	minuses map[[2]uint32]*fiber
	next    uint32
	key     []byte
	// work counts elementary steps, against the budget.
	work int
}

func newSpace() *space {
	return &space{byClass: map[class]classID{}, ports: map[string]*portSet{}, fibers: map[string]*fiber{},
		unions: map[[2]uint32]*fiber{}, minuses: map[[2]uint32]*fiber{}}
}

// id numbers a class.
func (s *space) id(c class) classID {
	if i, ok := s.byClass[c]; ok {
		return i
	}
	i := classID(len(s.classes))
	s.classes = append(s.classes, c)
	s.byClass[c] = i
	return i
}

// unique makes equal port sets one pointer.
func (s *space) unique(p *portSet) *portSet {
	k := s.key[:0]
	for _, r := range p.ranges {
		k = append(k, byte(r.lo>>8), byte(r.lo), byte(r.hi>>8), byte(r.hi))
	}
	s.key = k
	if q, ok := s.ports[string(k)]; ok {
		return q
	}
	s.ports[string(k)] = p
	return p
}

// fiber makes a fiber of cells in any order: cells of one class are joined,
// empty ones left out.
func (s *space) fiber(cells []cell) *fiber {
	cells = slices.DeleteFunc(cells, func(c cell) bool { return c.ports.empty() })
	if len(cells) == 0 {
		return nil
	}
	slices.SortFunc(cells, func(a, b cell) int { return int(a.class) - int(b.class) })
	out := cells[:1]
	for _, c := range cells[1:] {
		if last := &out[len(out)-1]; last.class == c.class {
			last.ports = last.ports.union(c.ports)
			continue
		}
		out = append(out, c)
	}
	k := make([]byte, 0, 64)
	for i := range out {
		s.work += len(out[i].ports.ranges)
		out[i].ports = s.unique(out[i].ports)
		k = append(k, byte(out[i].class>>24), byte(out[i].class>>16), byte(out[i].class>>8), byte(out[i].class), byte(len(out[i].ports.ranges)>>8), byte(len(out[i].ports.ranges)))
		for _, r := range out[i].ports.ranges {
			k = append(k, byte(r.lo>>8), byte(r.lo), byte(r.hi>>8), byte(r.hi))
		}
	}
	if f, ok := s.fibers[string(k)]; ok {
		return f
	}
	s.next++
	f := &fiber{s.next, slices.Clone(out)}
	s.fibers[string(k)] = f
	return f
}

// union holds the cells of both. Where a flow would stand in two classes that
// differ in marks only, they are blended: the marks are then not known.
func (s *space) union(a, b *fiber) *fiber {
	switch {
	case a == nil || a == b:
		return b
	case b == nil:
		return a
	}
	k := [2]uint32{min(a.id, b.id), max(a.id, b.id)}
	if f, ok := s.unions[k]; ok {
		return f
	}
	f := s.fiber(s.blendCells(slices.Concat(a.cells, b.cells)))
	s.unions[k] = f
	return f
}

// blendCells takes apart cells whose ports overlap and whose classes can be
// blended.
func (s *space) blendCells(cells []cell) []cell {
	for again := true; again; {
		again = false
		for i := 0; i < len(cells) && !again; i++ {
			for j := i + 1; j < len(cells); j++ {
				if cells[i].class == cells[j].class {
					continue
				}
				mix, ok := s.classes[cells[i].class].blend(s.classes[cells[j].class])
				if !ok {
					continue
				}
				both := cells[i].ports.intersect(cells[j].ports)
				if both.empty() {
					continue
				}
				m := s.id(mix)
				cells[i].ports, cells[j].ports = s.apart(cells[i], m, both), s.apart(cells[j], m, both)
				cells = append(cells, cell{m, both})
				again = true
				break
			}
		}
		cells = joinCells(cells)
	}
	return cells
}

// apart leaves in a cell what is not blended into class m.
func (s *space) apart(c cell, m classID, both *portSet) *portSet {
	if c.class == m {
		return c.ports
	}
	return c.ports.minus(both)
}

// joinCells joins cells of one class and drops empty ones.
func joinCells(cells []cell) []cell {
	var out []cell
	for _, c := range cells {
		if c.ports.empty() {
			continue
		}
		if i := slices.IndexFunc(out, func(o cell) bool { return o.class == c.class }); i >= 0 {
			out[i].ports = out[i].ports.union(c.ports)
			continue
		}
		out = append(out, c)
	}
	return out
}

// minus leaves what a holds beyond b, class by class.
func (s *space) minus(a, b *fiber) *fiber {
	if a == nil || b == nil {
		return a
	}
	if a == b {
		return nil
	}
	k := [2]uint32{a.id, b.id}
	if f, ok := s.minuses[k]; ok {
		return f
	}
	out := slices.Clone(a.cells)
	for i := range out {
		for _, c := range b.cells {
			if c.class == out[i].class {
				out[i].ports = out[i].ports.minus(c.ports)
			}
		}
	}
	f := s.fiber(out)
	s.minuses[k] = f
	return f
}

// project turns every class into another; cells that become alike are joined.
func (s *space) project(f *fiber, to func(class) class) *fiber {
	if f == nil {
		return nil
	}
	out := make([]cell, len(f.cells))
	for i, c := range f.cells {
		out[i] = cell{s.id(to(s.classes[c.class])), c.ports}
	}
	return s.fiber(s.blendCells(out))
}
