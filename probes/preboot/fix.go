package preboot

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"lifeline/probes/iptables"
)

// maxFixes bounds the lines that are proposed, a pair of neighbour discovery's counted as
// one step: who needs more should look at the file himself. Each step costs an analysis, and
// what is proposed must not depend on how fast these are.
const maxFixes = 16

// fixes are what would let management in, as far as they were looked for.
type fixes struct {
	list []Fix
	// left is a packet that is dropped with all of them in place, where the search ended
	// at its bound.
	left *iptables.Packet
}

// warning says what was not looked for any more; empty where the search came to its end.
func (f fixes) warning() string {
	if f.left == nil {
		return ""
	}
	return fmt.Sprintf("not all fixes are listed: with these %d lines in place this is still dropped: %s", len(f.list), f.left)
}

// analyser is iptables.Analyse.
type analyser func(iptables.Question, iptables.Inputs) iptables.Result

// fixesFor proposes what would let management in. A port that is not sshd's by its
// configuration is not proposed: what was seen there need not come back after the boot,
// and is nothing to open a firewall for.
func (i *inquiry) fixesFor(q question, r iptables.Result) fixes {
	if r.Load != iptables.LoadOK {
		return fixes{list: i.loadFix(q)}
	}
	in := i.inputs(q.Family, iptables.LoadOK)
	others := missingFrom(i.configured, q.Ports)
	if len(others) == 0 || len(i.configured) == 0 {
		return proposeRules(iptables.Analyse, q.Question, in, r)
	}
	read := iptables.Read(q.Family, q.Backend, in)
	var out fixes
	if q.Ports = missingFrom(others, q.Ports); len(q.Ports) > 0 {
		if r := read.Answer(q.Question); r.Load == iptables.LoadOK {
			out = proposeRules(iptables.Analyse, q.Question, in, r)
		}
	}
	q.Ports = others
	if read.Answer(q.Question).Verdict != iptables.Blocked {
		return out
	}
	for n := range out.list {
		out.list[n].Tested = false
	}
	for _, p := range others {
		out.list = append(out.list, Fix{Text: fmt.Sprintf("nothing is proposed for port %d: ssh sessions use it, and sshd's configuration does not name it; where sshd is to listen there, put `Port %d` into sshd_config and ask again", p, p)})
	}
	return out
}

// proposeRules are lines, one for each counter-example in turn, until the analysis lets
// management in, there is nothing more to propose, or there are maxFixes of them.
func proposeRules(analyse analyser, q iptables.Question, in iptables.Inputs, r iptables.Result) (out fixes) {
	if f, ok := fixElsewhere(q, in, r); ok {
		return fixes{list: []Fix{f}}
	}
	added := map[string][]int{} // by file: lines of the original that got one in front
	proposed := map[[3]string]bool{}
	for r.Verdict == iptables.Blocked && r.Counterexample != nil {
		if len(out.list) >= maxFixes {
			out.left = r.Counterexample
			break
		}
		f, ok := proposeRule(q, in, r)
		key := [3]string{f.File, r.Trace[len(r.Trace)-1].Table, f.Rule}
		if !ok || proposed[key] {
			break // it did not help the first time
		}
		proposed[key] = true
		for _, f := range append([]Fix{f}, twin(f)...) {
			in.Rules, in.Other = withLine(in.Rules, f), withLine(in.Other, f)
			f = newFix(f.File, f.Line-countBefore(added[f.File], f.Line), f.Rule)
			added[f.File] = append(added[f.File], f.Line)
			out.list = append(out.list, f)
		}
		r = analyse(q, in)
	}
	for n := range out.list {
		out.list[n].Tested = r.Verdict == iptables.Allowed
		if !out.list[n].Tested {
			no := false
			out.list[n].Complete = &no
			out.list[n].Text += "  (not enough by itself)"
		}
	}
	return out
}

// loadFix says what keeps a file from loading: in the parser's words, which
// name the rule, else by the line that the tool named, which may be only the
// COMMIT.
func (i *inquiry) loadFix(q question) []Fix {
	in := i.inputs(q.Family, iptables.LoadOK)
	for n := range in.Rules {
		in.Rules[n].Told = iptables.Told{}
	}
	parser := iptables.Analyse(q.Question, in)
	for _, f := range i.files {
		if f.IsRules() && f.Concerns(q.Family) && f.refused != nil {
			return []Fix{{File: f.Path, Text: fixForRefused(f.refused) + ": " + f.refused.Error()}}
		}
		if !f.IsRules() || !f.Concerns(q.Family) || f.said.Load != iptables.LoadFails {
			continue
		}
		switch {
		case strings.Contains(f.said.Message, "COMMIT expected"):
			return []Fix{{File: f.Path, Rule: "COMMIT", Text: fmt.Sprintf("put a last line into %s: COMMIT", f.Path)}}
		case parser.Load == iptables.LoadFails && parser.LoadError != "":
			return []Fix{{File: f.Path, Text: "correct " + parser.LoadError}}
		case f.said.Line > 0:
			return []Fix{{File: f.Path, Text: fmt.Sprintf("correct or remove line %d of %s: %q", f.said.Line, f.Path, lineOf(f.Text, f.said.Line))}}
		}
	}
	return nil
}

func lineOf(text []byte, n int) string {
	from, to := lineAt(text, n)
	return strings.TrimSuffix(string(text[from:to]), "\n")
}

