package iptables

import (
	"fmt"
	"strings"
)

// Limits of the restore tool's line reader (iptables-restore.c, xshared.c).
const (
	maxChunk = 10239 // bytes that one read of a line takes, a longer line is cut into several
	maxArg   = 1024  // bytes in one argument
	maxArgs  = 254   // arguments in one rule, with those that the tool adds
)

// ParseError is why a rule file does not load.
type ParseError struct {
	File string
	// Line is 1-based, counted as the restore tool counts.
	Line int
	// Column is the 1-based byte of the line, 0 where the whole line is meant.
	Column int
	// Text is the offending line, without its end.
	Text string
	// Why says what is wrong.
	Why string
}

func (e *ParseError) Error() string {
	pos := fmt.Sprintf("%s:%d", e.File, e.Line)
	if e.Column > 0 {
		pos += fmt.Sprintf(":%d", e.Column)
	}
	if e.Text == "" {
		return pos + ": " + e.Why
	}
	return fmt.Sprintf("%s: %s: %q", pos, e.Why, clip(e.Text, 200))
}

func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return s[:n] + "..."
}

// word is one argument of a rule and where it begins.
type word struct {
	text string
	col  int // 1-based byte of the line
}

// lineReader cuts a file into lines as fgets with the tool's buffer does.
type lineReader struct {
	rest string
	line int
}

// next returns the next line with its newline, if it has one.
func (r *lineReader) next() (string, bool) {
	if r.rest == "" {
		return "", false
	}
	n := strings.IndexByte(r.rest[:min(len(r.rest), maxChunk)], '\n') + 1
	if n == 0 {
		n = min(len(r.rest), maxChunk)
	}
	l := r.rest[:n]
	r.rest = r.rest[n:]
	r.line++
	if i := strings.IndexByte(l, 0); i >= 0 {
		l = l[:i] // the tool's strings end at a NUL
	}
	return l, true
}

// splitWords cuts a rule into arguments: blanks separate, double quotes group,
// a backslash escapes inside quotes only, a closing quote ends the argument.
func splitWords(dst []word, line string, col int) ([]word, string) {
	for i := 0; i < len(line); {
		switch line[i] {
		case ' ', '\t', '\n':
			i++
			continue
		}
		j := i
		for j < len(line) && line[j] != ' ' && line[j] != '\t' && line[j] != '\n' && line[j] != '"' {
			j++
		}
		text, end := line[i:j], j
		if j < len(line) && line[j] == '"' {
			closed := false
			if text, end, closed = quotedWord(line, i, j); text == "" && !closed {
				break // an open quote with nothing after it
			}
		}
		if len(text) >= maxArg {
			return dst, "parameter too long"
		}
		if len(dst) >= maxArgs-3 {
			return dst, "too many arguments"
		}
		dst = append(dst, word{text, col + i})
		i = end
	}
	return dst, ""
}

// quotedWord reads an argument that starts at i and has its quote at q.
func quotedWord(line string, i, q int) (text string, end int, closed bool) {
	var b strings.Builder
	b.WriteString(line[i:q])
	for j := q + 1; j < len(line); j++ {
		switch c := line[j]; {
		case c == '\\' && j+1 < len(line):
			j++
			b.WriteByte(line[j])
		case c == '\\':
			// The tool drops a backslash at the very end.
		case c == '"':
			return b.String(), j + 1, true
		default:
			b.WriteByte(c)
		}
	}
	return b.String(), len(line), false
}

// cutCounters takes "[packets:bytes]" off the front of a rule.
func cutCounters(line string) (rest string, why string) {
	if line[0] != '[' {
		return line, ""
	}
	end := strings.IndexByte(line, ']')
	if end < 0 {
		return "", "counters need ]"
	}
	colon := strings.IndexByte(line[1:], ':')
	if colon < 0 || end == 1 {
		return "", "counters need packets:bytes"
	}
	return line[end+1:], ""
}

// fields is strtok(" \t\n") over the rest of a line.
func fields(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ' ' || r == '\t' || r == '\n' })
}
