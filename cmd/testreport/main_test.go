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
		r := report{output: map[key][]string{}}
		var out strings.Builder
		if err := r.read(strings.NewReader(tc.in), &out); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got := r.conclude(&out, tc.root); got != tc.want {
			t.Errorf("%s: %v, want %v\n%s", name, got, tc.want, out.String())
		}
	}
}
