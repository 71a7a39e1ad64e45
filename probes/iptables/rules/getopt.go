package rules

import (
	"fmt"
	"strings"

	"lifeline/probes/iptables/lex"
)

// argNeed says whether a base option takes an argument.
type argNeed uint8

const (
	argNo argNeed = iota
	argYes
	argAttached // only in the same word
)

// baseOption is an option of the tool itself.
type baseOption struct {
	name string
	need argNeed
	val  byte
}

// baseOptions are the long options in the tool's order; val is the short one,
// '0' stands for --line-numbers.
var baseOptions = [...]baseOption{
	{"append", argYes, 'A'}, {"delete", argYes, 'D'}, {"check", argYes, 'C'}, {"insert", argYes, 'I'},
	{"replace", argYes, 'R'}, {"list", argAttached, 'L'}, {"list-rules", argAttached, 'S'},
	{"flush", argAttached, 'F'}, {"zero", argAttached, 'Z'}, {"new-chain", argYes, 'N'},
	{"delete-chain", argAttached, 'X'}, {"rename-chain", argYes, 'E'}, {"policy", argYes, 'P'},
	{"source", argYes, 's'}, {"destination", argYes, 'd'}, {"src", argYes, 's'}, {"dst", argYes, 'd'},
	{"protocol", argYes, 'p'}, {"in-interface", argYes, 'i'}, {"jump", argYes, 'j'}, {"table", argYes, 't'},
	{"match", argYes, 'm'}, {"numeric", argNo, 'n'}, {"out-interface", argYes, 'o'}, {"verbose", argNo, 'v'},
	{"wait", argAttached, 'w'}, {"wait-interval", argAttached, 'W'}, {"exact", argNo, 'x'},
	{"fragments", argNo, 'f'}, {"version", argNo, 'V'}, {"help", argAttached, 'h'},
	{"line-numbers", argNo, '0'}, {"modprobe", argYes, 'M'}, {"set-counters", argYes, 'c'},
	{"goto", argYes, 'g'}, {"ipv4", argNo, '4'}, {"ipv6", argNo, '6'},
}

// shortNeed looks a short option up.
func shortNeed(c byte) (argNeed, bool) {
	switch {
	case strings.IndexByte("ACDEIMNPcdijopstgmR", c) >= 0:
		return argYes, true
	case strings.IndexByte("FLXZShwW", c) >= 0:
		return argAttached, true
	case strings.IndexByte("V46fnvx", c) >= 0:
		return argNo, true
	}
	return argNo, false
}

// extensionUse is a match or target that a rule uses.
type extensionUse struct {
	ext *extension
	// name is as written after -m or -j, for the unknown ones too.
	name   string
	unused bool // a later -m of the same name has taken over
	// shadow marks a repeated -m of one name: its options stand where the
	// first one's stand.
	shadow bool
	seen   uint64 // ids of the options given
	given  []optionUse
}

// optionUse is one option with its arguments.
type optionUse struct {
	opt    *option
	name   string // canonical, or as written for unknown extensions
	arg    string
	arg2   string
	negate bool
	col    int
}

// found is what a long option resolved to.
type found struct {
	base  *baseOption
	opt   *option
	owner *extensionUse
}

// lookupLong resolves a long option as getopt_long does: an exact name wins,
// else a unique beginning; base options stand first, then the extension that
// was loaded last.
func (p *ruleParser) lookupLong(name string) (found, bool) {
	for i := range baseOptions {
		if baseOptions[i].name == name {
			return found{base: &baseOptions[i]}, true
		}
	}
	for i := len(p.exts) - 1; i >= 0; i-- {
		if l := p.exts[i]; l.ext != nil && !l.shadow {
			if o := l.ext.find(name); o != nil {
				return p.owned(l, o)
			}
		}
	}
	return p.lookupPrefix(name)
}

