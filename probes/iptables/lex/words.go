package lex

import (
	"errors"
	"strings"
)

// Limits of the restore tool's line reader (iptables-restore.c, xshared.c).
const (
	maxChunk = 10239 // bytes that one read of a line takes, a longer line is cut into several
	maxArg   = 1024  // bytes in one argument
	maxArgs  = 254   // arguments in one rule, with those that the tool adds
)

// Word is one argument of a rule and where it stands.
type Word struct {
	Text string
	Col  int // 1-based byte of the line
	End  int // that of the byte after it, its quotes included; 0 where it is no part of a line
}

// LineReader cuts a file into lines as fgets with the tool's buffer does.
type LineReader struct {
	Rest string
	Line int
}

// Next returns the next line with its newline, if it has one.
func (r *LineReader) Next() (string, bool) {
	if r.Rest == "" {
		return "", false
	}
	n := strings.IndexByte(r.Rest[:min(len(r.Rest), maxChunk)], '\n') + 1
	if n == 0 {
		n = min(len(r.Rest), maxChunk)
	}
	l := r.Rest[:n]
	r.Rest = r.Rest[n:]
	r.Line++
	if i := strings.IndexByte(l, 0); i >= 0 {
		l = l[:i] // the tool's strings end at a NUL
	}
	return l, true
}

// SplitWords cuts a rule into arguments: blanks separate, double quotes group,
// a backslash escapes inside quotes only, a closing quote ends the argument.
func SplitWords(dst []Word, line string, col int) ([]Word, error) {
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
			return dst, errors.New("parameter too long")
		}
		if len(dst) >= maxArgs-3 {
			return dst, errors.New("too many arguments")
		}
		dst = append(dst, Word{text, col + i, col + end})
		i = end
	}
	return dst, nil
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

// CutCounters takes "[packets:bytes]" off the front of a rule.
func CutCounters(line string) (rest string, err error) {
	if line[0] != '[' {
		return line, nil
	}
	end := strings.IndexByte(line, ']')
	if end < 0 {
		return "", errors.New("counters need ]")
	}
	colon := strings.IndexByte(line[1:], ':')
	if colon < 0 || end == 1 {
		return "", errors.New("counters need packets:bytes")
	}
	return line[end+1:], nil
}

// Fields is strtok(" \t\n") over the rest of a line.
func Fields(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ' ' || r == '\t' || r == '\n' })
}
