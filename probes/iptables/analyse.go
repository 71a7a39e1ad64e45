package iptables

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"lifeline/probes/iptables/flow"
	"lifeline/probes/iptables/lex"
	"lifeline/probes/iptables/rules"
)

// Analyse answers a question from the files that the boot loads. It never
// fails: what it cannot know becomes an assumption.
func Analyse(q Question, in Inputs) Result {
	r, odd := analyse(q, in, false)
	if odd == nil {
		return r
	}
	if other, _ := analyse(q, in, true); r.Verdict != other.Verdict || r.Scope != other.Scope {
		r.doubt(*odd)
	}
	return r
}

// analyse answers with the restore tool of 1.8.9, or with one that does what its
// manual says; odd names what makes the two differ, if anything.
func analyse(q Question, in Inputs, asDocumented bool) (r Result, odd *Assumption) {
	l := loadAll(q, in, asDocumented)
	a := flow.New(q.ofFamily(), l.sets, l.stack())
	f := a.Answer()
	r = Result{Load: l.load, LoadError: l.loadError, Verdict: f.Verdict, Scope: f.Scope, Counterexample: f.Counterexample, Trace: f.Trace,
		Assumptions: f.Assumptions, Probes: f.Probes, Listen: f.Listen}
	if !q.Family.Valid() || !q.Backend.Valid() {
		r = Result{Load: LoadUnknown, Verdict: Conditional,
			Assumptions: []Assumption{{Name: "question", Why: fmt.Sprintf("family %d or back end %q is not known", q.Family, q.Backend)}}}
	}
	if isTunnel(q.Iface) {
		r.assume(Assumption{Name: "tunnel", Why: "the link " + q.Iface + " is a tunnel: its outer packets are a question of their own"})
	}
	for _, x := range l.assumed {
		r.assume(x)
	}
	for _, x := range l.doubts {
		r.doubt(x)
	}
	l.beside(q, in, &r)
	r.Warnings = append(r.Warnings, l.warnings...)
	if q.Family.Valid() {
		r.Warnings = append(r.Warnings, a.Warnings()...)
	}
	return r, l.odd
}

// isTunnel goes by the names that tunnels usually have.
func isTunnel(link string) bool {
	name := strings.TrimRight(link, "0123456789")
	return name != link && lex.OneOf(name, "wg tun tap ppp gre gretap sit ipip vti ipsec xfrm l2tp")
}

// assume adds an assumption: an answer that was firmly Allowed no longer is.
func (r *Result) assume(x Assumption) {
	if r.Verdict == Blocked {
		return // blocked all the same
	}
	r.Verdict, r.Scope = Conditional, ScopeNone
	r.Assumptions = append(r.Assumptions, x)
}

// doubt adds an assumption that even what is blocked rests on.
func (r *Result) doubt(x Assumption) {
	r.Verdict, r.Scope = Conditional, ScopeNone
	r.Counterexample, r.Trace = nil, nil
	r.Assumptions = append(r.Assumptions, x)
}

// loading is what becomes of all files of a question.
type loading struct {
	sets      *rules.IPSets
	main      map[string]*rules.Table
	other     map[string]*rules.Table
	backend   Backend
	load      Load
	loadError string
	assumed   []Assumption
	doubts    []Assumption
	warnings  []string
	// asDocumented and odd are those of analyse.
	asDocumented bool
	odd          *Assumption
}

func (l *loading) stack() []flow.BackendTables {
	return []flow.BackendTables{{Backend: l.backend, Tables: l.main}, {Backend: l.backend.Other(), Tables: l.other}}
}

func loadAll(q Question, in Inputs, asDocumented bool) *loading {
	l := &loading{backend: q.Backend, load: LoadOK, asDocumented: asDocumented}
	if in.IPSets != nil {
		var err error
		l.sets, err = rules.ParseIPSets(in.IPSets.Name, in.IPSets.Text)
		if err != nil {
			l.assumed = append(l.assumed, Assumption{Name: "ipset", File: in.IPSets.Name, Why: in.IPSets.said(err)})
		}
	}
	l.main = l.files(q, q.Backend, in.Rules, in.Names)
	l.other = l.files(q, q.Backend.Other(), in.Other, in.Names)
	l.setsWritten()
	l.orderMatters()
	if len(in.Rules) == 0 {
		l.warnings = append(l.warnings, fmt.Sprintf("no IPv%d rules are loaded: nothing is protected", q.Family))
	}
	return l
}

