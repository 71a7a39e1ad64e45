package flow

import (
	"slices"

	"lifeline/probes/iptables/netset"
)

// maxProbes bounds the connections that are proposed for a rehearsal.
const maxProbes = 64

// probes proposes connections: for every management prefix its first and last
// source, and the borders of what is treated alike.
func (a reporter) probes(f finding) []Probe {
	b := probePicker{a: a, f: f, seen: map[Probe]bool{}}
	b.corners(f.blocked)
	b.corners(f.unsure)
	for _, g := range f.all {
		b.add(g.Lo)
		b.add(g.Hi)
	}
	return b.out
}

type probePicker struct {
	a    reporter
	f    finding
	seen map[Probe]bool
	out  []Probe
}

// corners adds the first and last sources of segments and what lies next to
// them.
func (b *probePicker) corners(segs []segment) {
	for _, g := range segs {
		if len(b.out) > maxProbes/2 {
			return
		}
		for _, w := range []netset.Addr{g.Lo, g.Hi} {
			b.add(w)
		}
		if g.Lo != (netset.Addr{}) {
			b.add(g.Lo.Prev())
		}
		if g.Hi != netset.Last(b.a.q.Family) {
			b.add(g.Hi.Next())
		}
		for _, c := range g.set.cells {
			b.addPort(g.Lo, c.ports)
		}
	}
}

// add proposes connections from a source, to each destination, with a port
// that clients use.
func (b *probePicker) add(src netset.Addr) {
	for i := range b.a.targets {
		b.propose(src, 0, uint16(i))
	}
}

// addPort proposes a source port of its own where a set leaves the usual ones
// out.
func (b *probePicker) addPort(src netset.Addr, ports *netset.PortSet) {
	if ports.Contains(UsualPort) {
		return
	}
	for i := range b.a.targets {
		b.propose(src, ports.Ranges[0].Lo, uint16(i))
	}
}

// UsualPort stands for the ports that ordinary clients use.
const UsualPort = 50000

func (b *probePicker) propose(src netset.Addr, sport uint16, target uint16) {
	fl := connection{src, sport, target}
	if sport == 0 {
		fl.sport = UsualPort
		if !b.a.uniform(b.f, fl) {
			sport = UsualPort
		}
	}
	if len(b.out) >= maxProbes || !b.a.has(b.f.all, fl) {
		return
	}
	e := b.a.targets[target]
	p := Probe{Src: src.IP(b.a.q.Family), SPort: sport, Dst: e.addr.IP(b.a.q.Family), DPort: e.port, Expect: Allowed}
	switch {
	case b.a.exhausted || b.a.has(b.f.unsure, fl):
		p.Expect = Conditional
	case b.a.has(b.f.blocked, fl):
		p.Expect = Blocked
	}
	if !b.seen[p] {
		b.seen[p] = true
		b.out = append(b.out, p)
	}
}

// uniform reports whether a flow fares alike from all the ports that clients
// pick by themselves.
func (a reporter) uniform(f finding, fl connection) bool {
	all := netset.NewPortSet([]netset.PortRange{{Lo: 32768, Hi: 60999}})
	for _, segs := range [][]segment{f.blocked, f.unsure} {
		for _, p := range a.portsOf(segs, fl) {
			if in := p.Intersect(all); !in.Empty() && !all.Minus(in).Empty() {
				return false
			}
		}
	}
	return true
}

// has reports whether a set of flows holds one.
func (a reporter) has(segs []segment, f connection) bool {
	return slices.ContainsFunc(a.portsOf(segs, f), func(p *netset.PortSet) bool { return p.Contains(f.sport) })
}

// portsOf are the source ports that a set holds of a source and destination.
func (a reporter) portsOf(segs []segment, f connection) []*netset.PortSet {
	i, ok := slices.BinarySearchFunc(segs, f.src, func(g segment, w netset.Addr) int {
		switch {
		case g.Hi.Less(w):
			return -1
		case w.Less(g.Lo):
			return 1
		}
		return 0
	})
	if !ok {
		return nil
	}
	var out []*netset.PortSet
	for _, c := range segs[i].set.cells {
		if a.cells.classes[c.class].target == f.target {
			out = append(out, c.ports)
		}
	}
	return out
}
