package iptables

import (
	"fmt"
	"slices"
	"strings"
)

// maxName is the length that chain, match and target names stay below
// (XT_EXTENSION_MAXNAMELEN).
const maxName = 29

// ruleParser reads one line of rule arguments; it is reused for every line.
type ruleParser struct {
	file    string
	lineNo  int
	line    string
	family  Family
	backend Backend
	table   string
	names   Names
	catalog *catalog
	// announced are the chains declared so far: their names are no targets.
	announced map[string]bool

	words  []word
	i      int
	negate bool
	skip   bool // a line of the other family

	exts      []*loaded // in the order in which they were loaded
	target    *loaded   // the one of -j, if an extension
	protoUsed bool
	open      *loaded // an unknown extension that may still take words

	cmd       byte // A C D I R L S F Z N X E P, 0 none; 'd' deletes by number
	chain     string
	num       int
	newName   string
	policy    string
	flags     letters // base options seen
	inverted  letters
	proto     string
	protoNum  uint8
	src, dst  word
	in, out   string
	jump      string
	isGoto    bool
	stops     bool // -V or -h: the tool ends here
	modprobe  bool
	uncertain []string // why loading cannot be foretold
}

func (p *ruleParser) reset(words []word) {
	*p = ruleParser{
		file: p.file, lineNo: p.lineNo, line: p.line, family: p.family, backend: p.backend, table: p.table,
		names: p.names, catalog: p.catalog, announced: p.announced, words: words, exts: p.exts[:0],
	}
}

func (p *ruleParser) errAt(w word, why string) error {
	return &ParseError{File: p.file, Line: p.lineNo, Column: w.col, Text: strings.TrimRight(p.line, "\n"), Why: why}
}

// parse reads the words; what it finds is in the fields.
func (p *ruleParser) parse(words []word) error {
	p.reset(words)
	if err := p.scan(); err != nil || p.skip || p.stops {
		return err
	}
	end := word{col: len(strings.TrimRight(p.line, "\n")) + 1}
	if p.table == "nat" && (p.policy == "DROP" || p.jump == "DROP") {
		return p.errAt(end, "the nat table does not filter: DROP is refused there")
	}
	for _, l := range p.exts {
		if why := l.finish(); why != "" {
			return p.errAt(end, why)
		}
	}
	if p.cmd == 0 {
		return p.errAt(end, "no command specified")
	}
	return p.checkCombination(end)
}

// setCommand notes -A and its kind; a rule has one command.
func (p *ruleParser) setCommand(c byte, w word) error {
	if p.negate {
		return p.errAt(w, "unexpected '!' flag")
	}
	if p.cmd != 0 && !(c == 'Z' && (p.cmd == 'L' || p.cmd == 'S')) && !(p.cmd == 'Z' && (c == 'L' || c == 'S')) {
		return p.errAt(w, fmt.Sprintf("cannot use -%c with -%c", c, p.cmd))
	}
	if p.cmd != 'L' && p.cmd != 'S' {
		p.cmd = c
	}
	return nil
}

// base handles an option of the tool itself.
func (p *ruleParser) base(c byte, arg string, has bool, w word) error {
	p.open = nil
	switch c {
	case 'A', 'C', 'D', 'I', 'R', 'N', 'E', 'P', 'L', 'S', 'F', 'Z', 'X':
		return p.commandOption(c, arg, has, w)
	case 'm':
		return p.loadMatch(arg, w)
	case 'j', 'g':
		return p.jumpOption(c, arg, w)
	case 't':
		return p.errAt(w, "the -t option cannot be used in a rules file")
	case 'w', 'W':
		return p.errAt(w, fmt.Sprintf("you cannot use -%c in a rules file", c))
	case 'V', 'h':
		p.stops, p.skip = true, true
		return nil
	case 'M':
		p.modprobe = true
		return nil
	case '4', '6':
		p.skip = (c == '4') != (p.family == IPv4)
		return nil
	}
	return p.flagOption(c, arg, w)
}