// files loads the files of one back end, one after the other.
func (l *loading) files(q Question, b Backend, files []File, names Names) map[string]*rules.Table {
	tables := map[string]*rules.Table{}
	for _, f := range files {
		opts := rules.ParseOptions{Family: q.Family, Backend: b, NoFlush: f.NoFlush, Before: tables, Names: names, Sets: l.sets,
			AsDocumented: l.asDocumented}
		set, err := rules.Parse(f.Name, f.Text, opts)
		next := map[string]*rules.Table{}
		for n, t := range tables {
			next[n] = t
		}
		for n, t := range set.Tables(l.judge(f, set, err)) {
			next[n] = t
		}
		tables = next
	}
	return tables
}

// judge settles whether a file loads, and returns the line up to which its
// tables count (0: all). The real tool's word stands before the parser's,
// except where the parser knows that the tool ends early without an error.
func (l *loading) judge(f File, set *rules.Ruleset, err error) (upTo int) {
	parsed := set.Load
	if set.DoubtLine > 0 {
		l.doubts = append(l.doubts, Assumption{Name: "parser", File: f.Name, Line: set.DoubtLine,
			Why: "what this command leaves of the rules is not understood"})
	}
	if set.VersionLine > 0 {
		l.odd = &Assumption{Name: "parser", File: f.Name, Line: set.VersionLine,
			Why: "what this command leaves of the rules depends on the version of the restore tool"}
	}
	switch {
	case f.Told.Load == LoadFails:
		l.fails(f, f.Told.Error)
		if f.Told.Line == 0 && set.ToolError != nil {
			return set.ToolError.Line
		}
		if f.Told.Line == 0 {
			l.assumed = append(l.assumed, Assumption{Name: "load", File: f.Name, Why: "it is not known which tables were loaded before the error"})
			return 1
		}
		return f.Told.Line
	case f.Told.Load == LoadOK && parsed == LoadFails && !endsEarly(err) && err != error(set.ToolError):
		a := Assumption{Name: "parser", File: f.Name, Line: set.Err.Line, Rule: set.Err.Text,
			Why: "the restore tool loads this file, but it is not understood here: " + set.Err.Why}
		if f.Withheld {
			a.Rule, a.Why = "", f.said(set.Err)
		}
		l.doubts = append(l.doubts, a)
	case f.Told.Load == LoadOK && parsed == LoadFails && !endsEarly(err):
		// This tool does not err as that of 1.8.9 does.
	case f.Told.Load == LoadOK && parsed == LoadUnknown:
		// What could not be foretold has loaded, and the rules concerned are
		// unknown to the analysis already.
	case parsed == LoadFails && set.ToolError != nil:
		l.fails(f, f.said(set.ToolError))
		return set.ToolError.Line
	case parsed == LoadFails:
		l.fails(f, f.said(err))
	case f.Told.Load == LoadUnknown || parsed == LoadUnknown:
		why := set.Why
		if f.Withheld && why != "" {
			why = "not all of it is understood, and it is not shown here"
		}
		l.unknown(f, why)
	}
	return 0
}

// endsEarly: the tool stops with success in the middle of the file.
func endsEarly(err error) bool {
	var p *rules.ParseError
	return errors.As(err, &p) && strings.HasPrefix(p.Why, rules.ToolEnds)
}

func (l *loading) fails(f File, why string) {
	if l.load != LoadFails {
		l.loadError = why
	}
	l.load = LoadFails
	l.assumed = append(l.assumed, Assumption{Name: "load", File: f.Name,
		Why: "the file does not load as a whole: what was not committed before the error stays open (policy ACCEPT)"})
}

func (l *loading) unknown(f File, why string) {
	if l.load == LoadOK {
		l.load, l.loadError = LoadUnknown, why
	}
	if why == "" {
		why = "whether the file loads could not be found out"
	}
	l.assumed = append(l.assumed, Assumption{Name: "load", File: f.Name, Why: "whether the file loads depends on the machine: " + why})
}

// setsWritten takes the sets that rules add to or delete from for unknown: what
// they hold depends on the packets that came before.
func (l *loading) setsWritten() {
	for _, tables := range []map[string]*rules.Table{l.main, l.other} {
		for _, t := range tables {
			t.AnyRule(func(r *rules.Rule) bool {
				for _, c := range r.Matches {
					if u, ok := c.(rules.SetUse); ok && u.Writes {
						l.sets.MarkWritten(u.Name, 0)
					}
				}
				return false
			})
		}
	}
}

// orderMatters notes where both back ends have rules on the same table whose
// order is not known and may count: marks and translations.
func (l *loading) orderMatters() {
	for _, name := range slices.Sorted(maps.Keys(l.main)) {
		t, o := l.main[name], l.other[name]
		if o == nil {
			continue
		}
		if t.ChangesPackets() && o.LooksAtPackets() || o.ChangesPackets() && t.LooksAtPackets() {
			l.doubts = append(l.doubts, Assumption{Name: "order", Why: fmt.Sprintf(
				"both back ends have a %s table that changes packets, and which comes first is not known", name)})
		}
	}
}
