package systemd

import (
	"bytes"
	"strings"
	"unicode/utf8"
)

// Setting is one assignment of a unit file.
type Setting struct {
	Section, Key, Value string
	// File is the path in the tree, and Line the line on which the assignment begins.
	File string
	Line int
}

// Parse reads a unit file, or another of that syntax, as systemd does (systemd.syntax(7),
// src/shared/conf-parser.c): what it would warn of and ignore is left out.
func Parse(file string, text []byte) []Setting {
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	var out []Setting
	section := ""
	for l := range logicalLines(string(text)) {
		line := strings.TrimSpace(l.text)
		if line == "" || !utf8.ValidString(line) {
			continue
		}
		if name, ok := strings.CutPrefix(line, "["); ok {
			if name, ok = strings.CutSuffix(name, "]"); ok {
				section = name
			}
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if !ok || section == "" {
			continue
		}
		out = append(out, Setting{
			Section: section, Key: strings.TrimRight(key, " \t"), Value: strings.TrimLeft(value, " \t"),
			File: file, Line: l.number,
		})
	}
	return out
}

type logicalLine struct {
	text   string
	number int // of its first line
}

// logicalLines joins lines that end in a backslash; comments between them are left
// out, and so are those that stand alone.
func logicalLines(text string) func(yield func(logicalLine) bool) {
	return func(yield func(logicalLine) bool) {
		var at logicalLine
		joining := false
		number := 0
		for raw := range strings.Lines(text) {
			number++
			raw = strings.TrimRight(raw, "\n\r")
			if start := strings.TrimLeft(raw, " \t"); start != "" && (start[0] == '#' || start[0] == ';') {
				continue
			}
			if !joining {
				at = logicalLine{number: number}
			}
			if joining = continues(raw); joining {
				at.text += raw[:len(raw)-1] + " "
				continue
			}
			at.text += raw
			if !yield(at) {
				return
			}
		}
		if joining {
			yield(at)
		}
	}
}

// continues tells whether the backslash that ends a line is not itself escaped.
func continues(line string) bool {
	n := len(line) - len(strings.TrimRight(line, `\`))
	return n%2 == 1
}
