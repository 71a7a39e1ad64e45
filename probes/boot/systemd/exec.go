package systemd

import (
	"path"
	"strings"
)

// Exec is a command that a unit executes (systemd.service(5), "Command lines").
type Exec struct {
	// Argv is the program and its arguments. Known is false where one of them rests on a
	// variable whose value is not known: it is left as it is written.
	Argv  []string
	Known bool
	// IgnoreFailure tells that the unit does not fail with it.
	IgnoreFailure bool
	// At is where it is written.
	At Setting
}

// Commands are what a service executes for one of the settings ExecStartPre, ExecStart,
// ExecStartPost and ExecStop.
func (b *Boot) Commands(u *Unit, key string) []Exec {
	var out []Exec
	env := b.environment(u)
	for _, s := range u.All("Service", key) {
		for _, words := range commandLines(s.Value) {
			e := Exec{At: s, Known: true}
			name := words[0]
			prefix := name[:len(name)-len(strings.TrimLeft(name, "@-:+!|"))]
			name = name[len(prefix):]
			if name == "" {
				continue
			}
			e.IgnoreFailure = strings.Contains(prefix, "-")
			args := words[1:]
			if strings.Contains(prefix, "@") && len(args) > 0 {
				args = args[1:]
			}
			e.Argv = []string{u.expand(name)}
			for _, a := range args {
				values, known := []string{u.expand(a)}, true
				if !strings.Contains(prefix, ":") {
					values, known = substitute(u.expand(a), env)
				}
				e.Argv, e.Known = append(e.Argv, values...), e.Known && known
			}
			out = append(out, e)
		}
	}
	return out
}

// commandLines splits a value into words, and at words that are a semicolon into
// commands. Quotes and backslashes are those of systemd.syntax(7).
func commandLines(v string) [][]string {
	var out [][]string
	var words []string
	var word strings.Builder
	quote, inWord := byte(0), false
	end := func() {
		if inWord {
			words = append(words, word.String())
		}
		word.Reset()
		inWord = false
	}
	for i := 0; i < len(v); i++ {
		c := v[i]
		switch {
		case c == '\\' && i+1 < len(v) && quote != '\'':
			i++
			inWord = true
			word.WriteString(unescapeByte(v[i]))
		case quote != 0 && c == quote:
			quote = 0
		case quote != 0:
			word.WriteByte(c)
		case c == '"' || c == '\'':
			quote, inWord = c, true
		case c == ' ' || c == '\t':
			end()
		case c == ';' && !inWord && (i+1 == len(v) || v[i+1] == ' ' || v[i+1] == '\t'):
			if len(words) > 0 {
				out = append(out, words)
			}
			words = nil
		default:
			inWord = true
			word.WriteByte(c)
		}
	}
	end()
	if len(words) > 0 {
		out = append(out, words)
	}
	return out
}

// unescapeByte is what a backslash and a byte stand for.
func unescapeByte(c byte) string {
	switch c {
	case 'n':
		return "\n"
	case 't':
		return "\t"
	case 's':
		return " "
	}
	return string(c)
}

// substitute replaces $NAME as a word of its own, which is split, and ${NAME} anywhere.
// Variables that nothing sets are empty.
func substitute(arg string, env *environment) (values []string, known bool) {
	if name, ok := strings.CutPrefix(arg, "$"); ok && isVariable(name) {
		v, known := env.get(name)
		return strings.Fields(v), known
	}
	known = true
	var b strings.Builder
	for rest := arg; ; {
		before, after, ok := strings.Cut(rest, "${")
		b.WriteString(strings.ReplaceAll(before, "$$", "$"))
		if !ok {
			break
		}
		name, tail, closed := strings.Cut(after, "}")
		if !closed {
			b.WriteString("${" + after)
			break
		}
		v, set := env.get(name)
		b.WriteString(v)
		known = known && set
		rest = tail
	}
	return []string{b.String()}, known
}

func isVariable(name string) bool {
	return name != "" && strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_") == ""
}

// environment are the variables that a unit's commands have.
type environment struct {
	values map[string]string
	// doubtful tells that a file of variables could not be read.
	doubtful bool
}

func (e *environment) get(name string) (string, bool) {
	v, ok := e.values[name]
	return v, ok || !e.doubtful
}

// environment reads Environment= and then the files of EnvironmentFile=.
func (b *Boot) environment(u *Unit) *environment {
	e := &environment{values: map[string]string{}}
	for _, s := range u.All("Service", "Environment") {
		for _, words := range commandLines(s.Value) {
			for _, w := range words {
				if k, v, ok := strings.Cut(u.expand(w), "="); ok {
					e.values[k] = v
				}
			}
		}
	}
	for _, s := range u.All("Service", "EnvironmentFile") {
		name := strings.TrimPrefix(s.Value, "-")
		text, err := b.loader.tree.ReadFile(name)
		if err != nil {
			b.loader.doubt(name, err)
			e.doubtful = e.doubtful || strings.HasPrefix(name, "/run/")
			continue
		}
		for l := range logicalLines(string(text)) {
			if k, v, ok := strings.Cut(strings.TrimSpace(l.text), "="); ok {
				e.values[strings.TrimSpace(k)] = strings.Trim(strings.TrimSpace(v), `"'`)
			}
		}
	}
	return e
}

// Hidden tells whether the sandbox of a unit hides a path from its commands, and by which
// setting (systemd.exec(5)).
func (u *Unit) Hidden(name string) (Setting, bool) {
	under := func(dirs ...string) bool {
		for _, d := range dirs {
			if name == d || strings.HasPrefix(name, path.Clean(d)+"/") {
				return true
			}
		}
		return false
	}
	if s, ok := u.Get("Service", "ProtectHome"); ok {
		on, isBool := parseBool(s.Value)
		if (isBool && on || s.Value == "tmpfs") && under("/home", "/root", "/run/user") {
			return s, true
		}
	}
	if s, ok := u.Get("Service", "PrivateTmp"); ok {
		if on, _ := parseBool(s.Value); (on || s.Value == "disconnected") && under("/tmp", "/var/tmp") {
			return s, true
		}
	}
	for _, key := range []string{"InaccessiblePaths", "TemporaryFileSystem", "InaccessibleDirectories"} {
		for _, w := range u.Words("Service", key) {
			dir, _, _ := strings.Cut(strings.TrimLeft(w.Text, "-+"), ":")
			if under(dir) {
				return w.At, true
			}
		}
	}
	for _, key := range []string{"RootDirectory", "RootImage"} {
		if s, ok := u.Get("Service", key); ok && s.Value != "" && s.Value != "/" {
			return s, true
		}
	}
	return Setting{}, false
}
