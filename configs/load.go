package configs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"unicode/utf8"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
	"golang.org/x/sys/unix"
)

// maxSize bounds what is read: a configuration is a page or two.
const maxSize = 1 << 20

// Error is a mistake in a configuration file: where it is, what it is and how
// to mend it.
type Error struct {
	File         string
	Line, Column int    // from 1; 0 when the mistake has no place
	Key          string // dotted; empty when it has none
	Msg          string // what is wrong and the mend
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
// joined when there are several.
func Load(path string) (Config, error) {
	b, err := readFile(path)
	if err != nil {
		return Config{}, err
	}
	return Parse(path, b)
}

// Parse checks the text of a configuration file; name stands in its errors.
func Parse(name string, b []byte) (Config, error) {
	if line, col, ok := invalidUTF8(b); ok {
		return Config{}, &Error{File: name, Line: line, Column: col,
			Msg: "the file is not valid UTF-8 here: save it as UTF-8 text"}
	}
	c := Default()
	dec := toml.NewDecoder(bytes.NewReader(b)).DisallowUnknownFields()
	if err := dec.Decode(&c); err != nil {
		return Config{}, decodeError(name, b, err)
	}
	c.fillLinks(b)
	if errs := c.check(); len(errs) > 0 {
		places := keyPlaces(b)
		all := make([]error, 0, len(errs))
		for _, e := range errs {
			p, ok := places[e.Key]
			if table, _, in := strings.Cut(e.Key, "]."); !ok && in {
				p = places[table+"]"] // the key is missing: the table it should be in
			}
			e.File, e.Line, e.Column, e.Key = name, p.Line, p.Column, unnumbered(e.Key)
			all = append(all, e)
		}
		return Config{}, errors.Join(all...)
	}
	return c, nil
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

// readFile reads a regular file. It opens without blocking, so that a FIFO or
// a device in the file's place is an error and not a daemon that never starts.
func readFile(path string) ([]byte, error) {
	fail := func(format string, args ...any) ([]byte, error) {
		return nil, &Error{File: path, Msg: fmt.Sprintf(format, args...)}
	}
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fail("no such file: name an existing one with --config, or leave --config out to run with the defaults")
	case errors.Is(err, fs.ErrPermission):
		return fail("permission denied: run as root, or make the file readable")
	case err != nil:
		return fail("cannot be opened: %v", err)
	}
	defer f.Close()
	st, err := f.Stat()
	switch {
	case err != nil:
		return fail("cannot be examined: %v", err)
	case st.IsDir():
		return fail("is a directory: name the file in it, as %s", strings.TrimSuffix(path, "/")+"/lifeline.toml")
	case !st.Mode().IsRegular():
		return fail("is not a regular file (%s): name a plain text file", st.Mode().Type())
	}
	b, err := io.ReadAll(io.LimitReader(f, maxSize+1))
	if err != nil {
		return fail("cannot be read: %v", err)
	}
	if len(b) > maxSize {
		return fail("is larger than %d bytes: this is not a configuration of Lifeline", maxSize)
	}
	return b, nil
}

// decodeError turns the library's errors into ours.
func decodeError(name string, b []byte, err error) error {
	var strict *toml.StrictMissingError
	if errors.As(err, &strict) {
		var all []error
		for _, e := range strict.Errors {
			line, col := e.Position()
			key := strings.Join(e.Key(), ".")
			all = append(all, &Error{name, line, col, key, "unknown key" + suggest(key)})
		}
		return errors.Join(all...)
	}
	var de *toml.DecodeError
	if errors.As(err, &de) {
		line, col := de.Position()
		key := strings.Join(de.Key(), ".")
		if key == "" {
			key = keyAtLine(b, line)
		}
		return &Error{name, line, col, key, mend(strings.TrimPrefix(de.Error(), "toml: "), key)}
	}
	key, at := unquoted(b)
	return &Error{name, at.Line, at.Column, unnumbered(key), strings.TrimPrefix(err.Error(), "toml: ")}
}

// unquoted finds the first key that wants a string and has something else:
// the library reports such a value without its place.
func unquoted(b []byte) (key string, at unstable.Position) {
	wants := map[string]bool{}
	for _, k := range knownKeys() {
		wants[k.name] = strings.HasPrefix(k.value, `"`)
	}
	walk(b, func(k string, raw []byte, pos unstable.Position) {
		if key == "" && wants[wildcard(k)] && !bytes.ContainsAny(raw[:min(1, len(raw))], `"'`) {
			key, at = k, pos
		}
	})
	return key, at
}

// mend adds what to write to the library's words about a wrong value.
func mend(msg, key string) string {
	switch key {
	case "log.level":
		return `not a level: "debug", "info", "warn" or "error"`
	case "path.targets":
		return `not a list of IP addresses: write it as ["192.0.2.7", "2001:db8::7"], names are not looked up`
	}
	if !strings.Contains(msg, "cannot decode") && !strings.Contains(msg, "cannot unmarshal") && !strings.Contains(msg, "cannot store") {
		return msg
	}
	for _, k := range knownKeys() {
		if k.name == wildcard(key) && k.value == "" {
			return "is a table: write [" + key + "], and its keys below"
		}
		if k.name == wildcard(key) {
			return "wrong kind of value: write it as " + k.value
		}
	}
	return msg
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
