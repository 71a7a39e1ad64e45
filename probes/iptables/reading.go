package iptables

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"lifeline/probes/iptables/flow"
	"lifeline/probes/iptables/rules"
)

// reading is what becomes of all rules files, read by one version of the restore tools.
type reading struct {
	family    Family
	sets      *rules.IPSets
	main      map[string]*rules.Table
	other     map[string]*rules.Table
	backend   Backend
	load      Load
	loadError string
	assumed   []Assumption
	doubts    []Assumption
	warnings  []string
	// asDocumented is read by a tool that does what its manual says, in place of that of
	// 1.8.9; versionDoubt names what makes the two differ, if anything.
	asDocumented bool
	versionDoubt *Assumption
}

// stack are the tables in the order in which they meet a packet.
func (l *reading) stack() []flow.BackendTables {
	return []flow.BackendTables{{Backend: l.backend, Tables: l.main}, {Backend: l.backend.Other(), Tables: l.other}}
}

// readFiles reads the ipset file and the rules files of both back ends.
func readFiles(f Family, b Backend, in Inputs, asDocumented bool) *reading {
	l := &reading{family: f, backend: b, load: LoadOK, asDocumented: asDocumented}
	if in.IPSets != nil {
		var err error
		l.sets, err = rules.ParseIPSets(in.IPSets.Name, in.IPSets.Text)
		if err != nil {
			l.assumed = append(l.assumed, Assumption{Name: "ipset", File: in.IPSets.Name, Why: in.IPSets.said(err)})
		}
	}
	l.main = l.tables(b, in.Rules, in.Names)
	l.other = l.tables(b.Other(), in.Other, in.Names)
	l.markWrittenSets()
	l.noteUnknownOrder()
	if len(in.Rules) == 0 {
		l.warnings = append(l.warnings, fmt.Sprintf("no IPv%d rules are loaded: nothing is protected", f))
	}
	return l
}

// tables loads the files of one back end, one after the other.
func (l *reading) tables(b Backend, files []File, names Names) map[string]*rules.Table {
	tables := map[string]*rules.Table{}
	for _, f := range files {
		opts := rules.ParseOptions{Family: l.family, Backend: b, NoFlush: f.NoFlush, Before: tables, Names: names, Sets: l.sets,
			AsDocumented: l.asDocumented}
		set, err := rules.Parse(f.Name, f.Text, opts)
		next := map[string]*rules.Table{}
		for n, t := range tables {
			next[n] = t
		}
		for n, t := range set.Tables(l.committedBefore(f, set, err)) {
			next[n] = t
		}
		tables = next
	}
	return tables
}

// committedBefore settles whether a file loads, and returns the line up to which its
// tables count (0: all). The real tool's word stands before the parser's,
// except where the parser knows that the tool ends early without an error.
func (l *reading) committedBefore(f File, set *rules.Ruleset, err error) (upTo int) {
	parsed := set.Load
	if set.DoubtLine > 0 {
		l.doubts = append(l.doubts, Assumption{Name: "parser", File: f.Name, Line: set.DoubtLine,
			Why: "what this command leaves of the rules is not understood"})
	}
	if set.VersionLine > 0 {
		l.versionDoubt = &Assumption{Name: "parser", File: f.Name, Line: set.VersionLine,
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

func (l *reading) fails(f File, why string) {
	if l.load != LoadFails {
		l.loadError = why
	}
	l.load = LoadFails
	l.assumed = append(l.assumed, Assumption{Name: "load", File: f.Name,
		Why: "the file does not load as a whole: what was not committed before the error stays open (policy ACCEPT)"})
}

func (l *reading) unknown(f File, why string) {
	if l.load == LoadOK {
		l.load, l.loadError = LoadUnknown, why
	}
	if why == "" {
		why = "whether the file loads could not be found out"
	}
	l.assumed = append(l.assumed, Assumption{Name: "load", File: f.Name, Why: "whether the file loads depends on the machine: " + why})
}

// markWrittenSets takes the sets that rules add to or delete from for unknown: what
// they hold depends on the packets that came before.
func (l *reading) markWrittenSets() {
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

// noteUnknownOrder notes where both back ends have rules on the same table whose
// order is not known and may count: marks and translations.
func (l *reading) noteUnknownOrder() {
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
