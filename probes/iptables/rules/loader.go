package rules

import (
	"errors"
	"fmt"
	"strings"

	"lifeline/probes/iptables/lex"
	"lifeline/probes/iptables/netfilter"
)

// ParseOptions say how a file is loaded.
type ParseOptions struct {
	Family  netfilter.Family
	Backend netfilter.Backend
	// NoFlush loads on top of Before.
	NoFlush bool
	// Before is what the same back end holds already; its policies count
	// with legacy even without NoFlush.
	Before map[string]*Table
	// Names are the machine's name tables.
	Names Names
	// Sets are the ipsets that exist when the file is loaded.
	Sets *IPSets
	// AsDocumented reads the commands in which iptables-nft-restore 1.8.9
	// errs as its manual describes them.
	AsDocumented bool
}

// builtinChains lists the chains with a hook, by table.
func builtinChains(table string) []string {
	switch table {
	case "filter", "security":
		return []string{"INPUT", "FORWARD", "OUTPUT"}
	case "nat":
		return []string{"PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"}
	case "mangle":
		return []string{"PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"}
	case "raw":
		return []string{"PREROUTING", "OUTPUT"}
	}
	return nil
}

// Parse reads a rules file as the restore tool of the given back end would.
// The ruleset is never nil: on an error it holds the tables that were
// committed before. The error is a *ParseError.
func Parse(name string, text []byte, opts ParseOptions) (*Ruleset, error) {
	l := &loader{
		opts: opts, set: &Ruleset{File: name, Load: LoadOK}, tables: map[string]*Table{},
		rule: ruleParser{fileContext: fileContext{file: name, family: opts.Family, backend: opts.Backend, names: opts.Names,
			catalog: newCatalog(opts.Family), announced: map[string]bool{}}},
	}
	for n, t := range opts.Before {
		l.tables[n] = t
	}
	err := l.run(string(text))
	switch {
	case err != nil:
		l.set.Load = LoadFails
		l.set.Why = err.Error()
		errors.As(err, &l.set.Err)
	case l.set.ToolError != nil:
		err = l.set.ToolError
		l.set.Load, l.set.Why, l.set.Err = LoadFails, err.Error(), l.set.ToolError
	case len(l.uncertain) > 0:
		l.set.Load = LoadUnknown
		l.set.Why = l.uncertain[0]
	}
	return l.set, err
}

// Tables returns the tables that are loaded once the commits on lines before
// the given one are done; line 0 means all of them.
func (s *Ruleset) Tables(line int) map[string]*Table {
	m := map[string]*Table{}
	for _, c := range s.commits {
		if line == 0 || c.line < line {
			m[c.table.Name] = c.table
		}
	}
	return m
}

// ToolEnds begins the reason where the tool stops without an error.
const ToolEnds = "the tool prints and ends here"

// loader applies the lines of a file to tables.
type loader struct {
	opts      ParseOptions
	set       *Ruleset
	tables    map[string]*Table // committed
	cur       *Table            // open between * and COMMIT
	jumps     []pendingJump
	rule      ruleParser
	words     []lex.Word
	uncertain []string
	line      int
	text      string
	// refused are rules of the open table that the kernel will not take.
	refused []refusedRule
	// kept says that -F of the open table kept rules.
	kept bool
	// work counts the rules and chains that commands went through.
	work int
}

// charge notes that a command goes through n rules or chains. An error means that
// the file is too much to follow; what it leaves is not known then.
func (l *loader) charge(n int) error {
	if l.work += n; l.work <= netfilter.MaxFileWork {
		return nil
	}
	l.set.DoubtLine = l.line
	return l.fail(fmt.Sprintf("the commands up to here go through the rules of this file more than %d times: write it as iptables-save does", netfilter.MaxFileWork))
}

// refusedRule is a rule that the tool reads and the kernel refuses.
type refusedRule struct {
	chain *Chain
	err   error
}

// pendingJump is a rule whose -j or -g names a chain.
type pendingJump struct {
	rule *Rule
	text string
	line int
}

func (l *loader) fail(why string) error {
	return &ParseError{File: l.set.File, Line: l.line, Text: strings.TrimRight(l.text, "\n"), Why: why}
}

func (l *loader) failAt(line int, text, why string) error {
	return &ParseError{File: l.set.File, Line: line, Text: strings.TrimRight(text, "\n"), Why: why}
}

func (l *loader) run(text string) error {
	r := lex.LineReader{Rest: text}
	for {
		s, ok := r.Next()
		if !ok {
			break
		}
		l.line, l.text = r.Line, s
		stop, err := l.oneLine(s)
		if err != nil || stop {
			return err
		}
	}
	if l.cur != nil {
		l.line, l.text = r.Line+1, ""
		return l.fail("COMMIT expected")
	}
	return nil
}

func (l *loader) oneLine(s string) (stop bool, err error) {
	switch {
	case s == "\n" || s != "" && s[0] == '#':
		return false, nil
	case s == "":
		// A line that begins with a NUL looks empty, but not to the tool.
		return false, l.fail("no command specified")
	case l.cur != nil && (s == "COMMIT\n" || l.opts.Backend == netfilter.NFT && s == "COMMIT"):
		return false, l.commit()
	case s[0] == '*' && l.cur == nil:
		return false, l.begin(s)
	case s[0] == ':' && l.cur != nil:
		return false, l.declare(s)
	case l.cur != nil:
		return l.command(s)
	}
	return false, l.fail("not in a table")
}

