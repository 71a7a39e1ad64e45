package lex

import (
	"bytes"
	"regexp"
	"slices"
)

// includeStatement matches an include of nft(8) at the start of a statement.
var includeStatement = regexp.MustCompile(`(?m)(?:^|[;{}])[ \t]*include[ \t]+"([^"\n]*)"`)

// NFTIncludes lists what an nft file includes, in order.
func NFTIncludes(text []byte) []string {
	if !bytes.Contains(text, []byte("include")) {
		return nil
	}
	var out []string
	for line := range bytes.Lines(withoutComments(text)) {
		if !bytes.Contains(line, []byte("include")) {
			continue // the expression is slow, and no statement spans lines
		}
		for _, m := range includeStatement.FindAllSubmatch(line, -1) {
			out = append(out, string(m[1]))
		}
	}
	return out
}

// withoutComments blanks nft comments: from # to the end of the line, outside
// of quotes.
func withoutComments(text []byte) []byte {
	out := slices.Clone(text)
	quoted, comment := false, false
	for i, c := range out {
		switch {
		case c == '\n':
			quoted, comment = false, false
		case comment:
			out[i] = ' '
		case c == '"':
			quoted = !quoted
		case c == '#' && !quoted:
			comment = true
			out[i] = ' '
		}
	}
	return out
}
