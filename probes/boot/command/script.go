package command

import (
	"bytes"
	"errors"
	"io/fs"
	"path"
	"strings"

	"mvdan.cc/sh/v3/syntax"

	"lifeline/probes/boot/rootfs"
)

const (
	// maxDepth is how many scripts may call each other.
	maxDepth = 8
	// maxScript bounds a script that is read, in bytes.
	maxScript = 1 << 20
)

// Exec are the effects of a program with its arguments, as a service manager or run-parts
// executes it: without a shell.
func Exec(t *rootfs.Tree, argv []string) []Effect {
	r := reader{tree: t}
	r.run(argv, "", call{fatal: true})
	return r.effects
}

// Shell are the effects of a text that a shell executes, as of a line of a crontab or of
// interfaces(5). The file and the line are where it stands.
func Shell(t *rootfs.Tree, text, file string, line int) []Effect {
	r := reader{tree: t}
	r.text([]byte(text), file, line-1, call{fatal: true}, nil)
	return r.effects
}

// reader collects effects.
type reader struct {
	tree    *rootfs.Tree
	effects []Effect
	depth   int
}

// call is how a command is called.
type call struct {
	conditional bool // whether it runs is not known
	fatal       bool // what calls it fails with it
	script      string
	line        int
}

func (r *reader) add(e Effect, c call) {
	e.Conditional, e.Fatal = c.conditional, c.fatal
	e.Script, e.Line = c.script, c.line
	r.effects = append(r.effects, e)
}

func (r *reader) opaque(text string, c call) {
	r.add(Effect{Kind: Opaque, Text: strings.Join(strings.Fields(text), " ")}, c)
}

// run takes one program with its arguments.
func (r *reader) run(argv []string, stdin string, c call) {
	argv = unwrap(argv)
	if len(argv) == 0 {
		return
	}
	if e, ok := recognise(argv, stdin); ok {
		r.add(e, c)
		return
	}
	if isTool(path.Base(argv[0])) || managers[path.Base(argv[0])] != "" {
		return // recognised, and changes nothing
	}
	if script, ok := inline(argv); ok {
		r.text([]byte(script), c.script, c.line-1, c, nil)
		return
	}
	file := argv[0]
	if isShell(file) && len(argv) > 1 {
		file = argv[1]
	}
	r.file(file, argv, c)
}

// wrappers are programs that run another one: the words behind the first that is not an
// option or an assignment.
var wrappers = map[string]bool{"env": true, "nice": true, "ionice": true, "nohup": true, "setsid": true, "sudo": true, "exec": true,
	"command": true, "flock": true, "timeout": true, "chrt": true, "systemd-cat": true, "logger": false, "time": true}

// unwrap is what a chain of wrappers runs at last.
func unwrap(argv []string) []string {
	for len(argv) > 0 && wrappers[path.Base(argv[0])] {
		argv = argv[1:]
		for len(argv) > 0 && (strings.HasPrefix(argv[0], "-") || strings.Contains(argv[0], "=") || isNumber(argv[0])) {
			argv = argv[1:]
		}
	}
	return argv
}

func isNumber(s string) bool { return s != "" && strings.Trim(s, "0123456789.smh") == "" }

func isShell(prog string) bool {
	switch path.Base(prog) {
	case "sh", "bash", "dash", "ash", "ksh", "busybox":
		return true
	}
	return false
}

// inline is the text of sh -c TEXT.
func inline(argv []string) (string, bool) {
	if !isShell(argv[0]) {
		return "", false
	}
	for i, a := range argv[1:] {
		if strings.HasPrefix(a, "-") && strings.HasSuffix(a, "c") && i+2 < len(argv) {
			return argv[i+2], true
		}
		if !strings.HasPrefix(a, "-") {
			return "", false
		}
	}
	return "", false
}

// file takes a program of the tree: a script of the shell is read, of any other script it
// is looked whether it names a tool, and a binary is taken to leave the packet filter alone.
func (r *reader) file(name string, argv []string, c call) {
	if !strings.Contains(name, "/") {
		name = r.tree.LookPath(name)
	}
	if name == "" {
		return
	}
	st, err := r.tree.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return // the caller fails, and nothing is changed
	}
	if err != nil || !st.Mode.IsRegular() {
		r.opaque(strings.Join(argv, " "), c)
		return
	}
	if st.Size > maxScript {
		return // no script is so large
	}
	text, err := r.tree.ReadFile(name)
	if err != nil {
		r.opaque(strings.Join(argv, " "), c)
		return
	}
	if !bytes.HasPrefix(text, []byte("#!")) && !isShell(argv[0]) {
		return
	}
	shebang, _, _ := strings.Cut(string(text), "\n")
	switch {
	case !Mentions(string(text)) && !calls(string(text)):
	case r.depth >= maxDepth, !isShell(argv[0]) && !shellLine(shebang):
		r.add(Effect{Kind: Opaque, Text: name, Args: argv[1:]}, call{c.conditional, c.fatal, name, 1})
	default:
		r.depth++
		r.text(text, name, 0, c, argv[1:])
		r.depth--
	}
}

// calls tells whether a script may call others that are scripts: it names a path.
func calls(text string) bool { return strings.Contains(text, "/") }

// shellLine tells whether the first line of a script names a shell.
func shellLine(line string) bool {
	for _, w := range strings.Fields(strings.TrimPrefix(line, "#!")) {
		if isShell(w) {
			return true
		}
	}
	return false
}

// text takes a text of the shell. Lines count from after; args are the positional
// parameters.
func (r *reader) text(text []byte, file string, after int, c call, args []string) {
	f, err := syntax.NewParser(syntax.Variant(syntax.LangBash)).Parse(bytes.NewReader(text), file)
	if err != nil {
		if Mentions(string(text)) {
			c.script, c.line = file, after+1
			r.opaque(string(text), c)
		}
		return
	}
	s := shell{reader: r, file: file, after: after, vars: map[string]string{}, call: c}
	for i, a := range args {
		s.vars[string(rune('1'+i))] = a
		if i == 8 {
			break
		}
	}
	s.list(f.Stmts, c)
}
