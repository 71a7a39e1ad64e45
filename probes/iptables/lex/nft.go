package lex

import "strings"

// NFTToken is a word, a brace or the end of a statement (";").
type NFTToken struct {
	Text string
	Line int
}

// NFTLexer cuts a file into tokens; a newline ends a statement.
type NFTLexer struct {
	Text string
	i    int
	Line int // 1-based
}

// Next is the next token; ok is false at the end.
func (l *NFTLexer) Next() (t NFTToken, ok bool) {
	text := l.Text
	for l.i < len(text) {
		from, line := l.i, l.Line
		switch c := text[l.i]; {
		case c == '\n':
			l.Line++
			l.i++
			return NFTToken{";", line}, true
		case c == '\\' && l.i+1 < len(text) && text[l.i+1] == '\n':
			l.Line++
			l.i += 2
		case c == '#':
			for l.i < len(text) && text[l.i] != '\n' {
				l.i++
			}
		case c == '{' || c == '}' || c == ';':
			l.i++
			return NFTToken{text[from:l.i], line}, true
		case c == '"':
			j := strings.IndexByte(text[from+1:], '"')
			if j < 0 {
				j = len(text) - from - 1
			}
			l.i = min(from+j+2, len(text))
			l.Line += strings.Count(text[from:l.i], "\n")
			return NFTToken{text[from:l.i], line}, true
		case c == ' ' || c == '\t' || c == '\r':
			l.i++
		default:
			for l.i < len(text) && strings.IndexByte(" \t\r\n{};\"#", text[l.i]) < 0 {
				l.i++
			}
			return NFTToken{text[from:l.i], line}, true
		}
	}
	return NFTToken{}, false
}

// NFTTokens are the tokens of a file, without ends of empty statements.
func NFTTokens(text string) []NFTToken {
	var out []NFTToken
	l := NFTLexer{Text: text, Line: 1}
	for {
		t, ok := l.Next()
		if !ok {
			return out
		}
		if t.Text == ";" && len(out) > 0 && out[len(out)-1].Text == ";" {
			continue
		}
		out = append(out, t)
	}
}
