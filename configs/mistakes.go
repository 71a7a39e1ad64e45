package configs

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// mostMistakes bounds how often a file is read anew without its mistakes.
const mostMistakes = 100

// reading is a file on its way to a Config, with all its mistakes. What is
// mistaken is blanked out of the text, so that the rest is read at its place.
type reading struct {
	file   string
	whole  []byte          // as it stands
	text   []byte          // as it is read
	cut    bool            // text ends where whole cannot be read on
	spoilt map[string]bool // keys, numbered, whose values are not known
	config Config
	errs   []*Error
}

// read reads a text as far as it goes. Its mistakes are in the order of their
// places.
func read(file string, b []byte) *reading {
	r := &reading{file: file, whole: b, text: bytes.Clone(b), spoilt: map[string]bool{}}
	r.cutInvalid()
	r.cutUnparsable()
	r.decode()
	r.config.fillLinks(r.text)
	if r.config.fillReceivers(r.text) != nil { // for a mistake that is noted, and has no place
		r.config.Receivers = nil
	}
	for _, e := range r.config.check() {
		r.judge(e)
	}
	r.sort()
	return r
}

// sort puts the mistakes into the order of their places; those without one are
// last.
func (r *reading) sort() {
	slices.SortStableFunc(r.errs, func(a, b *Error) int {
		return cmp.Or(cmp.Compare(-min(a.Line, 1), -min(b.Line, 1)), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
}

// err is all mistakes, joined; nil for none.
func (r *reading) err() error {
	var all []error
	for _, e := range r.errs {
		all = append(all, e)
	}
	return errors.Join(all...)
}

func (r *reading) bad(line, col int, key, msg string) {
	r.errs = append(r.errs, &Error{File: r.file, Line: line, Column: col, Key: unnumbered(key), Msg: msg})
}

// cutAt ends the text before a line, from 1.
func (r *reading) cutAt(line int) {
	at := 0
	for range line - 1 {
		n := bytes.IndexByte(r.text[at:], '\n')
		if n < 0 {
			return
		}
		at += n + 1
	}
	r.text, r.cut = r.text[:at], true
}

func (r *reading) cutInvalid() {
	if line, col, ok := invalidUTF8(r.text); ok {
		r.bad(line, col, "", "the file is not valid UTF-8 here: save it as UTF-8 text"+unread)
		r.cutAt(line)
	}
}

// unread is said of a place beyond which no key can be told from another.
const unread = " (what follows is not checked)"

// cutUnparsable ends the text before what is no TOML.
func (r *reading) cutUnparsable() {
	es, broken := expressions(r.text)
	if broken == nil {
		return
	}
	if !r.cut { // else it is broken where it was cut
		r.bad(broken.Line, broken.Column, "", broken.Msg+unread)
		r.cutAt(broken.Line)
		if es, broken = expressions(r.text); broken == nil {
			return
		}
	}
	last := 1 // where the last one begins that is whole: nothing after it is
	if len(es) > 0 {
		last = es[len(es)-1].line
	}
	r.cutAt(last)
}

// decode decodes the text again and again, each time without the mistake that
// ended it before.
func (r *reading) decode() {
	for range mostMistakes {
		r.config = Default()
		err := toml.NewDecoder(bytes.NewReader(r.text)).DisallowUnknownFields().Decode(&r.config)
		var strict *toml.StrictMissingError
		switch {
		case err == nil:
			return
		case errors.As(err, &strict): // everything else was decoded
			for i := range strict.Errors {
				r.unknown(&strict.Errors[i])
			}
			return
		case !r.blank(err):
			return
		}
	}
}

// unknown notes a key that there is not. The one that was meant is not missing.
func (r *reading) unknown(e *toml.DecodeError) {
	line, col := e.Position()
	key := strings.Join(e.Key(), ".")
	r.bad(line, col, key, "unknown key"+suggest(key))
	es, _ := expressions(r.text)
	if n := holder(es, line); n >= 0 {
		written, meant := es[n].key, nearestKey(key)
		r.spoilt[written[:strings.LastIndex(written, ".")+1]+meant[strings.LastIndex(meant, ".")+1:]] = true
	}
}

// blank notes the mistake that ended the decoding and blanks it out; false where
// it is not known which one it was.
func (r *reading) blank(err error) bool {
	es, _ := expressions(r.text)
	var de *toml.DecodeError
	var line, col, n int
	key, msg := "", strings.TrimPrefix(err.Error(), "toml: ")
	if errors.As(err, &de) {
		line, col = de.Position()
		key = strings.Join(de.Key(), ".")
		n = holder(es, line)
	} else { // the library tells of some without their place
		n = unquoted(es)
		if n >= 0 {
			line, col, key = es[n].line, es[n].column, unnumbered(es[n].key)
		}
	}
	if n < 0 {
		r.bad(line, col, key, msg)
		return false
	}
	if whole := unnumbered(es[n].key); !strings.HasPrefix(key, whole) { // the library may leave its table out
		key = whole
	}
	r.bad(line, col, key, withHint(msg, key, es[n].raw))
	r.spoilt[es[n].key] = true
	end := n + 1
	for es[n].table && end < len(es) && !es[end].table { // nobody knows what its keys are for
		end++
	}
	last := bytes.Count(r.text, []byte("\n")) + 2
	if end < len(es) {
		last = es[end].line
	}
	r.text = blankLines(r.text, es[n].line, last)
	return true
}

// blankLines makes spaces of the lines from one up to another, so that all others
// stay where they are.
func blankLines(b []byte, from, to int) []byte {
	out, line := bytes.Clone(b), 1
	for i, c := range out {
		switch {
		case c == '\n':
			line++
		case line >= from && line < to:
			out[i] = ' '
		}
	}
	return out
}

// judge notes a value that makes no sense, unless that rests on one that is not
// known.
func (r *reading) judge(e *Error) {
	keys := strings.Split(e.Key, and)
	places := keyPlaces(r.text)
	first := -1
	var notes []string
	for i, k := range keys {
		if r.unknowable(k) {
			return
		}
		note := "not written"
		if hasDefault(k) {
			note = "its default, not written"
		}
		if p, ok := places[k]; ok {
			if first < 0 {
				first = i
			}
			note = fmt.Sprintf("line %d", p.Line)
		}
		notes = append(notes, k[strings.LastIndex(k, ".")+1:]+": "+note)
	}
	if r.cut && (first < 0 || len(keys) > 1) {
		return // what is missing may stand where nobody could read
	}
	key := keys[max(first, 0)]
	at, written := places[key]
	if table, _, in := strings.Cut(key, "]."); !written && in {
		if at, written = places[unnumbered(key)]; !written { // as in [receiver]
			at = places[table+"]"] // the key is missing: the table it should be in
		}
	}
	msg := e.Msg
	if len(keys) > 1 {
		msg += " (" + strings.Join(notes, ", ") + ")"
	}
	r.bad(at.Line, at.Column, key, msg)
}

// hasDefault tells whether a key of a rule for two has a value when it is not
// written: the times have, the names of files and addresses have none.
func hasDefault(key string) bool {
	for _, k := range knownKeys() {
		if k.name == wildcard(key) {
			_, err := time.ParseDuration(strings.Trim(k.value, `"`))
			return err == nil
		}
	}
	return false
}

// unknowable tells whether a key was written and could not be read.
func (r *reading) unknowable(key string) bool {
	for k := key; ; k = k[:strings.LastIndex(k, ".")] {
		if r.spoilt[k] || r.spoilt[unnumbered(k)] && k != key {
			return true
		}
		if !strings.Contains(k, ".") {
			return false
		}
	}
}

// expression is a table's head, or a key with its value.
type expression struct {
	key          string // numbered
	table        bool
	raw          []byte // value
	line, column int
}

// expressions lists those of a text up to where it is no TOML, and says where
// that is.
func expressions(b []byte) (es []expression, broken *Error) {
	broken = walk(b, func(key string, raw []byte, at unstable.Position) {
		es = append(es, expression{key, raw == nil, bytes.Clone(raw), at.Line, at.Column})
	})
	return es, broken
}

// holder finds the expression that a line belongs to; -1 for none.
func holder(es []expression, line int) int {
	n, found := slices.BinarySearchFunc(es, line, func(e expression, line int) int { return cmp.Compare(e.line, line) })
	if !found {
		n--
	}
	return n
}

// Inspect reads a file as `check-config` does: it gives every mistake in it and in
// the files that it names for receivers, as *Error, joined. What cannot be tried
// outside the systemd unit is listed.
func Inspect(path string) (untried []string, err error) {
	b, err := readFile(path)
	if err != nil {
		return nil, err
	}
	r := read(path, b)
	if r.cut { // of the last receiver nobody knows all
		return nil, r.err()
	}
	ill := map[int]bool{}
	for i := range r.config.Receivers {
		ill[i] = r.illReceiver(i)
	}
	untried, wrong := r.config.AlertConfig().TryFiles(func(i int) bool { return ill[i] })
	for _, f := range wrong {
		r.judge(&Error{Key: fmt.Sprintf("receiver[%d].%s", f.Index, f.Field), Msg: fmt.Sprintf("receiver %q: %s", f.Receiver, f.Msg)})
	}
	r.sort()
	return untried, r.err()
}

// illReceiver tells whether something is wrong with a receiver's table already.
func (r *reading) illReceiver(i int) bool {
	table := fmt.Sprintf("receiver[%d].", i)
	for k := range r.spoilt {
		if strings.HasPrefix(k, table) {
			return true
		}
	}
	return slices.ContainsFunc(r.config.check(), func(e *Error) bool { return strings.HasPrefix(e.Key, table) })
}
