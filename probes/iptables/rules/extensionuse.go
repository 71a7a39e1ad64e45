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

// extensionUses are the matches and the target that a rule uses.
type extensionUses struct {
	exts      []*extensionUse // in the order in which they were loaded
	pool      []*extensionUse // for exts, reused from line to line
	target    *extensionUse   // the one of -j
	protoUsed bool            // the match that -p implies is loaded
	open      *extensionUse   // an unknown extension that may still take words
}

// addMatch adds a match to the rule.
func (u *extensionUses) addMatch(name string, e *extension) {
	shadow := false
	for _, o := range u.exts {
		if o != u.target && e != nil && o.ext == e {
			o.unused, shadow = true, true
		}
	}
	u.load(name, e).shadow = shadow
}

// load adds an extension to the rule.
func (u *extensionUses) load(name string, e *extension) *extensionUse {
	n := len(u.exts)
	if n == len(u.pool) {
		u.pool = append(u.pool, &extensionUse{})
	}
	l := u.pool[n]
	*l = extensionUse{ext: e, name: name, given: l.given[:0]}
	u.exts = append(u.exts, l)
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
func (u *extensionUses) unknownOwner() *extensionUse {
	u.open = nil
	for _, l := range slices.Backward(u.exts) {
		if l.ext == nil {
			u.open = l
			break
		}
	}
	return u.open
}

// addToUnknown gives a word to the unknown option before it.
func (u *extensionUses) addToUnknown(w lex.Word) bool {
	if u.open == nil || len(u.open.given) == 0 {
		return false
	}
	g := &u.open.given[len(u.open.given)-1]
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
	v := o.value
	if v != nil && v.words == 2 {
		if !p.hasArg() {
			return fail(fmt.Sprintf("--%s requires two args", o.name))
		}
		g.arg2 = p.nextArg()
	}
	if v != nil && v.optional && p.hasArg() {
		g.arg = p.nextArg()
	}
	l.seen |= bit
	l.given = append(l.given, g)
	if v == nil || v.check == nil {
		return nil
	}
	if err := v.check(p, l, &l.given[len(l.given)-1]); err != nil {
		return fail(err.Error())
	}
	return nil
}

// finish checks the options of one extension against each other.
func (l *extensionUse) finish() error {
	e := l.ext
	if e == nil {
		return nil
	}
	for i := range e.options {
		o := &e.options[i]
		switch has := l.seen>>o.id&1 != 0; {
		case o.must && !has && o.name == o.canon:
			return fmt.Errorf("%s: option \"--%s\" must be specified", e.name, o.name)
		case has && o.with != "" && !l.gave(o.with):
			return fmt.Errorf("%s: option \"--%s\" also requires \"--%s\"", e.name, o.name, o.with)
		case has && o.group != 0 && l.conflicts(o):
			return fmt.Errorf("%s: option \"--%s\" cannot be used with the others given", e.name, o.name)
		}
	}
	if e.crossCheck != nil {
		if err := e.crossCheck(l); err != nil {
			return fmt.Errorf("%s: %w", e.name, err)
		}
	}
	if len(e.need) > 0 && l.seen == 0 || len(e.need) > 0 && e.need[0] != "*" && !slices.ContainsFunc(e.need, l.gave) {
		return fmt.Errorf("%s: an option is missing", e.name)
	}
	return nil
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
