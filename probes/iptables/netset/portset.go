package netset

import "slices"

// PortRange is a closed range of ports.
type PortRange struct{ Lo, Hi uint16 }

// PortSet is a set of ports: sorted ranges that neither overlap nor touch. It
// is never changed once made. A nil *PortSet stands for every port.
type PortSet struct{ Ranges []PortRange }

// NewPortSet makes a set of ranges in any order; reversed ones are empty.
func NewPortSet(rs []PortRange) *PortSet {
	rs = slices.DeleteFunc(rs, func(r PortRange) bool { return r.Hi < r.Lo })
	slices.SortFunc(rs, func(a, b PortRange) int { return int(a.Lo) - int(b.Lo) })
	out := rs[:0]
	for _, r := range rs {
		if n := len(out); n > 0 && int(r.Lo) <= int(out[n-1].Hi)+1 {
			out[n-1].Hi = max(out[n-1].Hi, r.Hi)
			continue
		}
		out = append(out, r)
	}
	return &PortSet{out}
}

// Complement is every port outside the set.
func (s *PortSet) Complement() *PortSet {
	if s == nil {
		return &PortSet{}
	}
	var out []PortRange
	lo := 0
	for _, r := range s.Ranges {
		if lo < int(r.Lo) {
			out = append(out, PortRange{uint16(lo), r.Lo - 1})
		}
		lo = int(r.Hi) + 1
	}
	if lo <= 65535 {
		out = append(out, PortRange{uint16(lo), 65535})
	}
	return &PortSet{out}
}

// Contains reports whether the port is in the set.
func (s *PortSet) Contains(p uint16) bool {
	if s == nil {
		return true
	}
	i, found := slices.BinarySearchFunc(s.Ranges, p, func(r PortRange, p uint16) int { return int(r.Lo) - int(p) })
	return found || i > 0 && p <= s.Ranges[i-1].Hi
}

// Empty reports whether the set has no port.
func (s *PortSet) Empty() bool { return s != nil && len(s.Ranges) == 0 }

// Intersect is what both sets hold.
func (s *PortSet) Intersect(t *PortSet) *PortSet {
	if s == nil {
		return t
	}
	if t == nil {
		return s
	}
	var out []PortRange
	for i, j := 0, 0; i < len(s.Ranges) && j < len(t.Ranges); {
		a, b := s.Ranges[i], t.Ranges[j]
		if lo, hi := max(a.Lo, b.Lo), min(a.Hi, b.Hi); lo <= hi {
			out = append(out, PortRange{lo, hi})
		}
		if a.Hi < b.Hi {
			i++
		} else {
			j++
		}
	}
	return &PortSet{out}
}

// Union is what one of the sets holds.
func (s *PortSet) Union(t *PortSet) *PortSet {
	if s == nil || t == nil {
		return nil
	}
	return NewPortSet(slices.Concat(s.Ranges, t.Ranges))
}

// Minus is what s holds and t does not.
func (s *PortSet) Minus(t *PortSet) *PortSet { return s.Intersect(t.Complement()) }