func (p *ruleParser) lookupPrefix(name string) (found, bool) {
	var hit found
	n := 0
	for i := range baseOptions {
		if o := &baseOptions[i]; strings.HasPrefix(o.name, name) && (n == 0 || hit.base.val != o.val) {
			hit = found{base: o}
			n++
		}
	}
	for i := len(p.exts) - 1; i >= 0; i-- {
		l := p.exts[i]
		if l.ext == nil || l.shadow {
			continue
		}
		for j := range l.ext.options {
			o := &l.ext.options[j]
			if strings.HasPrefix(o.name, name) && (n == 0 || hit.owner != l || hit.opt.id != o.id) {
				hit = found{opt: o, owner: l}
				n++
			}
		}
	}
	if n != 1 {
		return found{}, false
	}
	if hit.owner != nil {
		return p.owned(hit.owner, hit.opt)
	}
	return hit, true
}

// owned gives an option to the newest user of its extension.
func (p *ruleParser) owned(l *extensionUse, o *option) (found, bool) {
	for i := len(p.exts) - 1; i >= 0; i-- {
		if k := p.exts[i]; k.ext == l.ext && !k.unused {
			return found{opt: o, owner: k}, true
		}
	}
	return found{}, false
}

// scan walks the words of a rule and hands every option on.
func (p *ruleParser) scan() error {
	for p.i < len(p.words) && !p.skip {
		w := p.words[p.i]
		p.i++
		var err error
		switch t := w.Text; {
		case t == "--":
			if p.i < len(p.words) {
				return p.errAt(p.words[p.i], "unknown arguments found on commandline")
			}
			continue
		case len(t) > 2 && t[:2] == "--":
			err = p.long(w)
		case len(t) > 1 && t[0] == '-':
			err = p.short(w)
		case t == "!":
			if p.negate {
				return p.errAt(w, "multiple consecutive ! not allowed")
			}
			p.negate = true
			continue
		default:
			if p.addToUnknown(w) {
				continue
			}
			return p.errAt(w, fmt.Sprintf("bad argument `%s'", t))
		}
		if err != nil {
			return err
		}
		p.negate = false
	}
	if p.negate && !p.skip {
		return p.errAt(p.last(), "nothing appropriate following !")
	}
	return nil
}

func (p *ruleParser) long(w lex.Word) error {
	name, arg, has := strings.Cut(w.Text[2:], "=")
	f, ok := p.lookupLong(name)
	if !ok && p.loadProtocol() {
		f, ok = p.lookupLong(name)
	}
	if !ok {
		if u := p.unknownOwner(); u != nil {
			u.given = append(u.given, optionUse{name: name, arg: arg, negate: p.negate, col: w.Col})
			return nil
		}
		return p.errAt(w, fmt.Sprintf("unknown option %q", w.Text))
	}
	need := argNo
	if f.base != nil {
		need = f.base.need
	} else if f.opt.takesArg() {
		need = argYes
	}
	switch {
	case need == argNo && has:
		return p.errAt(w, fmt.Sprintf("unknown option %q", w.Text))
	case need == argYes && !has:
		if p.i >= len(p.words) {
			return p.errAt(w, fmt.Sprintf("option %q requires an argument", w.Text))
		}
		arg = p.words[p.i].Text
		p.i++
	}
	if f.base != nil {
		if has {
			p.noteAttached(f.base.val, w)
		}
		return p.base(f.base.val, arg, has || need == argYes, w)
	}
	return p.extOption(f, arg, w)
}

func (p *ruleParser) short(w lex.Word) error {
	for k := 1; k < len(w.Text); k++ {
		c := w.Text[k]
		need, ok := shortNeed(c)
		if !ok {
			return p.errAt(w, fmt.Sprintf("unknown option %q", "-"+string(c)))
		}
		arg, has := "", false
		if need != argNo && k+1 < len(w.Text) {
			arg, has, k = w.Text[k+1:], true, len(w.Text)
			p.noteAttached(c, w)
		}
		if need == argYes && !has {
			if p.i >= len(p.words) {
				return p.errAt(w, fmt.Sprintf("option %q requires an argument", w.Text))
			}
			arg, has = p.words[p.i].Text, true
			p.i++
		}
		if err := p.base(c, arg, has, w); err != nil || p.skip {
			return err
		}
		p.negate = false
	}
	return nil
}
