package iptables

import (
	"math/rand/v2"
	"testing"
)

// model is the obvious representation of a flow set over 64 addresses: which
// ports of 0..7 stand at each address, for each class.
type model [64]map[classID]uint8

func (m *model) union(lo, hi int, c classID, ports uint8) {
	for i := lo; i <= hi; i++ {
		if m[i] == nil {
			m[i] = map[classID]uint8{}
		}
		m[i][c] |= ports
	}
}

func portBits(b uint8) *portSet {
	var rs []portRange
	for i := range 8 {
		if b>>i&1 != 0 {
			rs = append(rs, portRange{uint16(i), uint16(i)})
		}
	}
	return newPortSet(rs)
}

func modelOf(s *flowSet) model {
	var m model
	for _, g := range s.segments() {
		for _, c := range g.f.cells {
			var b uint8
			for i := range 8 {
				if c.ports.contains(uint16(i)) {
					b |= 1 << i
				}
			}
			m.union(int(g.lo.lo), int(g.hi.lo), c.class, b)
		}
	}
	return m
}

func (m model) equal(n model) bool {
	for i := range m {
		for c := classID(0); c < 3; c++ {
			if m[i][c] != n[i][c] {
				return false
			}
		}
	}
	return true
}

// TestFlowSetAgainstModel edits sets at random and compares them with a table.
func TestFlowSetAgainstModel(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for round := range 300 {
		sp := newSpace()
		var ids [3]classID
		for i := range ids {
			ids[i] = sp.id(class{target: uint16(i)})
		}
		s, m := newFlowSet(sp, nil), model{}
		for step := range 60 {
			lo := r.IntN(64)
			hi := min(63, lo+r.IntN(9))
			c, bits := ids[r.IntN(3)], uint8(1+r.IntN(255))
			f := sp.fiber([]cell{{c, portBits(bits)}})
			x := span{word128{0, uint64(lo)}, word128{0, uint64(hi)}}
			if r.IntN(3) > 0 {
				s.add([]segment{{x, f}})
				m.union(lo, hi, c, bits)
			} else {
				over := newAddrSet([]span{x})
				if r.IntN(4) == 0 {
					over, lo, hi = nil, 0, 63
				}
				s.edit(over, func(g segment) *fiber { return sp.minus(g.f, f) })
				for i := lo; i <= hi; i++ {
					if m[i] != nil {
						m[i][c] &^= bits
					}
				}
			}
			if !modelOf(s).equal(m) {
				t.Fatalf("round %d, step %d: the set differs from the table", round, step)
			}
			if got := len(s.segments()); got != s.n {
				t.Fatalf("round %d, step %d: %d segments, counted %d", round, step, got, s.n)
			}
		}
		again := newFlowSet(sp, s.segments())
		if !modelOf(again).equal(m) {
			t.Fatalf("round %d: rebuilding changes the set", round)
		}
	}
}

func TestAddrSetComplement(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 200 {
		var spans []span
		for range r.IntN(6) {
			lo := r.Uint64() & 0xffffffff
			spans = append(spans, span{word128{0, lo}, word128{0, min(lo+r.Uint64()&0xfffffff, 0xffffffff)}})
		}
		s := newAddrSet(spans)
		c := s.complement(IPv4)
		if got := s.intersect(c); len(got.spans) != 0 {
			t.Fatalf("a set and its complement share %v", got)
		}
		if got := newAddrSet(append(append([]span(nil), s.spans...), c.spans...)); len(got.spans) != 1 ||
			got.spans[0] != (span{word128{}, IPv4.lastAddr()}) {
			t.Fatalf("a set and its complement are not everything: %v", got)
		}
	}
}
