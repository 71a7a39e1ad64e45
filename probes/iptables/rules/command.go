package rules

import (
	"errors"
	"fmt"
	"strings"

	"lifeline/probes/iptables/lex"
	"lifeline/probes/iptables/netfilter"
)

// maxName is the length that chain, match and target names stay below
// (XT_EXTENSION_MAXNAMELEN).
const maxName = 29

// parse reads the words; what it finds is in the fields.
func (p *ruleParser) parse(words []lex.Word) error {
	p.reset(words)
	if err := p.scan(); err != nil || p.skip || p.stops {
		return err
	}
	end := lex.Word{Col: len(strings.TrimRight(p.line, "\n")) + 1}
	if p.table == "nat" && (p.policy == "DROP" || p.jump == "DROP") {
		return p.errAt(end, "the nat table does not filter: DROP is refused there")
	}
	for _, l := range p.exts {
		if err := l.finish(); err != nil {
			return p.errAt(end, err.Error())
		}
	}
	if p.cmd == 0 {
		return p.errAt(end, "no command specified")
	}
	return p.checkCombination(end)
}

// setCommand notes -A and its kind; a rule has one command.
func (p *ruleParser) setCommand(c byte, w lex.Word) error {
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

// noteAttached: before iptables 1.8.10, -ptcp and --protocol=tcp are errors,
// and -ieth0 names a link "-ieth0".
func (p *ruleParser) noteAttached(c byte, w lex.Word) {
	switch c {
	case 'p', 's', 'd', 'j', 'i', 'o':
		p.uncertain = append(p.uncertain, "arguments in the same word as their option need iptables 1.8.10: "+w.Text)
		if c == 'i' || c == 'o' {
			p.perhaps = "argument in the same word"
		}
	}
}

// base handles an option of the tool itself.
func (p *ruleParser) base(c byte, arg string, has bool, w lex.Word) error {
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
		p.skip = (c == '4') != (p.family == netfilter.IPv4)
		return nil
	}
	return p.flagOption(c, arg, w)
}

// commandOption takes the arguments of a command.
func (p *ruleParser) commandOption(c byte, arg string, has bool, w lex.Word) error {
	if c == 'N' {
		if err := p.badChainName(arg); err != nil {
			return p.errAt(w, err.Error())
		}
	}
	if err := p.setCommand(c, w); err != nil {
		return err
	}
	if has {
		p.chain = arg
	} else if p.hasArg() {
		p.chain = p.nextArg()
	}
	switch c {
	case 'D', 'I', 'R', 'L', 'S', 'Z':
		return p.ruleNumber(c, w)
	case 'E', 'P':
		if !p.hasArg() {
			return p.errAt(w, fmt.Sprintf("-%c requires a chain and a second argument", c))
		}
		if v := p.nextArg(); c == 'E' {
			p.newName = v
		} else {
			p.policy = v
		}
	}
	return nil
}

func (p *ruleParser) ruleNumber(c byte, w lex.Word) error {
	if c == 'I' {
		p.num = 1
	}
	if !p.hasArg() {
		if c == 'R' {
			return p.errAt(w, "-R requires a rule number")
		}
		return nil
	}
	n, ok := lex.Number(p.nextArg(), 1, 1<<31-1)
	if !ok {
		return p.errAt(p.last(), fmt.Sprintf("invalid rule number `%s'", p.last().Text))
	}
	p.num = int(n)
	if c == 'D' {
		p.cmd = 'd'
	}
	return nil
}

// badChainName says why a chain cannot have that name.
func (p *ruleParser) badChainName(name string) error {
	switch {
	case len(name) >= maxName:
		return fmt.Errorf("chain name `%s' too long (must be under %d chars)", name, maxName)
	case name != "" && (name[0] == '-' || name[0] == '!'):
		return fmt.Errorf("chain name not allowed to start with `%c'", name[0])
	case p.catalog.target(name) != nil && !p.announced[name]:
		return errors.New("chain name may not clash with target name")
	case strings.ContainsAny(name, " \t\n\v\f\r"):
		return fmt.Errorf("invalid chain name `%s'", name)
	}
	return nil
}

func (p *ruleParser) jumpOption(c byte, arg string, w lex.Word) error {
	if err := p.once('j', w); err != nil {
		return err
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
	p.target = p.load(arg, nil)
	if !p.announced[arg] {
		p.target.ext = p.catalog.target(arg)
	}
	return nil
}

// once notes a base option that may stand only once.
func (p *ruleParser) once(c byte, w lex.Word) error {
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
func (p *ruleParser) flagOption(c byte, arg string, w lex.Word) error {
	if c == 'v' && p.has('v') {
		return nil
	}
	if c == 'f' && p.family == netfilter.IPv6 {
		return p.errAt(w, "-f is not supported in IPv6")
	}
	if (c == 'i' || c == 'o') && arg == "" {
		return p.errAt(w, "empty interface is likely to be undesired")
	}
	if err := p.once(c, w); err != nil {
		return err
	}
	v := lex.Word{Text: arg, Col: w.Col}
	if p.i > 0 {
		v.Col = p.words[p.i-1].Col
	}
	switch c {
	case 'p':
		return p.protocolOption(v)
	case 's':
		p.src = v
	case 'd':
		p.dst = v
	case 'i', 'o':
		if len(v.Text) > 15 {
			return p.errAt(v, fmt.Sprintf("interface name `%s' must be shorter than 16", v.Text))
		}
		if c == 'i' {
			p.in = v.Text
		} else {
			p.out = v.Text
		}
	case 'c':
		return p.countersOption(arg, w)
	}
	return nil
}

func (p *ruleParser) protocolOption(v lex.Word) error {
	p.proto = strings.ToLower(v.Text)
	n, err := p.names.protocol(p.proto)
	unresolved := errors.Is(err, errUnresolved)
	if err != nil && !unresolved {
		return p.errAt(v, err.Error())
	}
	if unresolved {
		p.uncertain = append(p.uncertain, fmt.Sprintf("protocol name %q", p.proto))
	}
	if n == 0 && !unresolved && p.isInverted('p') {
		return p.errAt(v, "rule would never match protocol")
	}
	p.protoNum = n
	return nil
}

func (p *ruleParser) countersOption(arg string, w lex.Word) error {
	pk, by, ok := strings.Cut(arg, ",")
	if !ok {
		if !p.hasArg() {
			return p.errAt(w, "-c requires packet and byte counter")
		}
		by = p.nextArg()
	}
	if !lex.StartsNumeric(pk) || !lex.StartsNumeric(by) {
		return p.errAt(w, "-c counter not numeric")
	}
	return nil
}

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

// checkCombination finds options that the command does not take.
func (p *ruleParser) checkCombination(end lex.Word) error {
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
