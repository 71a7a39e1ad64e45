package lex

import "strings"

// OneOf reports whether a word is among those of a list, which blanks separate.
func OneOf(s, list string) bool {
	for f := range strings.FieldsSeq(list) {
		if f == s {
			return true
		}
	}
	return false
}

// Clip cuts a text for people after n bytes.
func Clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return s[:n] + "..."
}
