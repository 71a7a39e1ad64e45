package firewall

import (
	"bytes"

	"mvdan.cc/sh/v3/syntax"
)

// settings are the variables that a file sets which a shell script reads in, as
// /etc/default/ufw. Only literal assignments are taken; the second value tells whether
// the file holds nothing else.
func (r root) settings(files ...string) (values map[string]string, plain bool) {
	values, plain = map[string]string{}, true
	for _, name := range files {
		text, ok := r.read(name)
		if !ok {
			continue
		}
		f, err := syntax.NewParser().Parse(bytes.NewReader(text), name)
		if err != nil {
			plain = false
			continue
		}
		for _, st := range f.Stmts {
			call, ok := st.Cmd.(*syntax.CallExpr)
			if !ok || len(call.Args) > 0 {
				plain = false
				continue
			}
			for _, a := range call.Assigns {
				v, ok := literal(a.Value)
				values[a.Name.Value] = v
				plain = plain && ok
			}
		}
	}
	return values, plain
}

// literal is a word without expansions.
func literal(w *syntax.Word) (string, bool) {
	if w == nil {
		return "", true
	}
	var out string
	for _, p := range w.Parts {
		switch p := p.(type) {
		case *syntax.Lit:
			out += p.Value
		case *syntax.SglQuoted:
			out += p.Value
		case *syntax.DblQuoted:
			for _, q := range p.Parts {
				l, ok := q.(*syntax.Lit)
				if !ok {
					return out, false
				}
				out += l.Value
			}
		default:
			return out, false
		}
	}
	return out, true
}

// assigned is the line of a file that sets a variable, as it is written: "IPV6=no".
func (r root) assigned(file, name string) string {
	text, _ := r.read(file)
	out := ""
	for line := range bytes.Lines(text) {
		line = bytes.TrimSpace(line)
		if bytes.HasPrefix(line, []byte(name+"=")) {
			out = string(line)
		}
	}
	return out
}

func isYes(v string) bool { return v == "yes" || v == "YES" }
