package watchdog

import (
	"strings"
	"unicode"
)

// Printable replaces by question marks what a terminal would act on: control
// characters, and those that turn the direction of writing.
func Printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
}
