package iptables

import (
	"slices"
)

// portRange is a closed range of ports.
type portRange struct{ lo, hi uint16 }

// portSet is a set of ports: sorted ranges that neither overlap nor touch. It
// is never changed once made. A nil *portSet stands for every port.
type portSet struct{ ranges []portRange }

// newPortSet makes a set of ranges in any order; reversed ones are empty.
func newPortSet(rs []portRange) *portSet {
	rs = slices.DeleteFunc(rs, func(r portRange) bool { return r.hi < r.lo })
	slices.SortFunc(rs, func(a, b portRange) int { return int(a.lo) - int(b.lo) })
	out := rs[:0]
	for _, r := range rs {
		if n := len(out); n > 0 && int(r.lo) <= int(out[n-1].hi)+1 {
			out[n-1].hi = max(out[n-1].hi, r.hi)
			continue
		}
		out = append(out, r)
	}
	return &portSet{out}
}

func (s *portSet) complement() *portSet {
	if s == nil {
		return &portSet{}
	}
	var out []portRange
	lo := 0
	for _, r := range s.ranges {
		if lo < int(r.lo) {
			out = append(out, portRange{uint16(lo), r.lo - 1})
		}
		lo = int(r.hi) + 1
	}
	if lo <= 65535 {
		out = append(out, portRange{uint16(lo), 65535})
	}
	return &portSet{out}
}

func (s *portSet) contains(p uint16) bool {
	if s == nil {
		return true
	}
	i, found := slices.BinarySearchFunc(s.ranges, p, func(r portRange, p uint16) int { return int(r.lo) - int(p) })
	return found || i > 0 && p <= s.ranges[i-1].hi
}

func (s *portSet) empty() bool { return s != nil && len(s.ranges) == 0 }

func (s *portSet) intersect(t *portSet) *portSet {
	if s == nil {
		return t
	}
	if t == nil {
		return s
	}
	var out []portRange
	for i, j := 0, 0; i < len(s.ranges) && j < len(t.ranges); {
		a, b := s.ranges[i], t.ranges[j]
		if lo, hi := max(a.lo, b.lo), min(a.hi, b.hi); lo <= hi {
			out = append(out, portRange{lo, hi})
		}
		if a.hi < b.hi {
			i++
		} else {
			j++
		}
	}
	return &portSet{out}
}

func (s *portSet) union(t *portSet) *portSet {
	if s == nil || t == nil {
		return nil
	}
	return newPortSet(slices.Concat(s.ranges, t.ranges))
}

// minus is what s holds and t does not.
func (s *portSet) minus(t *portSet) *portSet { return s.intersect(t.complement()) }
