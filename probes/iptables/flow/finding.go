package flow

import (
	"fmt"
	"slices"

	"lifeline/probes/iptables/netfilter"
	"lifeline/probes/iptables/netset"
	"lifeline/probes/iptables/rules"
)

// discoverAndConnect takes flows through neighbour discovery and the whole flow, and
// returns those that may get through.
func (a *Analysis) discoverAndConnect(set []segment) []segment {
	return a.connect(neighbourSearch{a}.discovery(set))
}

// finding is the outcome of the analysis before it is put into words.
type finding struct {
	all     []segment // the question
	through []segment // flows that may get through
	blocked []segment // flows that certainly do not
	unsure  []segment // flows that may get through or not
}

// find runs the analysis: flow takes the question's flows through and returns
// those that may arrive.
func (a *Analysis) find(flow func([]segment) []segment) finding {
	start := a.start()
	through := flow(start)
	flows := func(c class) class { return c.flow() }
	f := finding{all: a.classes(start, flows), through: a.cells.merge(a.classes(through, flows))}
	if a.exhausted {
		f.unsure = f.all
		return f
	}
	rest := chunked(a.cells, f.all)
	for _, g := range f.through {
		rest.edit(netset.NewAddrSet([]netset.Span{g.Span}), func(h segment) *cellSet { return a.cells.minus(h.set, g.set) })
	}
	f.blocked = rest.segments()
	f.unsure = a.overlap(f.through, a.lost())
	return f
}

// lost lists all flows that are or may be dropped somewhere.
func (a *Analysis) lost() []segment {
	var out []segment
	for _, d := range a.drops {
		out = append(out, d.segment)
	}
	return a.cells.merge(a.classes(out, func(c class) class { return c.flow() }))
}

// overlap is what two sets share.
func (a *Analysis) overlap(x, y []segment) []segment {
	var out []segment
	for i, j := 0, 0; i < len(x) && j < len(y); {
		if lo, hi := netset.Max(x[i].Lo, y[j].Lo), netset.Min(x[i].Hi, y[j].Hi); !hi.Less(lo) {
			both := a.cells.minus(x[i].set, a.cells.minus(x[i].set, y[j].set))
			if both != nil {
				out = append(out, segment{netset.Span{Lo: lo, Hi: hi}, both})
			}
		}
		if x[i].Hi.Less(y[j].Hi) {
			i++
		} else {
			j++
		}
	}
	return out
}

// privileged is the first source port that ordinary clients use.
const privileged = 1024

// reporter puts what an analysis found into words.
type reporter struct{ *Analysis }

// onlyPrivileged reports whether all that is blocked are source ports below
// 1024, of sources whose other ports certainly get through: no ssh client of
// today uses those, but nothing forbids it.
func (a reporter) onlyPrivileged(f finding) bool {
	low := netset.NewPortSet([]netset.PortRange{{Lo: 0, Hi: privileged - 1}})
	for _, g := range f.blocked {
		for _, c := range g.set.cells {
			if !c.ports.Minus(low).Empty() {
				return false
			}
		}
	}
	return len(f.blocked) > 0 && len(f.through) > 0
}

// first picks the example flow of a set: the lowest source, and the highest of
// its ports, which clients are likeliest to use.
func (a reporter) first(segs []segment) connection {
	g := segs[0]
	c := g.set.cells[0]
	r := c.ports.Ranges[len(c.ports.Ranges)-1]
	return connection{src: g.Lo, sport: r.Hi, target: a.cells.classes[c.class].target}
}

// result puts a finding into words.
func (a reporter) result(f finding) Result {
	r := Result{}
	switch {
	case len(f.all) == 0:
		r.Verdict = Conditional
		r.Assumptions = []netfilter.Assumption{{Name: "question", Why: "no management source, address and port of this family is asked about"}}
	case a.exhausted:
		r.Verdict = Conditional
		r.Assumptions = []netfilter.Assumption{{Name: "budget", Why: "the rules split the packets into too many parts to follow them all"}}
	case len(f.blocked) > 0 && !a.onlyPrivileged(f):
		a.blocked(&r, f)
	case len(f.blocked) > 0:
		r.Verdict = Conditional
		r.Assumptions = append(a.assumptions(f.unsure), a.sourcePort(f))
	case len(f.unsure) > 0:
		r.Verdict = Conditional
		r.Assumptions = a.assumptions(f.unsure)
	default:
		r.Verdict = Allowed
	}
	r.Probes = a.probes(f)
	return r
}

