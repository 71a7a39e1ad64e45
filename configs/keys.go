package configs

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"

	"lifeline/watchdog/spelling"
)

// suggest names the known key that is nearest to a wrong one.
func suggest(key string) string {
	best := nearestKey(key)
	inLink := strings.HasPrefix(wildcard(key), "link.default.")
	if best == "" && inLink {
		name := strings.TrimPrefix(unnumbered(key), "link.")
		return fmt.Sprintf(": a link whose name has a dot is written in quotes, [link.%q]; else remove it", name)
	}
	if best == "" {
		return ": remove it; `lifeline check-config --example` lists every key"
	}
	return fmt.Sprintf(": did you mean %q?", strings.Replace(best, "link.default", linkPrefix(key), 1))
}

// nearestKey is the known key that a wrong one was probably meant to be; empty
// for none.
func nearestKey(key string) string {
	best, bestDist := "", 4
	inLink := strings.HasPrefix(wildcard(key), "link.default.")
	for _, k := range knownKeys() {
		if inLink && k.value == "" { // a table holds no tables
			continue
		}
		d := spelling.Distance(wildcard(key), k.name)
		if strings.HasPrefix(k.name, wildcard(key)+"_") { // "bearer" for "bearer_file"
			d = 1
		}
		if d < bestDist {
			best, bestDist = k.name, d
		}
	}
	return best
}

func linkPrefix(key string) string {
	if p := strings.Split(key, "."); len(p) > 2 {
		return p[0] + "." + p[1]
	}
	return "link.default"
}

// numbers are those of the tables in an array of tables: "receiver[2].url".
var numbers = regexp.MustCompile(`\[[0-9]+\]`)

// unnumbered is a key as it is written.
func unnumbered(key string) string { return numbers.ReplaceAllString(key, "") }

// wildcard maps the keys of every link to those of the default one, and of
// every receiver to those of the example.
func wildcard(key string) string {
	key = unnumbered(key)
	if p := strings.Split(key, "."); len(p) == 3 && p[0] == "link" {
		return "link.default." + p[2]
	}
	return key
}

type knownKey struct{ name, value string }

// knownKeys are the keys of the example and the values they have there.
func knownKeys() []knownKey {
	var ks []knownKey
	for _, text := range [][]byte{Example, exampleReceiver()} {
		walk(text, func(key string, raw []byte, _ unstable.Position) {
			ks = append(ks, knownKey{unnumbered(key), string(raw)})
		})
	}
	return ks
}

// exampleReceiver is the table of a receiver in the example, which stands there
// in a comment.
func exampleReceiver() []byte {
	const from = "# [[receiver]]"
	_, text, _ := bytes.Cut(Example, []byte(from))
	var b bytes.Buffer
	b.WriteString(strings.TrimPrefix(from, "# "))
	for line := range bytes.Lines(text) {
		b.Write(bytes.TrimPrefix(line, []byte("# ")))
	}
	return b.Bytes()
}

// keyPlaces finds where each key stands.
func keyPlaces(b []byte) map[string]unstable.Position {
	m := map[string]unstable.Position{}
	walk(b, func(key string, _ []byte, at unstable.Position) { m[key] = at })
	return m
}

// walk visits every key with its raw value and place; tables of an array are
// numbered, and have no value. It stops at the first syntax error and gives it.
func walk(b []byte, visit func(key string, raw []byte, at unstable.Position)) *Error {
	var p unstable.Parser
	p.Reset(b)
	var table []string
	count := map[string]int{}
	for p.NextExpression() {
		e := p.Expression()
		var parts []string
		var at unstable.Position
		for it := e.Key(); it.Next(); {
			if len(parts) == 0 {
				at = p.Shape(it.Node().Raw).Start
			}
			parts = append(parts, string(it.Node().Data))
		}
		switch e.Kind {
		case unstable.Table, unstable.ArrayTable:
			name := strings.Join(parts, ".")
			if e.Kind == unstable.ArrayTable {
				name, count[name] = fmt.Sprintf("%s[%d]", name, count[name]), count[name]+1
			}
			table = []string{name}
			visit(name, nil, at)
		case unstable.KeyValue:
			raw := append([]byte{}, p.Raw(e.Value().Raw)...)
			visit(strings.Join(append(slices.Clone(table), parts...), "."), raw, at)
		}
	}
	return syntaxError(&p)
}

// syntaxError is what ended a parser; nil at the end of its text.
func syntaxError(p *unstable.Parser) *Error {
	if p.Error() == nil {
		return nil
	}
	e := &Error{Line: 1, Column: 1, Msg: strings.TrimPrefix(p.Error().Error(), "toml: ")}
	var pe *unstable.ParserError
	if errors.As(p.Error(), &pe) && pe.Highlight != nil {
		at := p.Shape(p.Range(pe.Highlight)).Start
		e.Line, e.Column, e.Msg = at.Line, at.Column, pe.Message
	}
	return e
}
