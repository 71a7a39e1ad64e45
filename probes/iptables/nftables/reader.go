package nftables

import (
	"slices"
	"strings"

	"lifeline/probes/iptables/lex"
	"lifeline/probes/iptables/netfilter"
)

// File is one native nftables file.
type File struct {
	Name string
	Text []byte
	// Withheld says that nothing of a statement that is not understood may be told.
	Withheld bool
}

// Ruleset is what is understood of native nftables files, loaded one after the
// other: their chains and the words of the rules.
type Ruleset struct {
	// name is that of the file being read.
	name    string
	chains  []*chain
	index   map[chainName]*chain // of chains
	Flushes bool
	work    int // chains and jumps gone through
	// unread says what was not understood; then anything may be dropped.
	unread string
}

// chainName is what a chain is found by.
type chainName struct{ family, table, name string }

// chain is a chain with its hook, if it has one.
type chain struct {
	family, table, name string
	hook, policy        string
	device              string
	file                string
	line                int
	rules               []rule
	// declared says that these files make the chain, and do not only add to it.
	declared bool
	// summary is of the rules, made when it is first asked for.
	summary *chainSummary
}

type rule struct {
	words []string
	line  int
}

// reader walks the tokens.
type reader struct {
	f    *Ruleset
	toks []lex.NFTToken
	i    int
}

// Parse reads files in the order in which they load: what one makes, the
// next may add to or take away.
func Parse(files ...File) *Ruleset {
	n := &Ruleset{}
	for _, f := range files {
		n.name = f.Name
		before := n.unread
		r := &reader{f: n, toks: lex.NFTTokens(string(f.Text))}
		for r.i < len(r.toks) {
			r.statement()
		}
		if f.Withheld && n.unread != before {
			n.unread = "a statement that is not understood, and is not shown here"
		}
	}
	return n
}

// words reads up to the end of a statement or an opening brace, which is
// consumed; a brace inside a rule is read over with its content.
func (r *reader) words(inRule bool) (w []string, line int, open bool) {
	for ; r.i < len(r.toks); r.i++ {
		t := r.toks[r.i]
		if line == 0 {
			line = t.Line
		}
		switch {
		case t.Text == ";":
			r.i++
			return w, line, false
		case t.Text == "}":
			return w, line, false
		case t.Text == "{" && !inRule:
			r.i++
			return w, line, true
		case t.Text == "{":
			w = append(w, r.braces()...)
		default:
			w = append(w, t.Text)
		}
	}
	return w, line, false
}

// braces reads a balanced group from its opening brace to its closing one.
func (r *reader) braces() (w []string) {
	depth := 0
	for ; r.i < len(r.toks); r.i++ {
		t := r.toks[r.i].Text
		switch t {
		case "{":
			depth++
		case "}":
			if depth--; depth == 0 {
				return append(w, t)
			}
		case ";":
			continue
		}
		w = append(w, t)
	}
	return w
}

// statement reads one statement outside of any table.
func (r *reader) statement() {
	w, _, open := r.words(false)
	if len(w) == 0 && !open {
		if r.i < len(r.toks) && r.toks[r.i].Text == "}" {
			r.i++
		}
		return
	}
	if len(w) > 0 && lex.OneOf(w[0], "add create insert") {
		w = w[1:]
	}
	what := ""
	if len(w) > 0 {
		what = w[0]
	}
	switch {
	case what == "table":
		r.tableStatement(w[1:], open)
	case what == "chain" && len(w) >= 3:
		r.chainStatement(w[1:], open)
	case what == "rule" && len(w) >= 4:
		r.rule(w[1:], open)
	case what == "flush" && len(w) >= 2 && w[1] == "ruleset":
		r.f.flushRuleset()
	default:
		r.f.otherStatement(what, w)
		r.skip(open)
	}
}

// tableStatement reads "table [family] name", with its body where it has one.
func (r *reader) tableStatement(w []string, open bool) {
	if fam, name := familyAndName(w); open {
		r.table(fam, name)
	}
}

// chainStatement reads "chain [family] table name", with its body where it has one.
func (r *reader) chainStatement(w []string, open bool) {
	c := r.f.chain(familyTableName(w))
	c.declared = true
	if open {
		r.chain(c)
	}
}

func (n *Ruleset) flushRuleset() {
	n.Flushes = true
	n.chains, n.index = nil, nil
}

// otherStatement takes what makes neither tables nor chains nor rules.
func (n *Ruleset) otherStatement(what string, w []string) {
	switch {
	case lex.OneOf(what, "delete destroy flush"):
		n.remove(w)
	case lex.OneOf(what, "define redefine undefine set map element counter quota limit flowtable"):
	default:
		n.unread = strings.Join(w, " ")
	}
}

