package watchdog

import (
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Printable is text of others (names of files, links, programs and peers, rules, what
// a tool said) for a terminal or a line of a log. What one would act on stands there
// as in a Go string: control characters of both sets, line ends and tabs as well, what
// turns the direction of writing or is not to be seen, and bytes that are no UTF-8.
func Printable(s string) string {
	if printable(s) {
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

func printable(s string) bool {
	for _, r := range s {
		if !unicode.IsPrint(r) {
			return false
		}
	}
	return utf8.ValidString(s)
}

// PrintableLines is Printable of each line: for what has line ends of our own.
func PrintableLines(s string) string {
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		lines[i] = Printable(l)
	}
	return strings.Join(lines, "\n")
}

// Ours is text that Fprintf leaves as it is, for the colours of our own.
type Ours string

// Fprintf is fmt.Fprintf for people: all text among args goes through Printable. Only
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
		return Printable(v)
	case Ours:
		return string(v)
	case error:
		return Printable(v.Error())
	}
	v := reflect.ValueOf(a)
	switch v.Kind() {
	case reflect.Bool, reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Float32, reflect.Float64:
		return a // what it is called is ours
	}
	return Printable(fmt.Sprint(a))
}
