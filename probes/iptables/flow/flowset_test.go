package flow

import (
	"math/rand/v2"
	"testing"

	"lifeline/probes/iptables/netset"
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

func portBits(b uint8) *netset.PortSet {
	var rs []netset.PortRange
	for i := range 8 {
		if b>>i&1 != 0 {
			rs = append(rs, netset.PortRange{Lo: uint16(i), Hi: uint16(i)})
		}
	}
	return netset.NewPortSet(rs)
}

func modelOf(s *flowSet) model {
	var m model
	for _, g := range s.segments() {
		for _, c := range g.set.cells {
			var b uint8
			for i := range 8 {
				if c.ports.Contains(uint16(i)) {
					b |= 1 << i
				}
			}
			m.union(int(g.Lo.Lo), int(g.Hi.Lo), c.class, b)
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
		in := newInterner()
		var ids [3]classID
		for i := range ids {
			ids[i] = in.id(class{target: uint16(i)})
		}
		s, m := newFlowSet(in, nil), model{}
		for step := range 60 {
			lo := r.IntN(64)
			hi := min(63, lo+r.IntN(9))
			c, bits := ids[r.IntN(3)], uint8(1+r.IntN(255))
			f := in.cellSet([]cell{{c, portBits(bits)}})
			x := netset.Span{Lo: netset.Addr{Hi: 0, Lo: uint64(lo)}, Hi: netset.Addr{Hi: 0, Lo: uint64(hi)}}
			if r.IntN(3) > 0 {
				s.add([]segment{{x, f}})
				m.union(lo, hi, c, bits)
			} else {
				over := netset.NewAddrSet([]netset.Span{x})
				if r.IntN(4) == 0 {
					over, lo, hi = nil, 0, 63
				}
				s.edit(over, func(g segment) *cellSet { return in.minus(g.set, f) })
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
		again := newFlowSet(in, s.segments())
		if !modelOf(again).equal(m) {
			t.Fatalf("round %d: rebuilding changes the set", round)
		}
	}
}
