package rules

import (
	"fmt"
	"slices"
	"strings"

	"lifeline/probes/iptables/lex"
)

// loadMatch handles -m.
func (p *ruleParser) loadMatch(name string, w lex.Word) error {
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
	shadow := false
	for _, o := range p.exts {
		if o != p.target && e != nil && o.ext == e {
			o.unused, shadow = true, true
		}
	}
	p.load(name, e).shadow = shadow
}

// load adds an extension to the rule.
func (p *ruleParser) load(name string, e *extension) *extensionUse {
	n := len(p.exts)
	if n == len(p.pool) {
		p.pool = append(p.pool, &extensionUse{})
	}
	l := p.pool[n]
	*l = extensionUse{ext: e, name: name, given: l.given[:0]}
	p.exts = append(p.exts, l)
	return l
}

// loadProtocol loads the match that -p implies, once, when an option is not
// known otherwise.
func (p *ruleParser) loadProtocol() bool {
	if p.proto == "" || p.protoUsed {
		return false
	}
	name := p.proto
	if _, ok := lex.Number(name, 0, 255); ok {
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
func (p *ruleParser) unknownOwner() *extensionUse {
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
func (p *ruleParser) takeUnknownArg(w lex.Word) bool {
	if p.open == nil || len(p.open.given) == 0 {
		return false
	}
	g := &p.open.given[len(p.open.given)-1]
	g.arg = strings.TrimSpace(g.arg + " " + w.Text)
	return true
}

// extOption hands an option to the extension that owns it.
func (p *ruleParser) extOption(f found, arg string, w lex.Word) error {
	p.open = nil
	l, o := f.owner, f.opt
	bit := uint64(1) << o.id
	g := optionUse{opt: o, name: o.canon, arg: arg, negate: p.negate, col: w.Col}
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
		g.arg2 = p.nextArg()
	case kindMaybe:
		if p.hasArg() {
			g.arg = p.nextArg()
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
func (l *extensionUse) finish() string {
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
	if why := l.crossCheck(); why != "" {
		return e.name + ": " + why
	}
	if len(e.need) > 0 && l.seen == 0 || len(e.need) > 0 && e.need[0] != "*" && !slices.ContainsFunc(e.need, l.gave) {
		return fmt.Sprintf("%s: an option is missing", e.name)
	}
	return ""
}

func (l *extensionUse) gave(canon string) bool { return l.get(canon) != nil }

// get returns the last use of an option.
func (l *extensionUse) get(canon string) *optionUse {
	for i := range slices.Backward(l.given) {
		if l.given[i].name == canon {
			return &l.given[i]
		}
	}
	return nil
}

func (l *extensionUse) conflicts(o *option) bool {
	for i := range l.ext.options {
		other := &l.ext.options[i]
		if other.id != o.id && other.group == o.group && l.seen>>other.id&1 != 0 {
			return true
		}
	}
	return false
}
