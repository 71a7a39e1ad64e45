package lex

import (
	"strconv"
	"strings"
)

// Number reads what C's strtoul with base 0 reads, as a whole: decimal, octal
// with a leading 0, hexadecimal with 0x. A negative one is refused.
func Number(s string, lo, hi uint64) (uint64, bool) {
	v, rest, ok := NumberPrefix(s)
	return v, ok && rest == "" && v >= lo && v <= hi
}

// NumberPrefix reads a number from the beginning and returns what follows.
func NumberPrefix(s string) (v uint64, rest string, ok bool) {
	t := strings.TrimLeft(s, " \t\n\v\f\r")
	t = strings.TrimPrefix(t, "+")
	base := 10
	if len(t) > 1 && t[0] == '0' {
		base = 8
		if t[1] == 'x' || t[1] == 'X' {
			base = 16
		}
	}
	i := 0
	if base == 16 {
		if len(t) < 3 || digit(t[2]) >= 16 {
			return 0, t[1:], true // "0x" alone is a zero with an x behind it
		}
		i = 2
	}
	start := i
	for i < len(t) && digit(t[i]) < base {
		i++
	}
	if i == start {
		return 0, s, false
	}
	v, err := strconv.ParseUint(t[start:i], base, 64)
	return v, t[i:], err == nil
}

func digit(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return 99
}

// StartsNumeric is what sscanf %llu accepts.
func StartsNumeric(s string) bool {
	s = strings.TrimLeft(s, " \t\n\v\f\r")
	s = strings.TrimLeft(s, "+-")
	return s != "" && s[0] >= '0' && s[0] <= '9'
}
