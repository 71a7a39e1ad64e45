package section

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const page = `# Benchmarks

By hand, before.

<!-- section lab -->
old lab
<!-- end lab -->

By hand, between.

<!-- section rules -->
<!-- end rules -->
By hand, after.
`

func TestSplice(t *testing.T) {
	got, err := splice(page, "rules", "new\n")
	want := strings.Replace(page, "<!-- section rules -->\n", "<!-- section rules -->\nnew\n", 1)
	if err != nil || got != want {
		t.Errorf("%v: %s", err, got)
	}
	again, err := splice(got, "rules", "new\n")
	if err != nil || again != got {
		t.Errorf("twice is not once: %v: %s", err, again)
	}
	if lab, err := splice(got, "lab", "new lab\n"); err != nil || lab != strings.Replace(got, "old lab", "new lab", 1) {
		t.Errorf("%v: %s", err, lab)
	}
}

func TestSpliceRefuses(t *testing.T) {
	for name, tc := range map[string]struct{ page, section, want string }{
		"no marker":   {page, "nic", `0 lines "<!-- section nic -->"`},
		"twice":       {page + page, "lab", "2 lines"},
		"not closed":  {"<!-- section a -->\n", "a", `not closed by "<!-- end a -->"`},
		"nested":      {"<!-- section a -->\n<!-- section b -->\n<!-- end a -->\n", "a", "not closed"},
		"two words":   {page, "a b", "cannot name"},
		"without one": {page, "", "cannot name"},
	} {
		if got, err := splice(tc.page, tc.section, "new"); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: want %q, got %v, %q", name, tc.want, err, got)
		}
	}
}

func TestWriteKeepsTheRest(t *testing.T) {
	file := filepath.Join(t.TempDir(), "page.md")
	if err := os.WriteFile(file, []byte(page), 0o640); err != nil {
		t.Fatal(err)
	}
	if err := Write(file, Section{Name: "rules", Command: "make bench-rules", Body: "\n| a | b |\n"}); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"By hand, before.", "old lab", "By hand, after.", "- Command: `make bench-rules`.\n", "\n| a | b |\n\n<!-- end rules -->"} {
		if !strings.Contains(string(got), want) {
			t.Errorf("%q is missing in %s", want, got)
		}
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("the mode is not kept: %v, %v", info.Mode(), err)
	}
	if left, _ := filepath.Glob(file + ".*"); len(left) > 0 {
		t.Errorf("left behind: %s", left)
	}
	if err := Write(file, Section{Name: "none"}); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("want an error that names the page, got %v", err)
	}
}

func TestRender(t *testing.T) {
	got := render(Section{Command: "make x", Body: "- more.\n\n| t |\n"}, "2 cores", time.Date(2026, 11, 26, 23, 0, 0, 0, time.UTC))
	want := "\n- Command: `make x`.\n- Machine: 2 cores.\n- Date: 2026-11-26.\n- more.\n\n| t |\n\n"
	if got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestDescribeMachine(t *testing.T) {
	files := map[string]string{"/proc/sys/kernel/osrelease": "6.1.0-x\n", "/proc/cpuinfo": "processor\t: 0\nmodel name\t: Some CPU\n"}
	read := func(name string) ([]byte, error) {
		text, ok := files[name]
		if !ok {
			return nil, fs.ErrNotExist
		}
		return []byte(text), nil
	}
	got, err := describeMachine(read)
	if err != nil || !strings.Contains(got, "(Some CPU), Linux 6.1.0-x, go") {
		t.Errorf("%q, %v", got, err)
	}
	delete(files, "/proc/cpuinfo")
	if got, err := describeMachine(read); err == nil {
		t.Errorf("a machine that cannot be read: %q", got)
	}
}
