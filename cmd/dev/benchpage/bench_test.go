package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lifeline/cmd/dev/benchpage/section"
)

const output = `goos: linux
pkg: lifeline/probes/x
BenchmarkParse/1000-2         	       5	   2898359 ns/op	  985064 B/op	   10169 allocs/op
BenchmarkParse/1000-2         	       5	   1898359 ns/op	  985064 B/op	   10169 allocs/op
BenchmarkParse/1000-2         	       5	   9898359 ns/op	  985064 B/op	   10169 allocs/op
BenchmarkDecide_at_once-2     	       5	       753 ns/op	        50.00 aim-ms	         7.000 boxes
PASS
ok  	lifeline/probes/x	1.5s
`

func TestTable(t *testing.T) {
	rows, err := read(output)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	table(&b, rows)
	want := `- Each figure is the median of 3 runs.

| benchmark | time | aim | allocated | allocations | boxes |
|---|---|---|---|---|---|
| Parse/1000 | 2.9 ms | | 0.99 MB | 10169 | |
| Decide at once | 753.0 ns | <= 50.0 ms | | | 7 |
`
	if b.String() != want {
		t.Errorf("got\n%swant\n%s", b.String(), want)
	}
}

func TestReadRefuses(t *testing.T) {
	for name, text := range map[string]string{
		"nothing":     "",
		"none":        "PASS\nok  \tx\t1s\n",
		"failed":      output + "FAIL\n",
		"one failed":  "--- FAIL: BenchmarkX\n" + output,
		"cut short":   strings.Split(output, "PASS")[0],
		"not numbers": strings.Replace(output, "753", "x", 1),
	} {
		if rows, err := read(text); err == nil {
			t.Errorf("%s: %v", name, rows)
		}
	}
}

func TestRunLeavesThePageWhenItFails(t *testing.T) {
	page := filepath.Join(t.TempDir(), "page.md")
	const before = "<!-- section x -->\nold\n<!-- end x -->\n"
	if err := os.WriteFile(page, []byte(before), 0o644); err != nil {
		t.Fatal(err)
	}
	s := section.Section{Name: "x", Command: "make bench-x"}
	if err := run(strings.NewReader(output+"FAIL\n"), io.Discard, page, s); err == nil {
		t.Error("no error")
	}
	if got, _ := os.ReadFile(page); string(got) != before {
		t.Errorf("%s", got)
	}
	if err := run(strings.NewReader(output), io.Discard, page, s); err != nil {
		t.Error(err)
	}
	if got, _ := os.ReadFile(page); !strings.Contains(string(got), "| Parse/1000 | 2.9 ms |") || strings.Contains(string(got), "old") {
		t.Errorf("%s", got)
	}
}
