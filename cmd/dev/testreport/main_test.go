package main

import (
	"strings"
	"testing"
)

func TestConclude(t *testing.T) {
	pass := `{"Action":"pass","Package":"p","Test":"A"}` + "\n"
	skip := `{"Action":"output","Package":"p","Test":"B","Output":"    x.go:1: needs root\n"}
{"Action":"skip","Package":"p","Test":"B"}
`
	for name, tc := range map[string]struct {
		in   string
		root bool
		want bool
	}{
		"all passed":       {pass, true, true},
		"nothing ran":      {"", false, false},
		"skipped, no root": {pass + skip, false, true},
		"skipped as root":  {pass + skip, true, false},
		"failed":           {pass + `{"Action":"fail","Package":"p","Test":"C"}`, true, false},
		"package failed":   {pass + `{"Action":"fail","Package":"p"}`, true, false},
		"no event":         {pass + "panic: broken", true, false},
	} {
		r := newReport()
		var out strings.Builder
		if err := r.read(strings.NewReader(tc.in), &out); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got := r.conclude(&out, tc.root); got != tc.want {
			t.Errorf("%s: %v, want %v\n%s", name, got, tc.want, out.String())
		}
	}
}

// A test that hung has no end of its own; what it wrote must be shown.
func TestUnfinishedIsShown(t *testing.T) {
	in := `{"Action":"run","Package":"p","Test":"Hangs"}
{"Action":"output","Package":"p","Test":"Hangs","Output":"panic: test timed out\n"}
{"Action":"fail","Package":"p"}
`
	r := newReport()
	var out strings.Builder
	if err := r.read(strings.NewReader(in), &out); err != nil {
		t.Fatal(err)
	}
	if r.conclude(&out, true) || !strings.Contains(out.String(), "=== p Hangs\npanic: test timed out") {
		t.Errorf("%s", out.String())
	}
}
