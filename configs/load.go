package configs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"lifeline/watchdog/files"
)

// maxSize bounds what is read: a configuration is a page or two.
const maxSize = 1 << 20

// Error is a mistake in a configuration file: where it is, what it is and how
// to do about it.
type Error struct {
	File         string
	Line, Column int    // from 1; 0 when the mistake has no place
	Key          string // dotted; empty when it has none
	Msg          string // what is wrong and what to do
}

// Error is "FILE:LINE:COLUMN: key "K": MSG".
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.File)
	if e.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", e.Line, e.Column)
	}
	b.WriteString(": ")
	if e.Key != "" {
		fmt.Fprintf(&b, "key %q: ", e.Key)
	}
	b.WriteString(e.Msg)
	return b.String()
}

// Load reads and checks a configuration file. All its errors are *Error,
// joined when there are several, except for ErrNoAnswer.
func Load(path string) (Config, error) {
	b, err := readFile(path)
	if err != nil {
		return Config{}, err
	}
	return Parse(path, b)
}

// Parse checks the text of a configuration file; name stands in its errors.
func Parse(name string, b []byte) (Config, error) {
	r := read(name, b)
	if err := r.err(); err != nil {
		return Config{}, err
	}
	return r.config, nil
}

// fillLinks gives a link's table the values of [link.default], and that one
// the built-in values, for the keys that it leaves out.
func (c *Config) fillLinks(b []byte) {
	set := keyPlaces(b)
	fill := func(name string, from Link) Link {
		l := c.Link[name]
		for key, take := range map[string]func(){
			"capacity_rx": func() { l.CapacityRx = from.CapacityRx },
			"capacity_tx": func() { l.CapacityTx = from.CapacityTx },
			"ingress":     func() { l.Ingress = from.Ingress },
			"egress":      func() { l.Egress = from.Egress },
		} {
			if _, ok := set["link."+name+"."+key]; !ok {
				take()
			}
		}
		return l
	}
	c.Link["default"] = fill("default", defaultLink)
	for name := range c.Link {
		if name != "default" {
			c.Link[name] = fill(name, c.Link["default"])
		}
	}
}

// reader reads configuration files.
var reader = files.NewReader()

// ErrNoAnswer is of a file that cannot be read in time: that says nothing of what
// is in it.
var ErrNoAnswer = files.ErrNoAnswer

// readFile reads a regular file, in bounded time: a FIFO, a device or a dead
// mount in the file's place is an error and not a daemon that never starts.
func readFile(path string) ([]byte, error) {
	fail := func(format string, args ...any) ([]byte, error) {
		return nil, &Error{File: path, Msg: fmt.Sprintf(format, args...)}
	}
	b, err := reader.Read(context.Background(), path, maxSize)
	var at *fs.PathError
	switch {
	case err == nil:
		return b, nil
	case errors.Is(err, fs.ErrNotExist):
		return fail("no such file: name an existing one with --config, or leave --config out to run with the defaults")
	case errors.Is(err, fs.ErrPermission):
		return fail("permission denied: run as root, or make the file readable")
	case errors.Is(err, files.ErrNotRegular):
		return fail("%s", wrongKind(path))
	case errors.Is(err, files.ErrTooLarge):
		return fail("is larger than %d bytes: this is not a configuration of Lifeline", maxSize)
	case errors.Is(err, files.ErrNoAnswer):
		return nil, fmt.Errorf("%s: %w", path, err)
	case errors.As(err, &at) && at.Op == "open":
		return fail("cannot be opened: %v", err)
	}
	return fail("cannot be read: %v", err)
}

// wrongKind says what stands where a file should, and what to do.
func wrongKind(path string) string {
	st, err := os.Stat(path)
	switch {
	case err != nil:
		return fmt.Sprintf("is not a regular file: %v", err)
	case st.IsDir():
		return fmt.Sprintf("is a directory: name the file in it, as %s", strings.TrimSuffix(path, "/")+"/lifeline.toml")
	}
	return fmt.Sprintf("is not a regular file (%s): name a plain text file", st.Mode().Type())
}

// unquoted finds the first key that wants a string and has something else, as
// the library tells of such a value without its place; -1 for none.
func unquoted(es []expression) int {
	wants := map[string]bool{}
	for _, k := range knownKeys() {
		wants[k.name] = strings.HasPrefix(k.value, `"`)
	}
	return slices.IndexFunc(es, func(e expression) bool {
		return !e.table && wants[wildcard(e.key)] && !bytes.ContainsAny(e.raw[:min(1, len(e.raw))], `"'`)
	})
}

// withHint adds what to write to the library's words about a wrong value.
func withHint(msg, key string, raw []byte) string {
	switch key {
	case "log.level":
		return `not a level: "debug", "info", "warn" or "error"`
	case "path.targets":
		return `not a list of IP addresses: write it as ["192.0.2.7", "2001:db8::7"], names are not looked up`
	case "web.hosts":
		return `not a list of host names: write it as ["metrics.example.org"]`
	}
	if !strings.Contains(msg, "cannot decode") && !strings.Contains(msg, "cannot unmarshal") && !strings.Contains(msg, "cannot store") {
		return msg
	}
	for _, k := range knownKeys() {
		if k.name == wildcard(key) && k.value == "" {
			return "is a table: write [" + key + "], and its keys below"
		}
		if k.name == wildcard(key) {
			return "wrong kind of value: write it " + written(string(raw), k.value)
		}
	}
	return msg
}

// written says how to write a value of which an example is known.
func written(raw, example string) string {
	word := strings.ToLower(strings.Trim(raw, `"'`))
	_, numeric := strconv.Atoi(example)
	_, whole := strconv.Atoi(word)
	switch {
	case example == "true" || example == "false":
		switch word {
		case "true", "yes", "on", "y", "1", "enabled":
			return "as true"
		case "false", "no", "off", "n", "0", "disabled":
			return "as false"
		}
		return "as true or false"
	case numeric == nil && whole == nil:
		return "as " + word
	case numeric == nil:
		return "as a whole number, as " + example
	case strings.HasPrefix(example, `"`) && len(example) > len(`""`):
		return "in quotes, as " + example
	case strings.HasPrefix(example, `"`):
		return "in quotes"
	case strings.HasPrefix(example, "["):
		return "as a list, as " + example
	}
	return "as " + example
}

// invalidUTF8 finds the first byte that is no UTF-8.
func invalidUTF8(b []byte) (line, col int, found bool) {
	line, col = 1, 1
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		if r == utf8.RuneError && n == 1 {
			return line, col, true
		}
		col++
		if r == '\n' {
			line, col = line+1, 1
		}
		b = b[n:]
	}
	return 0, 0, false
}
