package sandbox

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

func TestCut(t *testing.T) {
	text := "# head\n*raw\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -j ACCEPT\nCOMMIT\n\n*filter\n:A - [0:0]\n-A A -j 1\n-A A -j 2\n# between\n-A A -j 3\n-A A -j 4\n-A A -j 5\nCOMMIT\n"
	got, err := splitChunks([]byte(text), 2)
	if err != nil {
		t.Fatal(err)
	}
	var words []string
	for _, p := range got {
		words = append(words, fmt.Sprintf("%s %v %q", p.table, p.noFlush, strings.TrimLeft(string(p.text), "\n")))
	}
	want := []string{
		`raw false "*raw\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -j ACCEPT\nCOMMIT\n"`,
		`filter false "*filter\n:A - [0:0]\n-A A -j 1\n-A A -j 2\n\nCOMMIT\n"`,
		`filter true "*filter\n` + strings.Repeat(`\n`, 10) + `-A A -j 3\n-A A -j 4\nCOMMIT\n"`,
		`filter true "*filter\n` + strings.Repeat(`\n`, 12) + `-A A -j 5\nCOMMIT\n"`,
	}
	if strings.Join(words, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(words, "\n"), strings.Join(want, "\n"))
	}
	lines := strings.Split(text, "\n")
	for _, p := range got {
		for i, l := range strings.Split(string(p.text), "\n") {
			if strings.HasPrefix(l, "-A") && lines[i] != l {
				t.Errorf("%q stands in line %d", l, i+1)
			}
		}
	}
	for _, bad := range []string{"*filter\n-A x\n", "-A x\n", "*filter\n-A x\nCOMMIT", "*filter\n-A x\n:B - [0:0]\nCOMMIT\n", "*filter\n:A - [0:0]\n-A x\n-A x\n-A x\n:B - [0:0]\nCOMMIT\n", "x"} {
		if p, err := splitChunks([]byte(bad), 2); err == nil {
			t.Errorf("%q is cut into %d chunks", bad, len(p))
		}
	}
}

// TestCutTakesNoMultiple: each chunk has all empty lines before it, and a file of which
// many would be made is left whole.
func TestCutTakesNoMultiple(t *testing.T) {
	const size = 4 << 20
	lines := bytes.Repeat([]byte("-A INPUT -j ACCEPT\n"), size/19)
	if chunks, err := splitChunks(append([]byte("*filter\n"), append(lines, "COMMIT\n"...)...), 25); err == nil {
		t.Errorf("%d chunks, each with all empty lines before it", len(chunks))
	}
}

func FuzzCut(f *testing.F) {
	f.Add([]byte("*filter\n:A - [0:0]\n-A A -j 1\n-A A -j 2\nCOMMIT\n"), 1)
	f.Fuzz(func(t *testing.T, text []byte, n int) {
		chunks, err := splitChunks(text, 1+n&7)
		if err != nil {
			return
		}
		count := 0
		for _, p := range chunks {
			count += bytes.Count(p.text, []byte("\n-A"))
		}
		if want := bytes.Count(text, []byte("\n-A")); count != want {
			t.Errorf("%d of %d rules are left", count, want)
		}
	})
}