func (a reporter) blocked(r *Result, f finding) {
	r.Verdict, r.Scope = Blocked, ScopePart
	if a.nobodyThrough(f) {
		r.Scope = ScopeAll
	}
	t := a.traceFlow(a.example(f))
	r.Trace = t.steps
	if t.by != nil {
		r.Counterexample = t.packet()
	}
}

// nobodyThrough reports whether no client gets through. One whose source port
// is the service's own does not count: rules that mix up the two ends let just
// that through, and no client uses it.
func (a reporter) nobodyThrough(f finding) bool {
	for _, g := range f.through {
		for _, c := range g.set.cells {
			own := a.targets[a.cells.classes[c.class].target].port
			if !c.ports.Minus(netset.NewPortSet([]netset.PortRange{{Lo: own, Hi: own}})).Empty() {
				return false
			}
		}
	}
	return true
}

// example picks a blocked flow, one that an ordinary client makes if there is
// one.
func (a reporter) example(f finding) connection {
	for _, g := range f.blocked {
		for _, c := range g.set.cells {
			for _, r := range slices.Backward(c.ports.Ranges) {
				if r.Hi >= privileged {
					return connection{g.Lo, min(r.Hi, max(r.Lo, 50000)), a.cells.classes[c.class].target}
				}
			}
		}
	}
	return a.first(f.blocked)
}

func (a reporter) sourcePort(f finding) netfilter.Assumption {
	s := netfilter.Assumption{Name: "source-port", Why: "clients whose source port is below 1024 are dropped"}
	if t := a.traceFlow(a.first(f.blocked)); t.by != nil {
		s.Why += fmt.Sprintf(" (%s)", t.by.describe())
		if t.by.rule != nil {
			s.File, s.Line, s.Rule = t.by.rule.File, t.by.rule.Line, t.by.rule.Text
		}
	}
	return s
}

// describe says what drops, in a few words.
func (c *dropCause) describe() string {
	switch {
	case c.why != "":
		return c.why
	case c.rule != nil:
		return c.rule.Text
	}
	return fmt.Sprintf("policy %s of %s %s", c.chain.Policy, c.stage.table, c.chain.Name)
}

// assumptions lists what the uncertain flows depend on: every rule that
// perhaps applies to one of them, and what the kernel perhaps does.
func (a reporter) assumptions(unsure []segment) []netfilter.Assumption {
	var out []netfilter.Assumption
	for _, r := range a.uncertainRules() {
		u := a.uncertain[r]
		if !touches(unsure, u.over) && a.q.Family == netfilter.IPv4 {
			continue
		}
		out = append(out, netfilter.Assumption{Name: u.reason, Rule: r.Text, File: r.File, Line: r.Line, Why: whyUnknown(u.reason)})
	}
	seen := map[string]bool{}
	for _, d := range a.drops {
		if d.by.assumed == "" || d.by.why == "" && !d.by.stage.step.neighbourDiscovery() && d.by.assumed != "tcp-flags" || seen[d.by.assumed] {
			continue // a rule that perhaps applies is listed already
		}
		seen[d.by.assumed] = true
		why := d.by.why
		if why == "" && d.by.assumed == "tcp-flags" {
			why = whyUnknown(d.by.assumed)
		} else if why == "" {
			why = "neighbour discovery passes with some neighbours only: " + d.by.describe()
		}
		out = append(out, netfilter.Assumption{Name: d.by.assumed, Why: why})
	}
	return out
}

func (a reporter) uncertainRules() []*rules.Rule {
	var rs []*rules.Rule
	for r := range a.uncertain {
		rs = append(rs, r)
	}
	slices.SortFunc(rs, func(x, y *rules.Rule) int {
		if x.File != y.File {
			if x.File < y.File {
				return -1
			}
			return 1
		}
		return x.Line - y.Line
	})
	return rs
}

func touches(segs []segment, x netset.Span) bool {
	i, _ := slices.BinarySearchFunc(segs, x.Lo, func(g segment, w netset.Addr) int {
		if g.Hi.Less(w) {
			return -1
		}
		return 1
	})
	return i < len(segs) && !x.Hi.Less(segs[i].Lo)
}
