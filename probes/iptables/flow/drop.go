package flow

import "lifeline/probes/iptables/tri"

// dropWhere drops the classes that the kernel drops by itself, and notes those
// that it perhaps drops under the name of an assumption.
func (a *Analysis) dropWhere(set []segment, st stage, name, why string, gone func(class) tri.Value) []segment {
	set = a.dropClasses(set, &dropCause{stage: st, why: why}, func(c class) tri.Value { return tri.Of(gone(c) == tri.Yes) })
	return a.perhapsDropWhere(set, st, name, why, func(c class) tri.Value {
		if gone(c) == tri.Maybe {
			return tri.Maybe
		}
		return tri.No
	})
}

// perhapsDropWhere notes the classes that perhaps get no further.
func (a *Analysis) perhapsDropWhere(set []segment, st stage, name, why string, gone func(class) tri.Value) []segment {
	return a.dropClasses(set, &dropCause{stage: st, why: why, assumed: name}, gone)
}

func (a *Analysis) dropClasses(set []segment, by *dropCause, gone func(class) tri.Value) []segment {
	memo := map[*cellSet]partition{}
	last, any := (*cellSet)(nil), false
	for _, g := range set {
		if g.set == last {
			continue
		}
		last = g.set
		if _, ok := memo[g.set]; !ok {
			p := a.partition(g.set, gone)
			memo[g.set] = p
			any = any || p.lost != nil
		}
	}
	if !any {
		return set
	}
	var out []segment
	for _, g := range set {
		p := memo[g.set]
		if p.lost != nil {
			a.drops = append(a.drops, dropped{segment{g.Span, p.lost}, by})
			a.tracer.noteKernel(by)
		}
		if p.kept != nil {
			out = append(out, segment{g.Span, p.kept})
		}
	}
	return glue(out)
}

// partition is a cell set in two: what is, or may be, lost and what may go on.
type partition struct{ lost, kept *cellSet }

func (a *Analysis) partition(f *cellSet, gone func(class) tri.Value) partition {
	var lost, kept []cell
	for _, c := range f.cells {
		t := gone(a.cells.classes[c.class])
		if t != tri.No {
			lost = append(lost, c)
		}
		if t != tri.Yes {
			kept = append(kept, c)
		}
	}
	if len(lost) == 0 {
		return partition{nil, f}
	}
	return partition{a.cells.cellSet(lost), a.cells.cellSet(kept)}
}
