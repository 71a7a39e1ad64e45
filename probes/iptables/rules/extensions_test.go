package rules

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"lifeline/probes/iptables/netfilter"
)

// extensionRule is a line of testdata/extensions.txt.
type extensionRule struct {
	name, table, rule string
	families          []netfilter.Family
}

func readExtensions(t *testing.T) (list []extensionRule) {
	t.Helper()
	text, err := os.ReadFile("../testdata/extensions.txt")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		w := strings.Fields(line)
		if strings.HasPrefix(line, "#") {
			continue
		}
		_, rule, _ := strings.Cut(line, "-A ")
		e := extensionRule{name: w[0], table: w[2], rule: "-A " + strings.TrimSpace(rule)}
		for _, c := range w[1] {
			e.families = append(e.families, netfilter.Family(c-'0'))
		}
		list = append(list, e)
	}
	return list
}

// TestExtensionsAreComplete: the list has every extension, and every line of it
// is read by name, with each of its options, into one rule.
func TestExtensionsAreComplete(t *testing.T) {
	want := map[string]bool{}
	for n := range maps.Keys(matchSpecs()) {
		want[n] = true
	}
	for n := range maps.Keys(targetSpecs()) {
		want[n] = true
	}
	sets, err := ParseIPSets("sets", []byte("create admins hash:net\n"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range readExtensions(t) {
		delete(want, e.name)
		for _, f := range e.families {
			for _, b := range []netfilter.Backend{netfilter.NFT, netfilter.Legacy} {
				text := fmt.Sprintf("*%s\n%s\nCOMMIT\n", e.table, e.rule)
				set, err := Parse("f", []byte(text), ParseOptions{Family: f, Backend: b, Sets: sets})
				if err != nil || set.Load == LoadUnknown && e.name != "nfacct" {
					t.Errorf("IPv%d %s: %s %s %v", f, b, e.rule, set.Load, err)
					continue
				}
				rules := 0
				for _, c := range set.Tables(0)[e.table].Chains {
					for _, r := range c.Rules {
						if rules++; r.Text != e.rule {
							t.Errorf("%s is kept as %s", e.rule, r.Text)
						}
					}
				}
				if rules != 1 {
					t.Errorf("%s: %d rules", e.rule, rules)
				}
			}
		}
	}
	if len(want) > 0 {
		t.Errorf("no line for %q", slices.Sorted(maps.Keys(want)))
	}
}

// TestExtensionOptionsAreKnown damages one option name of each line: the parser
// must notice, so it knew the option by name.
func TestExtensionOptionsAreKnown(t *testing.T) {
	for _, e := range readExtensions(t) {
		for i, w := range strings.Fields(e.rule) {
			if !strings.HasPrefix(w, "--") {
				continue
			}
			words := strings.Fields(e.rule)
			words[i] = w + "-x"
			text := fmt.Sprintf("*%s\n%s\nCOMMIT\n", e.table, strings.Join(words, " "))
			set, err := Parse("f", []byte(text), ParseOptions{Family: e.families[0], Backend: netfilter.NFT})
			if err == nil {
				t.Errorf("%s: an option that does not exist passes", text)
			} else if set.Err.Line != 2 || !strings.Contains(set.Err.Why, w+"-x") {
				t.Errorf("%s: %v", text, err)
			}
		}
	}
}
