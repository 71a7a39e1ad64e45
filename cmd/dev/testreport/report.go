package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

const module = "lifeline/"

// event is one line of `go test -json` (go doc test2json).
type event struct {
	Action  string
	Package string
	Test    string
	Output  string
	Elapsed float64 // seconds
}

type key struct{ pkg, test string }

// report is what is known of all tests. One that is skipped in one run and passes in
// another, as under the race detector and without it, has passed.
type report struct {
	output   map[key][]string
	began    map[key]time.Time // of tests that run
	waiting  map[key]bool      // of these, those that wait for their turn (t.Parallel)
	packages map[string]bool   // that run
	passed   map[key]bool
	skipped  map[key]string // with their reasons
	failed   []key
	brokenBy int // lines that are no events: a build that failed
}

func newReport() *report {
	return &report{
		output: map[key][]string{}, began: map[key]time.Time{}, waiting: map[key]bool{}, packages: map[string]bool{},
		passed: map[key]bool{}, skipped: map[key]string{},
	}
}

// take takes one line at a moment, and gives what is to be printed of it: the end of
// a package, a failure, and what is no event.
func (r *report) take(line []byte, now time.Time) string {
	var e event
	if err := json.Unmarshal(line, &e); err != nil {
		r.brokenBy++
		return string(line) + "\n"
	}
	k := key{e.Package, e.Test}
	switch e.Action {
	case "start":
		r.packages[e.Package] = true
	case "run":
		r.began[k] = now
	case "pause":
		r.waiting[k] = true
	case "cont":
		delete(r.waiting, k)
		r.began[k] = now
	case "output":
		r.output[k] = append(r.output[k], e.Output)
	case "build-output":
		return e.Output
	case "pass", "skip", "fail":
		return r.end(k, e)
	}
	return ""
}

// end takes the end of a test or of a package.
func (r *report) end(k key, e event) string {
	delete(r.began, k)
	delete(r.waiting, k)
	if e.Test == "" {
		delete(r.packages, e.Package)
	}
	switch {
	case e.Action == "fail":
		r.failed = append(r.failed, k)
		return fmt.Sprintf("FAIL  %s %s %.1fs\n", e.Package, e.Test, e.Elapsed)
	case e.Test == "" && e.Action == "pass":
		return fmt.Sprintf("ok    %s %.1fs\n", e.Package, e.Elapsed)
	case e.Test == "":
	case e.Action == "pass":
		r.passed[k] = true
		delete(r.output, k)
	default:
		r.skipped[k] = reason(r.output[k])
	}
	return ""
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

// unfinished are the tests of a package that began and did not end.
func (r *report) unfinished(pkg string) []key {
	var ks []key
	for k := range r.began {
		if k.pkg == pkg {
			ks = append(ks, k)
		}
	}
	slices.SortFunc(ks, func(a, b key) int { return cmp.Compare(a.test, b.test) })
	return ks
}

// parent tells whether tests run that belong to this one.
func (r *report) parent(k key) bool {
	for other := range r.began {
		if other.pkg == k.pkg && strings.HasPrefix(other.test, k.test+"/") {
			return true
		}
	}
	return false
}

// brokenOff are the tests of failed packages that began and never ended: one that hung
// until the time was up, or one that took the process with it. What they wrote, the
// stacks among it, is all there is to learn from.
func (r *report) brokenOff() (ks []key) {
	pkgs := map[string]bool{}
	for _, k := range r.failed {
		pkgs[k.pkg] = pkgs[k.pkg] || k.test == ""
	}
	for _, pkg := range sortedKeys(pkgs) {
		if pkgs[pkg] {
			ks = append(ks, r.unfinished(pkg)...)
		}
	}
	return ks
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

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
	for _, k := range slices.Concat(r.failed, r.brokenOff()) {
		fmt.Fprintf(out, "\n=== %s %s\n%s", k.pkg, k.test, tail(r.output[k]))
	}
	ok := len(r.failed) == 0 && r.brokenBy == 0
	maps.DeleteFunc(r.skipped, func(k key, _ string) bool { return r.passed[k] })
	for _, k := range slices.SortedFunc(maps.Keys(r.skipped), func(a, b key) int {
		return cmp.Or(cmp.Compare(a.pkg, b.pkg), cmp.Compare(a.test, b.test))
	}) {
		s := fmt.Sprintf("%s %s: %s", k.pkg, k.test, r.skipped[k])
		fmt.Fprintln(out, "skip ", s)
		if root && slices.ContainsFunc(privileged, func(w string) bool { return strings.Contains(s, w) }) {
			fmt.Fprintln(out, "FAIL: as root this test must run")
			ok = false
		}
	}
	if len(r.passed) == 0 {
		fmt.Fprintln(out, "FAIL: no test ran")
		ok = false
	}
	failed := 0
	for _, k := range r.failed {
		if k.test != "" {
			failed++
		}
	}
	fmt.Fprintf(out, "%d passed, %d failed, %d skipped\n", len(r.passed), failed, len(r.skipped))
	return ok
}
