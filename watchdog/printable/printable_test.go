package printable

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"
)

func TestPrintable(t *testing.T) {
	for in, want := range map[string]string{
		"":                              "",
		"eth0 Grüße 日本 e\u0301 \"x\\\"": "eth0 Grüße 日本 e\u0301 \"x\\\"",
		"\x1b[2J\a\b\x7f\x00":           `\x1b[2J\a\b\x7f\x00`,
		"a\nb\rc\td":                    `a\nb\rc\td`,
		"\u009b31m\u0085":               `\u009b31m\u0085`,
		"\u202etxt\u2066\u200b":         `\u202etxt\u2066\u200b`,
		"\u2028\u00a0\ufeff":            `\u2028\u00a0\ufeff`,
		"\xff\xc2\x9b\xc2":              `\xff\u009b\xc2`,
		"\U000e0001\ufffd":              "\\U000e0001\ufffd",
	} {
		got := String(in)
		if got != want {
			t.Errorf("%q: got %s, want %s", in, got, want)
		}
		if String(got) != got {
			t.Errorf("%q: not the same twice", in)
		}
	}
}

func FuzzPrintable(f *testing.F) {
	f.Add("\x1b\u202e\xff\n")
	f.Fuzz(func(t *testing.T, s string) {
		got := String(s)
		if !utf8.ValidString(got) || strings.ContainsFunc(got, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("%q: %q", s, got)
		}
	})
}

func TestFprintf(t *testing.T) {
	const evil = "x\x1b\n"
	var b strings.Builder
	type stringer struct{ fmt.Stringer }
	type foreign string
	_, err := Fprintf(&b, "%s\t%v %s %v %s %v\n%d %s %g %v|", evil, foreign(evil), errors.New(evil), []string{evil}, stringer{netip.MustParseAddr("::1")}, nil,
		7, 3*time.Second, 1.5, true)
	const want = `x\x1b\n` + "\t" + `x\x1b\n x\x1b\n [x\x1b\n] ::1 <nil>` + "\n7 3s 1.5 true|"
	if err != nil || b.String() != want {
		t.Errorf("%v, got\n%q, want\n%q", err, b.String(), want)
	}
}
