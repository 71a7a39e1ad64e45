package command

import (
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

func (s *shell) setOptions(args []string) {
	for _, a := range args {
		if strings.HasPrefix(a, "-") && strings.Contains(a, "e") {
			s.errexit = true
		}
		if strings.HasPrefix(a, "+") && strings.Contains(a, "e") {
			s.errexit = false
		}
	}
}

func (s *shell) assign(a *syntax.Assign) {
	if a.Name == nil {
		return
	}
	delete(s.vars, a.Name.Value)
	if a.Value == nil {
		s.vars[a.Name.Value] = ""
		return
	}
	if v, ok := s.word(a.Value); ok {
		s.vars[a.Name.Value] = v
	}
}

// stdin is the file that a statement reads, and whether its redirections are understood.
func (s *shell) stdin(st *syntax.Stmt) (file string, ok bool) {
	for _, r := range st.Redirs {
		if r.N != nil && r.N.Value != "0" {
			continue // of another descriptor
		}
		switch r.Op {
		case syntax.RdrIn:
			w, ok := s.word(r.Word)
			if !ok {
				return "", false
			}
			file = w
		case syntax.RdrOut, syntax.AppOut, syntax.RdrAll, syntax.AppAll, syntax.DplOut, syntax.RdrClob:
		default:
			return "", false // a here document, or read and write
		}
	}
	return file, true
}

// words are the words of a command where all are literal. Where one is not, it is "".
func (s *shell) words(ws []*syntax.Word) (out []string, ok bool) {
	ok = true
	for _, w := range ws {
		v, known := s.word(w)
		out = append(out, v)
		ok = ok && known
	}
	return out, ok
}

// word is a word that is made of literals, quotes and variables whose values are known.
func (s *shell) word(w *syntax.Word) (string, bool) {
	if w.Lit() == "[" {
		return "[", true // the command of that name, and no pattern
	}
	var b strings.Builder
	for _, p := range w.Parts {
		if !s.part(&b, p, false) {
			return "", false
		}
	}
	return b.String(), true
}

func (s *shell) part(b *strings.Builder, p syntax.WordPart, quoted bool) bool {
	switch p := p.(type) {
	case *syntax.Lit:
		if !quoted && strings.ContainsAny(p.Value, "*?[~") {
			return false
		}
		b.WriteString(strings.ReplaceAll(p.Value, `\`, ""))
		return true
	case *syntax.SglQuoted:
		b.WriteString(p.Value)
		return !p.Dollar
	case *syntax.DblQuoted:
		for _, q := range p.Parts {
			if !s.part(b, q, true) {
				return false
			}
		}
		return !p.Dollar
	case *syntax.ParamExp:
		v, ok := s.vars[p.Param.Value]
		plain := p.Exp == nil && p.Repl == nil && p.Slice == nil && p.Index == nil && !p.Length && !p.Excl
		b.WriteString(v)
		return ok && plain && (quoted || !strings.ContainsAny(v, " \t\n*?["))
	}
	return false
}