// commandOption takes the arguments of a command.
func (p *ruleParser) commandOption(c byte, arg string, has bool, w word) error {
	if c == 'N' {
		if why := p.badChainName(arg); why != "" {
			return p.errAt(w, why)
		}
	}
	if err := p.setCommand(c, w); err != nil {
		return err
	}
	if has {
		p.chain = arg
	} else if p.hasArg() {
		p.chain = p.take()
	}
	switch c {
	case 'D', 'I', 'R', 'L', 'S', 'Z':
		return p.ruleNumber(c, w)
	case 'E', 'P':
		if !p.hasArg() {
			return p.errAt(w, fmt.Sprintf("-%c requires a chain and a second argument", c))
		}
		if v := p.take(); c == 'E' {
			p.newName = v
		} else {
			p.policy = v
		}
	}
	return nil
}

func (p *ruleParser) ruleNumber(c byte, w word) error {
	if c == 'I' {
		p.num = 1
	}
	if !p.hasArg() {
		if c == 'R' {
			return p.errAt(w, "-R requires a rule number")
		}
		return nil
	}
	n, ok := number(p.take(), 1, 1<<31-1)
	if !ok {
		return p.errAt(p.last(), fmt.Sprintf("invalid rule number `%s'", p.last().text))
	}
	p.num = int(n)
	if c == 'D' {
		p.cmd = 'd'
	}
	return nil
}

// badChainName says why a chain cannot have that name.
func (p *ruleParser) badChainName(name string) string {
	switch {
	case len(name) >= maxName:
		return fmt.Sprintf("chain name `%s' too long (must be under %d chars)", name, maxName)
	case name != "" && (name[0] == '-' || name[0] == '!'):
		return fmt.Sprintf("chain name not allowed to start with `%c'", name[0])
	case p.catalog.target(name) != nil && !p.announced[name]:
		return "chain name may not clash with target name"
	case strings.ContainsAny(name, " \t\n\v\f\r"):
		return fmt.Sprintf("invalid chain name `%s'", name)
	}
	return ""
}

func (p *ruleParser) jumpOption(c byte, arg string, w word) error {
	if err := p.once('j', w); err != nil {
		return err
	}
	if c == 'j' {
		arg = p.last().text
	}
	switch {
	case arg == "":
		return p.errAt(w, "invalid target name (too short)")
	case len(arg) >= maxName:
		return p.errAt(w, fmt.Sprintf("invalid target name `%s' (%d chars max)", arg, maxName-1))
	case strings.ContainsAny(arg, " \t\n\v\f\r"):
		return p.errAt(w, fmt.Sprintf("invalid target name `%s'", arg))
	}
	p.jump, p.isGoto = arg, c == 'g'
	if c == 'g' {
		return nil
	}
	p.target = &loaded{name: arg}
	if !p.announced[arg] {
		p.target.ext = p.catalog.target(arg)
	}
	p.exts = append(p.exts, p.target)
	return nil
}

// once notes a base option that may stand only once.
func (p *ruleParser) once(c byte, w word) error {
	if p.flags.has(c) {
		return p.errAt(w, fmt.Sprintf("multiple -%c flags not allowed", c))
	}
	p.flags |= letter(c)
	if p.negate {
		if strings.IndexByte("sdpiof", c) < 0 {
			return p.errAt(w, fmt.Sprintf("cannot have ! before -%c", c))
		}
		p.inverted |= letter(c)
	}
	return nil
}

// flagOption handles the options that say what a rule matches.
func (p *ruleParser) flagOption(c byte, arg string, w word) error {
	if c == 'v' && p.has('v') {
		return nil
	}
	if c == 'f' && p.family == IPv6 {
		return p.errAt(w, "-f is not supported in IPv6")
	}
	if (c == 'i' || c == 'o') && arg == "" {
		return p.errAt(w, "empty interface is likely to be undesired")
	}
	if err := p.once(c, w); err != nil {
		return err
	}
	v := p.last()
	switch c {
	case 'p':
		return p.protocolOption(v)
	case 's':
		p.src = v
	case 'd':
		p.dst = v
	case 'i', 'o':
		if len(v.text) > 15 {
			return p.errAt(v, fmt.Sprintf("interface name `%s' must be shorter than 16", v.text))
		}
		if c == 'i' {
			p.in = v.text
		} else {
			p.out = v.text
		}
	case 'c':
		return p.countersOption(arg, w)
	}
	return nil
}

