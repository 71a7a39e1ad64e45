package iptables

import "strings"

// nftLexer cuts a file into tokens; a newline ends a statement.
type nftLexer struct {
	text string
	i    int
	line int // 1-based
}

// next is the next token; ok is false at the end.
func (l *nftLexer) next() (t nftToken, ok bool) {
	text := l.text
	for l.i < len(text) {
		from, line := l.i, l.line
		switch c := text[l.i]; {
		case c == '\n':
			l.line++
			l.i++
			return nftToken{";", line}, true
		case c == '\\' && l.i+1 < len(text) && text[l.i+1] == '\n':
			l.line++
			l.i += 2
		case c == '#':
			for l.i < len(text) && text[l.i] != '\n' {
				l.i++
			}
		case c == '{' || c == '}' || c == ';':
			l.i++
			return nftToken{text[from:l.i], line}, true
		case c == '"':
			j := strings.IndexByte(text[from+1:], '"')
			if j < 0 {
				j = len(text) - from - 1
			}
			l.i = min(from+j+2, len(text))
			l.line += strings.Count(text[from:l.i], "\n")
			return nftToken{text[from:l.i], line}, true
		case c == ' ' || c == '\t' || c == '\r':
			l.i++
		default:
			for l.i < len(text) && strings.IndexByte(" \t\r\n{};\"#", text[l.i]) < 0 {
				l.i++
			}
			return nftToken{text[from:l.i], line}, true
		}
	}
	return nftToken{}, false
}

// nftTokens are the tokens of a file, without ends of empty statements.
func nftTokens(text string) []nftToken {
	var out []nftToken
	l := nftLexer{text: text, line: 1}
	for {
		t, ok := l.next()
		if !ok {
			return out
		}
		if t.text == ";" && len(out) > 0 && out[len(out)-1].text == ";" {
			continue
		}
		out = append(out, t)
	}
}
