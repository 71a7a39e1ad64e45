// Package printable prints text of others (names of files, links, programs and peers,
// rules, what a tool said) for terminals and logs. Whatever a terminal would act on, or
// a reader would not see, comes out escaped as in a Go string; nothing is left out.
package printable

import (
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// String is text of others (names of files, links, programs and peers, rules, what
// a tool said) for a terminal or a line of a log. What one would act on stands there
// as in a Go string: control characters of both sets, line ends and tabs as well, what
// turns the direction of writing or is not to be seen, and bytes that are no UTF-8.
func String(s string) string {
	if isPrintable(s) {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[0])
		case unicode.IsPrint(r):
			b.WriteRune(r)
		default:
			q := strconv.QuoteRuneToASCII(r)
			b.WriteString(q[1 : len(q)-1])
		}
		s = s[n:]
	}
	return b.String()
}

func isPrintable(s string) bool {
	for _, r := range s {
		if !unicode.IsPrint(r) {
			return false
		}
	}
	return utf8.ValidString(s)
}

// Lines is String of each line: for what has line ends of our own.
func Lines(s string) string {
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		lines[i] = String(l)
	}
	return strings.Join(lines, "\n")
}

// Trusted is text of our own that Fprintf leaves as it is, such as colours.
type Trusted string

// Fprintf is fmt.Fprintf for people: all text among args goes through String. Only
// the format may move on a terminal, and begin lines.
func Fprintf(w io.Writer, format string, args ...any) (int, error) {
	return fmt.Fprintf(w, format, shown(args)...)
}

// Sprintf is fmt.Sprintf, likewise.
func Sprintf(format string, args ...any) string { return fmt.Sprintf(format, shown(args)...) }

func shown(args []any) []any {
	out := make([]any, len(args))
	for i, a := range args {
		out[i] = shownOne(a)
	}
	return out
}

func shownOne(a any) any {
	switch v := a.(type) {
	case nil:
		return nil
	case string:
		return String(v)
	case Trusted:
		return string(v)
	case error:
		return String(v.Error())
	}
	v := reflect.ValueOf(a)
	switch v.Kind() {
	case reflect.Bool, reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Float32, reflect.Float64:
		return a // what it is called is ours
	}
	return String(fmt.Sprint(a))
}
