package arptables

import (
	"maps"
	"slices"
	"strings"

	"lifeline/probes/iptables/lex"
	"lifeline/probes/iptables/netfilter"
	"lifeline/probes/iptables/tri"
)

// File is what is understood of a file of arptables-save.
type File struct {
	name     string
	withheld bool // nothing of a line that is not understood may be told
	rules    []line
	drops    map[string]line // policies DROP, by chain
}

// line is a line of the file and its words.
type line struct {
	number int // 1-based
	text   string
	words  []string
}

// Parse reads a file. Of one that is withheld, Effect tells no line that is not
// understood.
func Parse(name string, text []byte, withheld bool) *File {
	f := &File{name: name, withheld: withheld, drops: map[string]line{}}
	number := 0
	for raw := range strings.Lines(string(text)) {
		number++
		l := line{number, strings.TrimSuffix(raw, "\n"), strings.Fields(raw)}
		if len(l.words) > 0 && strings.HasPrefix(l.words[0], "[") {
			l.words = l.words[1:]
		}
		switch w := l.words; {
		case len(w) >= 2 && strings.HasPrefix(w[0], ":") && w[1] == "DROP":
			f.drops[w[0][1:]] = l
		case len(w) >= 3 && lex.OneOf(w[0], "-P --policy") && w[2] == "DROP":
			f.drops[w[1]] = l
		case len(w) >= 2 && lex.OneOf(w[0], "-A --append -I"):
			f.rules = append(f.rules, l)
		}
	}
	return f
}

// Effect says whether the file drops all address resolution of a link, perhaps some, or
// certainly none, and where.
func (f *File) Effect(link string) (worst tri.Value, where netfilter.TraceStep) {
	note := func(t tri.Value, l line, chain string) {
		if t == tri.Yes && worst != tri.Yes || t == tri.Maybe && worst == tri.No {
			worst, where = t, f.step(l, chain, t)
		}
	}
	used := map[string]bool{}
	for _, l := range f.rules {
		chain := l.words[1]
		note(ruleEffect(l.words, link, !used[chain]), l, chain)
		used[chain] = true
	}
	for _, chain := range slices.Sorted(maps.Keys(f.drops)) {
		t := tri.Maybe
		if !used[chain] && chain != "FORWARD" {
			t = tri.Yes
		}
		note(t, f.drops[chain], chain)
	}
	return worst, where
}

// step tells of a line that drops.
func (f *File) step(l line, chain string, t tri.Value) netfilter.TraceStep {
	text := l.text
	if f.withheld && t == tri.Maybe {
		text = "a rule that is not understood, and is not shown here"
	}
	return netfilter.TraceStep{File: f.name, Line: l.number, Step: "ARP request", Hook: chain, Table: "filter", Chain: chain, Rule: text, Did: "drop"}
}

// ruleEffect says what one rule drops: an unconditional drop that stands first drops all.
func ruleEffect(w []string, link string, isFirst bool) tri.Value {
	if w[1] == "FORWARD" {
		return tri.No
	}
	plain, drops, passes := true, false, false
	for i := 2; i < len(w); i++ {
		switch {
		case w[i] == "-j" && i+1 < len(w):
			i++
			drops = w[i] == "DROP"
			passes = w[i] == "ACCEPT" || w[i] == "CONTINUE"
		case (w[i] == "-i" || w[i] == "-o") && i+1 < len(w):
			i++
			plain = plain && w[i] == link
		default:
			plain = false
		}
	}
	switch {
	case passes:
		return tri.No
	case plain && drops && isFirst && (w[1] == "INPUT" || w[1] == "OUTPUT"):
		return tri.Yes
	}
	return tri.Maybe
}
