package command

import (
	"io/fs"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// outcome is what is known of a command that tests something.
type outcome int

const (
	noTest  outcome = iota // it is no test
	unknown                // it is one, of something that is not known
	yes
	no
)

func holds(b bool) outcome {
	if b {
		return yes
	}
	return no
}

// test judges [ -f FILE ] and the like by the tree, and true and false.
func (s *shell) test(st *syntax.Stmt) outcome {
	out := s.plainTest(st)
	if st.Negated {
		switch out {
		case yes:
			return no
		case no:
			return yes
		}
	}
	return out
}

func (s *shell) plainTest(st *syntax.Stmt) outcome {
	call, ok := st.Cmd.(*syntax.CallExpr)
	if !ok {
		if _, ok := st.Cmd.(*syntax.TestClause); ok {
			return unknown
		}
		return noTest
	}
	if len(call.Args) == 0 {
		return noTest
	}
	argv, ok := s.words(call.Args)
	switch argv[0] {
	case "true", ":":
		return yes
	case "false":
		return no
	case "[":
		argv = strings.Split(strings.TrimSuffix(strings.Join(argv, "\x00"), "\x00]"), "\x00")
	case "test":
	default:
		return noTest
	}
	if !ok {
		return unknown
	}
	return s.fileTest(argv[1:])
}

// fileTest judges the operands of test(1) that ask for a file or compare words.
func (s *shell) fileTest(args []string) outcome {
	if len(args) > 0 && args[0] == "!" {
		switch s.fileTest(args[1:]) {
		case yes:
			return no
		case no:
			return yes
		}
		return unknown
	}
	switch {
	case len(args) == 3 && (args[1] == "=" || args[1] == "=="):
		return holds(args[0] == args[2])
	case len(args) == 3 && args[1] == "!=":
		return holds(args[0] != args[2])
	case len(args) == 2 && args[0] == "-n":
		return holds(args[1] != "")
	case len(args) == 2 && args[0] == "-z":
		return holds(args[1] == "")
	case len(args) != 2 || strings.HasPrefix(args[1], "/proc/") || strings.HasPrefix(args[1], "/sys/") || strings.HasPrefix(args[1], "/run/"):
		return unknown
	}
	exists, err := s.tree.Exists(args[1])
	if err != nil {
		return unknown
	}
	if !exists {
		return no
	}
	st, err := s.tree.Stat(args[1])
	if err != nil {
		return unknown
	}
	switch args[0] {
	case "-e", "-r":
		return yes
	case "-f":
		return holds(st.Mode.IsRegular())
	case "-x":
		return holds(st.Mode.IsDir() || st.Executable())
	case "-s":
		return holds(st.Size > 0)
	case "-d":
		return holds(st.Mode.IsDir())
	case "-L", "-h":
		l, err := s.tree.Lstat(args[1])
		return holds(err == nil && l.Mode&fs.ModeSymlink != 0)
	}
	return unknown
}