// remove handles delete, destroy and flush of what the file made before.
func (n *Ruleset) remove(w []string) {
	if len(w) < 3 {
		return
	}
	fam, table, name := familyTableName(w[2:])
	if w[1] != "table" && isIPTablesTable(fam, table) && n.find(fam, table, name) == nil || w[0] == "flush" && isIPTablesTable(fam, table) {
		n.unread = strings.Join(w, " ") // it is the rules' own that goes
	}
	if n.work += len(n.chains); n.work > netfilter.MaxFileWork {
		n.unread = strings.Join(w, " ")
		return
	}
	for _, c := range n.chains {
		if c.family != fam || c.table != table || w[1] == "chain" && c.name != name {
			continue
		}
		switch {
		case w[1] == "table" && w[0] != "flush", w[1] == "chain" && w[0] != "flush":
			c.hook = ""
			c.rules = nil
		case w[1] == "table" || w[1] == "chain":
			c.rules = nil
		default:
			n.unread = strings.Join(w, " ")
		}
	}
}

// rule reads "rule [family] table chain ..." of the flat form.
func (r *reader) rule(w []string, open bool) {
	fam, table, name := familyTableName(w)
	skip := 2
	if isNFTFamily(w[0]) {
		skip = 3
	}
	words := slices.Clone(w[min(skip, len(w)):])
	if open { // a set in the rule
		r.i--
		rest, _, _ := r.words(true)
		words = append(words, rest...)
	}
	c := r.f.chain(fam, table, name)
	line := 0
	if r.i > 0 {
		line = r.toks[min(r.i, len(r.toks))-1].Line
	}
	c.rules = append(c.rules, rule{words, line})
}

// skip reads over a block whose opening brace is consumed.
func (r *reader) skip(open bool) {
	if open {
		r.i--
		r.braces()
		r.i++
	}
}

func isNFTFamily(s string) bool { return lex.OneOf(s, "ip ip6 inet arp bridge netdev") }

func familyAndName(w []string) (fam, name string) {
	if len(w) > 0 && isNFTFamily(w[0]) {
		fam, w = w[0], w[1:]
	} else {
		fam = "ip"
	}
	if len(w) > 0 {
		name = w[0]
	}
	return fam, name
}

func familyTableName(w []string) (fam, table, name string) {
	fam, table = familyAndName(w)
	if isNFTFamily(w[0]) {
		w = w[1:]
	}
	if len(w) > 1 {
		name = w[1]
	}
	return fam, table, name
}

// table reads the body of a table.
func (r *reader) table(fam, name string) {
	for r.i < len(r.toks) {
		if r.toks[r.i].Text == "}" {
			r.i++
			return
		}
		w, line, open := r.words(false)
		switch {
		case len(w) > 1 && w[0] == "flags":
			r.f.unread = strings.Join(w, " ")
		case len(w) == 2 && w[0] == "chain" && open:
			c := r.f.chain(fam, name, w[1])
			c.file, c.line, c.declared = r.f.name, line, true
			r.chain(c)
		default:
			r.skip(open)
		}
	}
	r.f.unread = "the file ends inside a table"
}

// chain reads the body of a chain.
func (r *reader) chain(c *chain) {
	for r.i < len(r.toks) {
		if r.toks[r.i].Text == "}" {
			r.i++
			return
		}
		w, line, _ := r.words(true)
		switch {
		case len(w) == 0:
		case w[0] == "type":
			c.base(w)
			if c.line == 0 {
				c.line = line
			}
		case w[0] == "policy" && len(w) > 1:
			c.policy = w[1]
		case w[0] == "comment":
		default:
			c.rules = append(c.rules, rule{w, line})
		}
	}
	r.f.unread = "the file ends inside a chain"
}

// base reads "type T hook H [device D] priority P".
func (c *chain) base(w []string) {
	for i := 0; i+1 < len(w); i++ {
		switch w[i] {
		case "hook":
			c.hook = w[i+1]
		case "device":
			c.device = strings.Trim(w[i+1], `"`)
		case "devices":
			c.device = "?"
		}
	}
}

func (n *Ruleset) chain(fam, table, name string) *chain {
	if c := n.find(fam, table, name); c != nil {
		return c
	}
	c := &chain{family: fam, table: table, name: name, file: n.name}
	n.chains = append(n.chains, c)
	if n.index == nil {
		n.index = map[chainName]*chain{}
	}
	n.index[chainName{fam, table, name}] = c
	return c
}

func (n *Ruleset) find(fam, table, name string) *chain {
	return n.index[chainName{fam, table, name}]
}
