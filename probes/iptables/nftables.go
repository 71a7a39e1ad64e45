package iptables

import (
	"net/netip"
	"slices"
	"strings"
)

func mustPrefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }

// nftFile is what is understood of native nftables files, loaded one after the
// other: their chains and the words of the rules.
type nftFile struct {
	// name is that of the file being read.
	name    string
	chains  []*nftChain
	index   map[nftName]*nftChain // of chains
	flushes bool
	work    int // chains and jumps gone through
	// unread says what was not understood; then anything may be dropped.
	unread string
	where  TraceStep
}

// nftName is what a chain is found by.
type nftName struct{ family, table, name string }

// nftChain is a chain with its hook, if it has one.
type nftChain struct {
	family, table, name string
	hook, policy        string
	device              string
	file                string
	line                int
	rules               []nftRule
	// declared says that these files make the chain, and do not only add to it.
	declared bool
	// sum is of the rules, made when it is first asked for.
	sum *nftSum
}

type nftRule struct {
	words []string
	line  int
}

// nftToken is a word, a brace or the end of a statement (";").
type nftToken struct {
	text string
	line int
}

// nftReader walks the tokens.
type nftReader struct {
	f    *nftFile
	toks []nftToken
	i    int
}

// parseNFT reads files in the order in which they load: what one makes, the
// next may add to or take away.
func parseNFT(files ...File) *nftFile {
	n := &nftFile{}
	for _, f := range files {
		n.name = f.Name
		before := n.unread
		r := &nftReader{f: n, toks: nftTokens(string(f.Text))}
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
func (r *nftReader) words(inRule bool) (w []string, line int, open bool) {
	for ; r.i < len(r.toks); r.i++ {
		t := r.toks[r.i]
		if line == 0 {
			line = t.line
		}
		switch {
		case t.text == ";":
			r.i++
			return w, line, false
		case t.text == "}":
			return w, line, false
		case t.text == "{" && !inRule:
			r.i++
			return w, line, true
		case t.text == "{":
			w = append(w, r.braces()...)
		default:
			w = append(w, t.text)
		}
	}
	return w, line, false
}

// braces reads a balanced group from its opening brace to its closing one.
func (r *nftReader) braces() (w []string) {
	depth := 0
	for ; r.i < len(r.toks); r.i++ {
		t := r.toks[r.i].text
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

func (r *nftReader) statement() {
	w, _, open := r.words(false)
	if len(w) == 0 && !open {
		if r.i < len(r.toks) && r.toks[r.i].text == "}" {
			r.i++
		}
		return
	}
	if len(w) > 0 && (w[0] == "add" || w[0] == "create" || w[0] == "insert") {
		w = w[1:]
	}
	switch {
	case len(w) > 0 && w[0] == "table":
		fam, name := familyAndName(w[1:])
		if open {
			r.table(fam, name)
		}
	case len(w) > 0 && w[0] == "chain" && len(w) >= 3:
		fam, table, name := familyTableName(w[1:])
		c := r.f.chain(fam, table, name)
		c.declared = true
		if open {
			r.chain(c)
		}
	case len(w) > 0 && w[0] == "rule" && len(w) >= 4:
		r.rule(w[1:], open)
	case len(w) >= 2 && w[0] == "flush" && w[1] == "ruleset":
		r.f.flushes = true
		r.f.chains, r.f.index = nil, nil
	case len(w) > 0 && isOneOf(w[0], "delete destroy flush"):
		r.f.takeAway(w)
		r.skip(open)
	case len(w) > 0 && isOneOf(w[0], "define redefine undefine set map element counter quota limit flowtable"):
		r.skip(open)
	default:
		r.f.unread = strings.Join(w, " ")
		r.skip(open)
	}
}

// takeAway handles delete, destroy and flush of what the file made before.
func (n *nftFile) takeAway(w []string) {
	if len(w) < 3 {
		return
	}
	fam, table, name := familyTableName(w[2:])
	if w[1] != "table" && isIPTablesTable(fam, table) && n.find(fam, table, name) == nil || w[0] == "flush" && isIPTablesTable(fam, table) {
		n.unread = strings.Join(w, " ") // it is the rules' own that goes
	}
	if n.work += len(n.chains); n.work > maxWork {
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
func (r *nftReader) rule(w []string, open bool) {
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
		line = r.toks[min(r.i, len(r.toks))-1].line
	}
	c.rules = append(c.rules, nftRule{words, line})
}

// skip reads over a block whose opening brace is consumed.
func (r *nftReader) skip(open bool) {
	if open {
		r.i--
		r.braces()
		r.i++
	}
}

func isNFTFamily(s string) bool { return isOneOf(s, "ip ip6 inet arp bridge netdev") }

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
func (r *nftReader) table(fam, name string) {
	for r.i < len(r.toks) {
		if r.toks[r.i].text == "}" {
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
func (r *nftReader) chain(c *nftChain) {
	for r.i < len(r.toks) {
		if r.toks[r.i].text == "}" {
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
			c.rules = append(c.rules, nftRule{w, line})
		}
	}
	r.f.unread = "the file ends inside a chain"
}

// base reads "type T hook H [device D] priority P".
func (c *nftChain) base(w []string) {
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

func (n *nftFile) chain(fam, table, name string) *nftChain {
	if c := n.find(fam, table, name); c != nil {
		return c
	}
	c := &nftChain{family: fam, table: table, name: name, file: n.name}
	n.chains = append(n.chains, c)
	if n.index == nil {
		n.index = map[nftName]*nftChain{}
	}
	n.index[nftName{fam, table, name}] = c
	return c
}

func (n *nftFile) find(fam, table, name string) *nftChain {
	return n.index[nftName{fam, table, name}]
}