// lineAt is where the 1-based line n of a text begins and ends, its newline
// included; nothing where there is none.
func lineAt(text []byte, n int) (from, to int) {
	for line := range bytes.Lines(text) {
		if from, to = to, to+len(line); n == 1 {
			return from, to
		}
		n--
	}
	return 0, 0
}

// proposeRule proposes one rule for one counter-example: an accept in the built-in
// chain, in front of the first rule of it that the packet met. It goes into the
// files of the back end that drops the packet.
func proposeRule(q iptables.Question, in iptables.Inputs, r iptables.Result) (Fix, bool) {
	if len(r.Trace) == 0 {
		return Fix{}, false
	}
	if f, ok := fixTranslation(q, in, r); ok {
		return f, true
	}
	end := r.Trace[len(r.Trace)-1]
	files := in.Rules
	if holds(in.Other, end.File) {
		files = in.Other
	}
	if !holds(files, end.File) || end.Table == "nat" || end.Table == "" {
		return Fix{}, false // an accept there would not help
	}
	rule := acceptRule(q, *r.Counterexample, end.Hook)
	if rule == "" {
		return Fix{}, false
	}
	for _, s := range r.Trace {
		if !holds(files, s.File) || s.Hook != end.Hook || s.Table != end.Table || s.Chain != end.Hook || s.Line == 0 || strings.HasPrefix(s.Rule, "policy") {
			continue
		}
		if strings.HasPrefix(s.Rule, "-A") {
			return newFix(s.File, s.Line, rule), true
		}
		// That rule was put to a place of its own; ours goes before all.
		rule = strings.Replace(rule, "-A "+end.Hook, "-I "+end.Hook+" 1", 1)
		break
	}
	// Only the policy acted: any place in the table will do.
	for n := len(files) - 1; n >= 0; n-- {
		if line := commitLine(files[n].Text, end.Table); line > 0 {
			return newFix(files[n].Name, line, rule), true
		}
	}
	return Fix{}, false
}

func holds(files []iptables.File, name string) bool {
	return slices.ContainsFunc(files, func(f iptables.File) bool { return f.Name == name })
}

func newFix(file string, line int, rule string) Fix {
	return Fix{File: file, Line: line, Rule: rule, Text: fmt.Sprintf("put in front of line %d of %s: %s", line, file, rule)}
}

// twin is the other half of neighbour discovery: solicitations are of no use
// without advertisements.
func twin(m Fix) []Fix {
	const ask, answer = "--icmpv6-type 135 ", "--icmpv6-type 136 "
	switch {
	case strings.Contains(m.Rule, ask):
		return []Fix{newFix(m.File, m.Line, strings.Replace(m.Rule, ask, answer, 1))}
	case strings.Contains(m.Rule, answer):
		return []Fix{newFix(m.File, m.Line, strings.Replace(m.Rule, answer, ask, 1))}
	}
	return nil
}

// acceptRule is a rule that lets the packet and its like through at a hook.
func acceptRule(q iptables.Question, p iptables.Packet, hook string) string {
	inward := hook == "PREROUTING" || hook == "INPUT"
	var b strings.Builder
	fmt.Fprintf(&b, "-A %s", hook)
	link := p.Out
	if inward {
		link = p.In
	}
	if link != "" {
		fmt.Fprintf(&b, " %s %s", map[bool]string{true: "-i", false: "-o"}[inward], link)
	}
	switch p.Proto {
	case "tcp":
		remote, flag, port, portFlag := p.Dst, "-d", p.SPort, "--sport"
		if inward {
			remote, flag, port, portFlag = p.Src, "-s", p.DPort, "--dport"
		}
		fmt.Fprintf(&b, " %s %s -p tcp -m tcp %s %d -j ACCEPT", flag, networkOf(q.Mgmt, remote), portFlag, port)
	case "icmpv6", "ipv6-icmp":
		fmt.Fprintf(&b, " -p ipv6-icmp -m icmp6 --icmpv6-type %d -j ACCEPT", p.ICMPType)
	default:
		return ""
	}
	return b.String()
}

// networkOf is the management network that an address belongs to.
func networkOf(mgmt []netip.Prefix, a netip.Addr) netip.Prefix {
	for _, p := range mgmt {
		if p.Contains(a) {
			return p
		}
	}
	return netip.PrefixFrom(a, a.BitLen())
}

// commitLine is the 1-based line of the last COMMIT of a table, 0 if there is
// none.
func commitLine(text []byte, table string) int {
	found, n, in := 0, 0, false
	for line := range bytes.Lines(text) {
		n++
		switch line = bytes.TrimSuffix(line, []byte("\n")); {
		case bytes.HasPrefix(line, []byte("*")):
			in = string(bytes.TrimSpace(line[1:])) == table
		case in && string(line) == "COMMIT":
			found = n
		}
	}
	return found
}

// withLine puts a fix's rule into its file. The files are judged by the
// parser then: no tool has seen them.
func withLine(files []iptables.File, m Fix) []iptables.File {
	out := slices.Clone(files)
	for n := range out {
		if out[n].Name != m.File {
			continue
		}
		from, to := lineAt(out[n].Text, m.Line)
		if from == to {
			continue
		}
		out[n].Text, out[n].Told = slices.Insert(slices.Clone(out[n].Text), from, []byte(m.Rule+"\n")...), iptables.Told{}
	}
	return out
}

// countBefore counts the lines that were put in front of line n, which counts
// them already.
func countBefore(added []int, n int) int {
	c := 0
	for _, l := range slices.Sorted(slices.Values(added)) {
		if l+c < n {
			c++
		}
	}
	return c
}