// begin opens a table: flushed, unless --noflush.
func (l *loader) begin(s string) error {
	f := lex.Fields(s[1:])
	if len(f) == 0 {
		return l.fail("table name invalid")
	}
	if builtinChains(f[0]) == nil {
		return l.fail(fmt.Sprintf("table name '%s' invalid", f[0]))
	}
	l.cur = &Table{Name: f[0], byName: map[string]*Chain{}}
	l.jumps, l.refused, l.kept = l.jumps[:0], nil, false
	old := l.tables[f[0]]
	for _, c := range builtinChains(f[0]) {
		n := l.add(c)
		n.Builtin, n.Policy = true, "ACCEPT"
		if o := old.Chain(c); o != nil && (l.opts.Backend == netfilter.Legacy || l.opts.NoFlush) {
			n.Policy, n.PolicyLine, n.PolicyFile = o.Policy, o.PolicyLine, o.PolicyFile
		}
	}
	if l.opts.NoFlush && old != nil {
		l.copyFrom(old)
	}
	return nil
}

// copyFrom takes over the chains of an earlier load; their jumps are resolved
// anew, for a chain may go.
func (l *loader) copyFrom(old *Table) {
	for _, o := range old.Chains {
		c := l.cur.byName[o.Name]
		if c == nil {
			c = l.add(o.Name)
		}
		for _, r := range o.Rules {
			n := *r
			n.Target.Chain = nil
			c.Rules = append(c.Rules, &n)
			if n.Target.Kind == TargetJump || n.Target.Kind == TargetGoto {
				l.jumps = append(l.jumps, pendingJump{&n, n.Text, 0})
			}
		}
	}
}

func (l *loader) add(name string) *Chain {
	c := &Chain{Name: name, id: len(l.cur.Chains)}
	l.cur.Chains = append(l.cur.Chains, c)
	l.cur.byName[name] = c
	return c
}

// declare handles ":chain policy [counters]".
func (l *loader) declare(s string) error {
	f := lex.Fields(s[1:])
	if len(f) == 0 {
		return l.fail("chain name invalid")
	}
	name := f[0]
	if len(name) >= maxName {
		return l.fail(fmt.Sprintf("invalid chain name `%s' (%d chars max)", name, maxName-1))
	}
	l.rule.announced[name] = true
	if err := l.badDeclared(name); err != nil {
		return l.fail(err.Error())
	}
	if len(f) < 2 {
		return l.fail("policy invalid")
	}
	c := l.cur.byName[name]
	if c != nil && c.Builtin {
		return l.setPolicy(c, f[1])
	}
	if err := l.declareUser(name, c); err != nil {
		return err
	}
	if f[1] != "-" && l.opts.Backend == netfilter.Legacy {
		return l.fail(fmt.Sprintf("can't set policy `%s' on `%s': bad built-in chain name", f[1], name))
	}
	return nil
}

// badDeclared says why a declared chain cannot have that name. Once declared,
// a name is a chain's even if a target is called so.
func (l *loader) badDeclared(name string) error {
	if lex.OneOf(name, "ACCEPT DROP QUEUE RETURN") {
		return errors.New("chain name may not clash with target name")
	}
	if l.opts.Backend == netfilter.NFT && (name[0] == '-' || name[0] == '!') {
		return fmt.Errorf("chain name not allowed to start with `%c'", name[0])
	}
	return nil
}

// declareUser creates a chain, or empties the one that is there.
func (l *loader) declareUser(name string, c *Chain) error {
	if c == nil {
		l.add(name)
		return nil
	}
	if l.opts.Backend == netfilter.Legacy && !l.opts.NoFlush {
		return l.fail(fmt.Sprintf("error creating chain '%s': File exists", name))
	}
	return l.flush(c)
}

func (l *loader) setPolicy(c *Chain, policy string) error {
	switch policy {
	case "ACCEPT", "DROP":
		c.Policy, c.PolicyLine, c.PolicyFile = policy, l.line, l.set.File
		return nil
	case "-":
		return nil
	}
	return l.fail("bad policy name")
}

// command runs one line of rule arguments.
func (l *loader) command(s string) (stop bool, err error) {
	rest, err := lex.CutCounters(s)
	if err != nil {
		return false, l.fail(err.Error())
	}
	if l.words, err = lex.SplitWords(l.words[:0], rest, 1+len(s)-len(rest)); err != nil {
		return false, l.fail(err.Error())
	}
	p := &l.rule
	p.lineNo, p.line, p.table = l.line, s, l.cur.Name
	if err := p.parse(l.words); err != nil {
		return false, err
	}
	if p.modprobe {
		l.set.Modprobe = append(l.set.Modprobe, l.line)
	}
	if p.stops {
		return true, l.fail(ToolEnds + ": nothing of this table or of later ones is loaded")
	}
	if !p.skip {
		err = l.apply(p)
	}
	if len(p.uncertain) > 0 {
		l.uncertain = append(l.uncertain, fmt.Sprintf("%s:%d: %s", l.set.File, l.line, p.uncertain[0]))
	}
	return false, err
}

// commit resolves the jumps, checks what the kernel checks and keeps the
// table.
func (l *loader) commit() error {
	if len(l.refused) > 0 {
		return l.refused[0].err
	}
	if err := l.resolve(); err != nil {
		return err
	}
	if err := l.verify(); err != nil {
		return err
	}
	l.tables[l.cur.Name] = l.cur
	l.set.commits = append(l.set.commits, commit{l.line, l.cur})
	l.cur = nil
	return nil
}
