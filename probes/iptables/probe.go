package iptables

import (
	"net/netip"
	"slices"
)

// maxProbes bounds the connections that are proposed for a rehearsal.
const maxProbes = 64

// probes proposes connections: for every management prefix its first and last
// source, and the borders of what is treated alike.
func (a *analysis) probes(f finding) []Probe {
	b := prober{a: a, f: f, seen: map[Probe]bool{}}
	b.corners(f.blocked)
	b.corners(f.unsure)
	for _, g := range f.all {
		b.add(g.lo)
		b.add(g.hi)
	}
	return b.out
}

type prober struct {
	a    *analysis
	f    finding
	seen map[Probe]bool
	out  []Probe
}

// corners adds the first and last sources of segments and what lies next to
// them.
func (b *prober) corners(segs []segment) {
	for _, g := range segs {
		if len(b.out) > maxProbes/2 {
			return
		}
		for _, w := range []word128{g.lo, g.hi} {
			b.add(w)
		}
		if g.lo != (word128{}) {
			b.add(g.lo.prev())
		}
		if g.hi != b.a.q.Family.lastAddr() {
			b.add(g.hi.next())
		}
		for _, c := range g.f.cells {
			b.addPort(g.lo, c.ports)
		}
	}
}

// add proposes connections from a source, to each destination, with a port
// that clients use.
func (b *prober) add(src word128) {
	for i := range b.a.targets {
		b.propose(src, 0, uint16(i))
	}
}

// addPort proposes a source port of its own where a set leaves the usual ones
// out.
func (b *prober) addPort(src word128, ports *portSet) {
	if ports.contains(usualPort) {
		return
	}
	for i := range b.a.targets {
		b.propose(src, ports.ranges[0].lo, uint16(i))
	}
}

// usualPort stands for the ports that ordinary clients use.
const usualPort = 50000

func (b *prober) propose(src word128, sport uint16, target uint16) {
	fl := flow{src, sport, target}
	if sport == 0 {
		fl.sport = usualPort
		if !b.a.uniform(b.f, fl) {
			sport = usualPort
		}
	}
	if len(b.out) >= maxProbes || !b.a.has(b.f.all, fl) {
		return
	}
	e := b.a.targets[target]
	p := Probe{Src: src.addr(b.a.q.Family), SPort: sport, Dst: e.addr.addr(b.a.q.Family), DPort: e.port, Expect: Allowed}
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
func (a *analysis) uniform(f finding, fl flow) bool {
	all := newPortSet([]portRange{{32768, 60999}})
	for _, segs := range [][]segment{f.blocked, f.unsure} {
		for _, p := range a.portsOf(segs, fl) {
			if in := p.intersect(all); !in.empty() && !all.minus(in).empty() {
				return false
			}
		}
	}
	return true
}

// has reports whether a set of flows holds one.
func (a *analysis) has(segs []segment, f flow) bool {
	return slices.ContainsFunc(a.portsOf(segs, f), func(p *portSet) bool { return p.contains(f.sport) })
}

// portsOf are the source ports that a set holds of a source and destination.
func (a *analysis) portsOf(segs []segment, f flow) []*portSet {
	i, ok := slices.BinarySearchFunc(segs, f.src, func(g segment, w word128) int {
		switch {
		case g.hi.less(w):
			return -1
		case w.less(g.lo):
			return 1
		}
		return 0
	})
	if !ok {
		return nil
	}
	var out []*portSet
	for _, c := range segs[i].f.cells {
		if a.sp.classes[c.class].target == f.target {
			out = append(out, c.ports)
		}
	}
	return out
}

// listens are the addresses and ports of this machine that the question's
// flows may be translated to.
func (a *analysis) listens(finding) []netip.AddrPort {
	var out []netip.AddrPort
	for _, e := range a.ends[len(a.targets):] {
		if e.local != no && e.addrKnown && e.portKnown {
			out = append(out, netip.AddrPortFrom(e.addr.addr(a.q.Family), e.port))
		}
	}
	return out
}
