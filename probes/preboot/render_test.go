package preboot

import (
	"flag"
	"os"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"lifeline/probes/iptables"
	"lifeline/probes/preboot/sandbox"
)

var update = flag.Bool("update", false, "write the golden files anew")

func sorted(list []string) []string {
	slices.Sort(list)
	return list
}

// golden compares text with a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := "testdata/" + name
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil || got != string(want) {
		t.Errorf("%s (-update writes it): %v\ngot\n%s\nwant\n%s", path, err, got, want)
	}
}

// checkText checks one rules file on the fake machine and renders the answer.
func checkText(t *testing.T, rules string, s *fakeTestbed) Report {
	t.Helper()
	root := tree(t, map[string]string{"etc/iptables/rules.v4": rules})
	r, err := fakeChecker(newFakeHost(), s, root).check(t.Context(), Options{Mgmt: prefixes("10.3.0.0/16")})
	if err != nil {
		t.Fatal(err)
	}
	for i := range r.Files {
		r.Files[i].Path = strings.TrimPrefix(r.Files[i].Path, root)
	}
	for i := range r.Checks {
		c := &r.Checks[i]
		c.LoadError = strings.ReplaceAll(c.LoadError, root, "")
		c.Summary = strings.ReplaceAll(c.Summary, root, "")
		for n := range c.Trace {
			c.Trace[n].File = strings.TrimPrefix(c.Trace[n].File, root)
		}
		for n := range c.Assumptions {
			c.Assumptions[n].File = strings.TrimPrefix(c.Assumptions[n].File, root)
		}
		for n := range c.Fixes {
			c.Fixes[n].Text = strings.ReplaceAll(c.Fixes[n].Text, root, "")
		}
	}
	r.Reason = strings.ReplaceAll(r.Reason, root, "")
	return r
}

func TestText(t *testing.T) {
	partly, refusing := goodTestbed(), goodTestbed()
	partly.denied = prefixes("10.3.7.0/24")[0]
	refusing.said = sandbox.LoadResult{Tool: "iptables-nft-restore", Code: 2, Stderr: "iptables-nft-restore v1.8.9 (nf_tables): unknown option \"--dprot\"\nError occurred at line: 4\n"}
	closed := strings.Replace(openRules4(), "-A INPUT -p tcp --dport 22", "-A INPUT -s 10.3.7.0/24 -j DROP\n-A INPUT -p tcp --dport 22", 1)
	limited := strings.Replace(openRules4(), "--dport 22", "--dport 22 -m limit --limit 3/min", 1)
	broken := strings.Replace(openRules4(), "--dport", "--dprot", 1)
	for name, r := range map[string]Report{
		"safe.txt":   checkText(t, openRules4(), goodTestbed()),
		"unsafe.txt": checkText(t, closed, partly),
		"limit.txt":  checkText(t, limited, goodTestbed()),
		"load.txt":   checkText(t, broken, refusing),
	} {
		var b strings.Builder
		if err := r.Text(&b, false); err != nil {
			t.Fatal(err)
		}
		golden(t, name, b.String())
		if n := strings.Count(b.String(), "\n"); n > 40 {
			t.Errorf("%s: %d lines are no screen", name, n)
		}
	}
}

func TestTextColours(t *testing.T) {
	r := Report{Verdict: Unsafe, Reason: "x", Checks: []CheckResult{{Name: Analysis, Status: Fail, Summary: "\x1b]0;evil\x07 rule\n"}}}
	var plainText, colours strings.Builder
	if err := r.Text(&plainText, false); err != nil || strings.Contains(plainText.String(), "\x1b") {
		t.Errorf("%q, %v", plainText.String(), err)
	}
	if err := r.Text(&colours, true); err != nil || !strings.Contains(colours.String(), red+"UNSAFE"+plain) {
		t.Errorf("%q, %v", colours.String(), err)
	}
	if strings.Contains(colours.String(), "\x1b]0") || strings.Contains(colours.String(), "\x07") {
		t.Errorf("a rules file reaches the terminal: %q", colours.String())
	}
}

// TestNothingReachesTheTerminal: whatever a report quotes, wherever it stands.
func TestNothingReachesTheTerminal(t *testing.T) {
	const evil = "a\x1b[2J\x1b]0;b\x07\u009b31m\u202ec\xff\r\x08"
	r := Report{Reason: evil, NotChecked: []string{evil}, Notes: []string{evil},
		Questions:   []Asked{{Iface: evil, How: []string{evil}}},
		Files:       []FileStatus{{Role: "rules4", Path: evil, Load: iptables.LoadFails, Error: evil}},
		Assumptions: []iptables.Assumption{{Name: evil, Why: evil}},
		Checks: []CheckResult{{Name: Analysis, Iface: evil, Status: Fail, Summary: evil, Warnings: []string{evil},
			Trace:          []iptables.TraceStep{{File: evil, Table: evil, Rule: evil}, {Did: evil}},
			Counterexample: &iptables.Packet{In: evil, Step: evil}, Assumptions: []iptables.Assumption{{Name: evil, Rule: evil, File: evil, Line: 1, Why: evil}},
			Fixes: []Fix{{Text: evil}}}}}
	for _, colour := range []bool{false, true} {
		var b strings.Builder
		if err := r.Text(&b, colour); err != nil {
			t.Fatal(err)
		}
		out := b.String()
		for _, ours := range []string{red, green, yellow, plain} {
			out = strings.ReplaceAll(out, ours, "")
		}
		if strings.ContainsAny(out, "\x1b\x07\r\x08\u009b\u202e") || !utf8.ValidString(out) {
			t.Errorf("%q", out)
		}
	}
}

func TestMendsAreNeverCut(t *testing.T) {
	rule := "-A INPUT -m comment --comment " + strings.Repeat("x", 300)
	r := Report{Checks: []CheckResult{{Name: Analysis, Status: Fail, Fixes: []Fix{{Text: rule}}, Trace: []iptables.TraceStep{{Table: "filter", Rule: rule}}}}}
	var b strings.Builder
	if err := r.Text(&b, false); err != nil || strings.Count(b.String(), rule) != 2 {
		t.Errorf("%v\n%s", err, b.String())
	}
}