func (p *ruleParser) protocolOption(v word) error {
	p.proto = strings.ToLower(v.text)
	n, known, why := p.names.protocol(p.proto)
	if why != "" {
		return p.errAt(v, why)
	}
	if !known {
		p.uncertain = append(p.uncertain, fmt.Sprintf("protocol name %q", p.proto))
	}
	if n == 0 && known && p.isInverted('p') {
		return p.errAt(v, "rule would never match protocol")
	}
	p.protoNum = n
	return nil
}

func (p *ruleParser) countersOption(arg string, w word) error {
	pk, by, ok := strings.Cut(arg, ",")
	if !ok {
		if !p.hasArg() {
			return p.errAt(w, "-c requires packet and byte counter")
		}
		by = p.take()
	}
	if !startsNumeric(pk) || !startsNumeric(by) {
		return p.errAt(w, "-c counter not numeric")
	}
	return nil
}

// startsNumeric is what sscanf %llu accepts.
func startsNumeric(s string) bool {
	s = strings.TrimLeft(s, " \t\n\v\f\r")
	s = strings.TrimLeft(s, "+-")
	return s != "" && s[0] >= '0' && s[0] <= '9'
}

func (p *ruleParser) has(c byte) bool        { return p.flags.has(c) }
func (p *ruleParser) isInverted(c byte) bool { return p.inverted.has(c) }

// letters is a set of base options.
type letters uint32

// letter is the set of one short option; '0' is --line-numbers.
func letter(c byte) letters {
	if c == '0' {
		return 1 << 26
	}
	return 1 << (c - 'a')
}

func (l letters) has(c byte) bool { return l&letter(c) != 0 }

// loadMatch handles -m.
func (p *ruleParser) loadMatch(name string, w word) error {
	if p.negate {
		return p.errAt(w, "unexpected ! flag before --match")
	}
	if len(name) >= maxName {
		return p.errAt(w, fmt.Sprintf("invalid match name %q (%d chars max)", name, maxName-1))
	}
	p.addMatch(name, p.catalog.match(name))
	if p.exts[len(p.exts)-1].ext == nil {
		p.uncertain = append(p.uncertain, fmt.Sprintf("match %q", name))
	}
	return nil
}

func (p *ruleParser) addMatch(name string, e *extension) {
	l := &loaded{ext: e, name: name}
	for _, o := range p.exts {
		if o != p.target && e != nil && o.ext == e {
			o.unused, l.shadow = true, true
		}
	}
	p.exts = append(p.exts, l)
}

// loadProtocol loads the match that -p implies, once, when an option is not
// known otherwise.
func (p *ruleParser) loadProtocol() bool {
	if p.proto == "" || p.protoUsed {
		return false
	}
	name := p.proto
	if _, ok := number(name, 0, 255); ok {
		name = protocolName(p.protoNum)
	}
	e := p.catalog.match(name)
	if e == nil {
		return false
	}
	p.protoUsed = true
	p.addMatch(name, e)
	p.exts[len(p.exts)-1].shadow = false
	return true
}

// unknownOwner is the extension that an unknown option may belong to.
func (p *ruleParser) unknownOwner() *loaded {
	p.open = nil
	for _, l := range slices.Backward(p.exts) {
		if l.ext == nil {
			p.open = l
			break
		}
	}
	return p.open
}

// takeUnknownArg gives a word to the unknown option before it.
func (p *ruleParser) takeUnknownArg(w word) bool {
	if p.open == nil || len(p.open.given) == 0 {
		return false
	}
	g := &p.open.given[len(p.open.given)-1]
	g.arg = strings.TrimSpace(g.arg + " " + w.text)
	return true
}

