package lex

import (
	"slices"
	"strings"
	"testing"
)

func TestSplitWords(t *testing.T) {
	for _, c := range []struct {
		line string
		want []string
	}{
		{"-A INPUT\t-j  ACCEPT\n", []string{"-A", "INPUT", "-j", "ACCEPT"}},
		{`--comment "a \"b\" \\ c" x`, []string{"--comment", `a "b" \ c`, "x"}},
		{`a"b"c`, []string{"ab", "c"}},
		{`"" x`, []string{"", "x"}},
		{`x "never closed`, []string{"x", "never closed"}},
		{`x "`, []string{"x"}},
		{`it's \n`, []string{"it's", `\n`}},
	} {
		words, err := SplitWords(nil, c.line, 1)
		var got []string
		for _, w := range words {
			got = append(got, w.Text)
			if own := c.line[w.Col-1 : w.End-1]; strings.Trim(own, " \t\n") != own || !strings.HasPrefix(w.Text, strings.Trim(own, `"`)[:min(1, len(w.Text))]) {
				t.Errorf("%q: %q stands at %q", c.line, w.Text, own)
			}
		}
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%q: got %q, %v", c.line, got, err)
		}
	}
	if _, err := SplitWords(nil, strings.Repeat("x", 2000), 1); err == nil {
		t.Error("an argument of 2000 bytes passes")
	}
	if _, err := SplitWords(nil, strings.Repeat("x ", 300), 1); err == nil {
		t.Error("300 arguments pass")
	}
}

func TestNumber(t *testing.T) {
	for _, c := range []struct {
		in   string
		want uint64
		ok   bool
	}{
		{"22", 22, true}, {"022", 18, true}, {"0x16", 22, true}, {"+7", 7, true}, {"-1", 0, false}, {"", 0, false},
		{"0x", 0, false}, {"08", 0, false}, {"22a", 0, false}, {"99999999999999999999", 0, false}, {" 5", 5, true}, {"0", 0, true},
	} {
		got, ok := Number(c.in, 0, 1<<63)
		if ok != c.ok || ok && got != c.want {
			t.Errorf("%q: got %d, %v", c.in, got, ok)
		}
	}
}
