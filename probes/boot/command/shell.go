package command

import (
	"bytes"

	"mvdan.cc/sh/v3/syntax"
)

// shell follows a text of the shell statement by statement, as far as it does not depend
// on anything but literal words and the files of the tree.
type shell struct {
	*reader
	file  string
	after int // the number of the line before the text's first
	vars  map[string]string
	call  call
	// errexit is that of set -e, and ended tells that nothing more is executed.
	errexit, ended bool
}

// at is the call of a statement: fatal where it is the last one, or under set -e.
func (s *shell) at(n syntax.Node, c call, last bool) call {
	c.script, c.line = s.file, s.after+int(n.Pos().Line())
	c.fatal = c.fatal && (last || s.errexit)
	return c
}

func (s *shell) list(stmts []*syntax.Stmt, c call) {
	for i, st := range stmts {
		if s.ended {
			return
		}
		s.stmt(st, s.at(st, c, s.isLast(stmts, i)))
	}
}

// isLast tells whether the exit status of a statement is that of the list.
func (s *shell) isLast(stmts []*syntax.Stmt, i int) bool {
	if i == len(stmts)-1 {
		return true
	}
	if c, ok := stmts[i].Cmd.(*syntax.CallExpr); ok && len(c.Args) > 1 && c.Args[0].Lit() == "exec" {
		return true
	}
	words, ok := s.simple(stmts[i+1])
	return ok && len(words) == 1 && words[0] == "exit" // exit without a number: that of the one before
}

// simple are the words of a statement that is one literal command.
func (s *shell) simple(st *syntax.Stmt) ([]string, bool) {
	c, ok := st.Cmd.(*syntax.CallExpr)
	if !ok || len(st.Redirs) > 0 {
		return nil, false
	}
	return s.words(c.Args)
}

func (s *shell) stmt(st *syntax.Stmt, c call) {
	if st.Negated || st.Background {
		c.fatal = false
	}
	switch cmd := st.Cmd.(type) {
	case *syntax.CallExpr:
		s.simpleCommand(st, cmd, c)
	case *syntax.Block:
		s.list(cmd.Stmts, c)
	case *syntax.Subshell:
		inner := *s
		inner.list(cmd.Stmts, c)
	case *syntax.BinaryCmd:
		s.binary(st, cmd, c)
	case *syntax.IfClause:
		s.ifClause(cmd, c)
	case nil:
	default:
		if s.matters(st) {
			s.opaque(source(st), c)
		}
	}
}

// matters tells whether a statement that is not followed names a tool.
func (s *shell) matters(n syntax.Node) bool { return Mentions(source(n)) }

func source(n syntax.Node) string {
	var b bytes.Buffer
	if err := syntax.NewPrinter(syntax.SingleLine(true)).Print(&b, n); err != nil {
		return ""
	}
	return b.String()
}

func (s *shell) simpleCommand(st *syntax.Stmt, cmd *syntax.CallExpr, c call) {
	if len(cmd.Args) == 0 {
		for _, a := range cmd.Assigns {
			s.assign(a)
		}
		return
	}
	argv, ok := s.words(cmd.Args)
	stdin, redirected := s.stdin(st)
	if !ok || !redirected {
		if s.matters(st) || !ok && len(argv) > 0 && argv[0] == "" {
			s.opaque(source(st), c)
		}
		return
	}
	switch argv[0] {
	case "exit", "return":
		s.ended = true
	case "set":
		s.setOptions(argv[1:])
	case "exec":
		s.run(argv[1:], stdin, c)
		s.ended = len(argv) > 1
	case ".", "source":
		if len(argv) > 1 {
			s.source(argv[1], c)
		}
	default:
		s.run(argv, stdin, c)
	}
}

// source takes the settings of a file that is read into the shell.
func (s *shell) source(name string, c call) {
	text, err := s.tree.ReadFile(name)
	if err != nil || s.depth >= maxDepth {
		return
	}
	f, err := syntax.NewParser(syntax.Variant(syntax.LangBash)).Parse(bytes.NewReader(text), name)
	if err != nil {
		if Mentions(string(text)) {
			s.opaque(name, c)
		}
		return
	}
	s.depth++
	inner := *s
	inner.file, inner.after = name, 0
	inner.list(f.Stmts, c)
	s.depth--
}

// binary takes A && B, A || B and A | B.
func (s *shell) binary(st *syntax.Stmt, cmd *syntax.BinaryCmd, c call) {
	switch cmd.Op {
	case syntax.AndStmt, syntax.OrStmt:
		s.chain(cmd, c)
	default:
		s.pipe(st, cmd, c)
	}
}

// chain takes A && B and A || B. Where A is a test of files, B happens or does not; where
// A changes the packet filter, B of A || B is what a failure of A leads to.
func (s *shell) chain(cmd *syntax.BinaryCmd, c call) {
	and := cmd.Op == syntax.AndStmt
	switch s.test(cmd.X) {
	case yes, no:
		if (s.test(cmd.X) == yes) == and {
			s.stmt(cmd.Y, c)
		}
		return
	case noTest:
		before := len(s.effects)
		x := c
		x.fatal = c.fatal && and
		s.stmt(cmd.X, x)
		if !and {
			if s.ended = false; s.matters(cmd.Y) {
				y := c
				y.conditional = true
				s.stmt(cmd.Y, y)
			}
			if s.fails(cmd.Y) { // A || exit 1
				for i := before; i < len(s.effects); i++ {
					s.effects[i].Fatal = c.fatal || s.call.fatal
				}
			}
			s.ended = false
			return
		}
		s.stmt(cmd.Y, c) // A succeeds, or it is reported for itself
		return
	}
	y := c
	y.conditional = true
	ended := s.ended
	s.stmt(cmd.Y, y)
	s.ended = ended
}

// fails tells of exit with a status that is not 0, and of false.
func (s *shell) fails(st *syntax.Stmt) bool {
	words, ok := s.simple(st)
	if !ok || len(words) == 0 {
		return false
	}
	return words[0] == "false" || (words[0] == "exit" || words[0] == "return") && len(words) > 1 && words[1] != "0"
}

// pipe takes cat FILE | TOOL; of any other it is looked whether it names a tool.
func (s *shell) pipe(st *syntax.Stmt, cmd *syntax.BinaryCmd, c call) {
	left, ok := s.simple(cmd.X)
	call, isCall := cmd.Y.Cmd.(*syntax.CallExpr)
	if ok && isCall && len(left) == 2 && left[0] == "cat" {
		if argv, ok := s.words(call.Args); ok && len(argv) > 0 {
			s.run(argv, left[1], c)
			return
		}
	}
	if s.matters(st) {
		s.opaque(source(st), c)
	}
}

func (s *shell) ifClause(cmd *syntax.IfClause, c call) {
	for ; cmd != nil; cmd = cmd.Else {
		if len(cmd.Cond) == 0 { // else
			s.list(cmd.Then, c)
			return
		}
		holds := noTest
		if len(cmd.Cond) == 1 {
			holds = s.test(cmd.Cond[0])
		}
		switch holds {
		case yes:
			s.list(cmd.Then, c)
			return
		case no:
			continue
		case noTest:
			inner := c
			inner.fatal = false
			s.list(cmd.Cond, inner)
		}
		c.conditional = true
		ended, vars := s.ended, s.vars
		s.vars = map[string]string{}
		for k, v := range vars {
			s.vars[k] = v
		}
		s.list(cmd.Then, c)
		s.ended = ended
	}
}