// extOption hands an option to the extension that owns it.
func (p *ruleParser) extOption(f found, arg string, w word) error {
	p.open = nil
	l, o := f.owner, f.opt
	bit := uint64(1) << o.id
	g := given{opt: o, name: o.canon, arg: arg, negate: p.negate, col: w.col}
	fail := func(why string) error { return p.errAt(w, l.ext.name+": "+why) }
	if l.seen&bit != 0 && !o.many {
		return fail(fmt.Sprintf("option \"--%s\" can only be used once", o.name))
	}
	if p.negate && !o.negate {
		return fail(fmt.Sprintf("option \"--%s\" cannot be inverted", o.name))
	}
	switch o.kind {
	case kindTwoWords:
		if !p.hasArg() {
			return fail(fmt.Sprintf("--%s requires two args", o.name))
		}
		g.arg2 = p.take()
	case kindMaybe:
		if p.hasArg() {
			g.arg = p.take()
		}
	}
	if why := p.checkValue(l, &g); why != "" {
		return fail(why)
	}
	l.seen |= bit
	l.given = append(l.given, g)
	return nil
}

// finish checks the options of one extension against each other.
func (l *loaded) finish() string {
	e := l.ext
	if e == nil {
		return ""
	}
	for i := range e.options {
		o := &e.options[i]
		switch has := l.seen>>o.id&1 != 0; {
		case o.must && !has && o.name == o.canon:
			return fmt.Sprintf("%s: option \"--%s\" must be specified", e.name, o.name)
		case has && o.with != "" && !l.gave(o.with):
			return fmt.Sprintf("%s: option \"--%s\" also requires \"--%s\"", e.name, o.name, o.with)
		case has && o.group != 0 && l.conflicts(o):
			return fmt.Sprintf("%s: option \"--%s\" cannot be used with the others given", e.name, o.name)
		}
	}
	if len(e.need) > 0 && l.seen == 0 || len(e.need) > 0 && e.need[0] != "*" && !slices.ContainsFunc(e.need, l.gave) {
		return fmt.Sprintf("%s: an option is missing", e.name)
	}
	return ""
}

func (l *loaded) gave(canon string) bool { return l.get(canon) != nil }

// get returns the last use of an option.
func (l *loaded) get(canon string) *given {
	for i := range slices.Backward(l.given) {
		if l.given[i].name == canon {
			return &l.given[i]
		}
	}
	return nil
}

func (l *loaded) conflicts(o *option) bool {
	for i := range l.ext.options {
		other := &l.ext.options[i]
		if other.id != o.id && other.group == o.group && l.seen>>other.id&1 != 0 {
			return true
		}
	}
	return false
}

// checkCombination finds options that the command does not take.
func (p *ruleParser) checkCombination(end word) error {
	allowed := "v"
	switch p.cmd {
	case 'A', 'I', 'R':
		allowed = "sdpjviocf"
	case 'D', 'C':
		allowed = "sdpjviof"
	case 'L':
		allowed = "nvx0"
	case 'P':
		allowed = "vc"
	}
	for _, c := range []byte("sdpjvionxcf0") {
		if p.has(c) && strings.IndexByte(allowed, c) < 0 {
			return p.errAt(end, fmt.Sprintf("illegal option `-%c' with this command", c))
		}
	}
	if len(p.chain) >= maxName {
		return p.errAt(end, fmt.Sprintf("chain name `%s' too long (must be under %d chars)", p.chain, maxName))
	}
	if strings.IndexByte("ADdCIR", p.cmd) >= 0 {
		if p.has('o') && (p.chain == "PREROUTING" || p.chain == "INPUT") {
			return p.errAt(end, fmt.Sprintf("can't use -o with %s", p.chain))
		}
		if p.has('i') && (p.chain == "POSTROUTING" || p.chain == "OUTPUT") {
			return p.errAt(end, fmt.Sprintf("can't use -i with %s", p.chain))
		}
	}
	return nil
}
