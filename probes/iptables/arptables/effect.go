package arptables

import (
	"maps"
	"slices"
	"strings"

	"lifeline/probes/iptables/netfilter"
	"lifeline/probes/iptables/tri"
)

// Effect reads an arptables file: does it drop the ARP of the link?
func Effect(name string, text []byte, withheld bool, link string) (tri.Value, netfilter.TraceStep) {
	first := map[string]bool{}
	worst, where := tri.No, netfilter.TraceStep{}
	note := func(t tri.Value, i int, line, chain string) {
		if t == tri.Yes && worst != tri.Yes || t == tri.Maybe && worst == tri.No {
			worst = t
			if withheld && t == tri.Maybe {
				line = "a rule that is not understood, and is not shown here"
			}
			where = netfilter.TraceStep{File: name, Line: i + 1, Step: "ARP request", Hook: chain, Table: "filter", Chain: chain, Rule: line, Did: "drop"}
		}
	}
	type policy struct {
		i    int
		line string
	}
	policies := map[string]policy{}
	i := -1
	for raw := range strings.Lines(string(text)) {
		i++
		raw = strings.TrimSuffix(raw, "\n")
		w := strings.Fields(raw)
		if len(w) > 0 && strings.HasPrefix(w[0], "[") {
			w = w[1:]
		}
		switch {
		case len(w) >= 2 && strings.HasPrefix(w[0], ":") && w[1] == "DROP":
			policies[w[0][1:]] = policy{i, raw}
		case len(w) >= 3 && (w[0] == "-P" || w[0] == "--policy") && w[2] == "DROP":
			policies[w[1]] = policy{i, raw}
		case len(w) >= 2 && (w[0] == "-A" || w[0] == "--append" || w[0] == "-I"):
			note(ruleEffect(w, link, !first[w[1]]), i, raw, w[1])
			first[w[1]] = true
		}
	}
	for _, chain := range slices.Sorted(maps.Keys(policies)) {
		p, t := policies[chain], tri.Maybe
		if !first[chain] && chain != "FORWARD" {
			t = tri.Yes
		}
		note(t, p.i, p.line, chain)
	}
	return worst, where
}

// ruleEffect judges one rule: an unconditional drop that stands first drops all.
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
