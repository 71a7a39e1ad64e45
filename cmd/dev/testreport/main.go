// Command testreport reads `go test -json` on standard input, prints what
// failed with its output, counts the rest, and fails when a test failed or
// when, as root, a test was skipped for want of root or of a namespace: a run
// that could not look is no proof.
package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

type event struct {
	Action  string
	Package string
	Test    string
	Output  string
	Elapsed float64
}

type key struct{ pkg, test string }

type report struct {
	output   map[key][]string
	running  map[key]bool
	passed   int
	skipped  []string // with their reasons
	failed   []key
	brokenBy int // lines that are no events: a build that failed
}

func newReport() *report {
	return &report{output: map[key][]string{}, running: map[key]bool{}}
}

func main() {
	r := newReport()
	if err := r.read(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "testreport:", err)
		os.Exit(2)
	}
	if !r.conclude(os.Stdout, os.Geteuid() == 0) {
		os.Exit(1)
	}
}

// read takes all events; a package's line is printed as it ends.
func (r *report) read(in io.Reader, out io.Writer) error {
	sc := bufio.NewScanner(in)
	sc.Buffer(nil, 16<<20)
	for sc.Scan() {
		var e event
		if err := json.Unmarshal(sc.Bytes(), &e); err != nil {
			fmt.Fprintln(out, sc.Text())
			r.brokenBy++
			continue
		}
		r.take(e, out)
	}
	return sc.Err()
}

func (r *report) take(e event, out io.Writer) {
	k := key{e.Package, e.Test}
	switch e.Action {
	case "pass", "skip", "fail":
		delete(r.running, k)
	}
	switch e.Action {
	case "run":
		r.running[k] = true
	case "output", "build-output":
		if e.Action == "build-output" {
			fmt.Fprint(out, e.Output)
			return
		}
		r.output[k] = append(r.output[k], e.Output)
	case "pass":
		if e.Test == "" {
			fmt.Fprintf(out, "ok    %s %.1fs\n", e.Package, e.Elapsed)
			return
		}
		r.passed++
		delete(r.output, k)
	case "skip":
		if e.Test != "" {
			r.skipped = append(r.skipped, fmt.Sprintf("%s %s: %s", e.Package, e.Test, reason(r.output[k])))
		}
	case "fail":
		r.failed = append(r.failed, k)
		fmt.Fprintf(out, "FAIL  %s %s %.1fs\n", e.Package, e.Test, e.Elapsed)
	}
}

// reason is what a test said before it was skipped.
func reason(lines []string) string {
	var said []string
	for _, l := range lines {
		l = strings.TrimSpace(l)
		if l != "" && !strings.HasPrefix(l, "===") && !strings.HasPrefix(l, "---") {
			said = append(said, l)
		}
	}
	return strings.Join(said, " ")
}

// unfinished are the tests of failed packages that began and never ended: one
// that hung until the time was up, or one that took the process with it. What
// they wrote, the stacks among it, is all there is to learn from.
func (r *report) unfinished() []key {
	broken := map[string]bool{}
	for _, k := range r.failed {
		broken[k.pkg] = broken[k.pkg] || k.test == ""
	}
	var ks []key
	for k := range r.running {
		if broken[k.pkg] {
			ks = append(ks, k)
		}
	}
	slices.SortFunc(ks, func(a, b key) int {
		return cmp.Or(cmp.Compare(a.pkg, b.pkg), cmp.Compare(a.test, b.test))
	})
	return ks
}

// most is how many lines of one test are worth reading at each end.
const most = 400

// tail joins lines, and leaves the middle out where they are very many.
func tail(lines []string) string {
	if len(lines) > 2*most {
		gap := fmt.Sprintf("[%d lines left out]\n", len(lines)-2*most)
		lines = slices.Concat(lines[:most], []string{gap}, lines[len(lines)-most:])
	}
	return strings.Join(lines, "")
}

// privileged are the words by which a test says that it was not let look.
var privileged = []string{"root", "namespace", "privilege", "CAP_"}

// conclude prints the failures and the count, and tells whether all is well.
func (r *report) conclude(out io.Writer, root bool) bool {
	for _, k := range slices.Concat(r.failed, r.unfinished()) {
		fmt.Fprintf(out, "\n=== %s %s\n%s", k.pkg, k.test, tail(r.output[k]))
	}
	ok := len(r.failed) == 0 && r.brokenBy == 0
	for _, s := range r.skipped {
		fmt.Fprintln(out, "skip ", s)
		if root && slices.ContainsFunc(privileged, func(w string) bool { return strings.Contains(s, w) }) {
			fmt.Fprintln(out, "FAIL: as root this test must run")
			ok = false
		}
	}
	if r.passed == 0 {
		fmt.Fprintln(out, "FAIL: no test ran")
		ok = false
	}
	failed := 0
	for _, k := range r.failed {
		if k.test != "" {
			failed++
		}
	}
	fmt.Fprintf(out, "%d passed, %d failed, %d skipped\n", r.passed, failed, len(r.skipped))
	return ok
}
