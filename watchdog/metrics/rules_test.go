package metrics

import (
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const shipped = "../../configs/packaging/prometheus/"

// Rules and dashboard ask for metrics that there are.
func TestShippedQueries(t *testing.T) {
	for _, file := range []string{"lifeline.rules.yml", "lifeline.dashboard.json"} {
		b, err := os.ReadFile(shipped + file)
		if err != nil {
			t.Fatal(err)
		}
		names := regexp.MustCompile(`\blifeline_\w+`).FindAllString(string(b), -1)
		if len(names) < 8 {
			t.Fatalf("%s: only %q", file, names)
		}
		for _, name := range names {
			name = strings.TrimSuffix(name, "_bucket")
			if !slices.ContainsFunc(families(), func(f family) bool { return f.name == name }) {
				t.Errorf("%s asks for %s", file, name)
			}
		}
	}
}

func TestAlertRules(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("promtool is not installed (Debian: prometheus): the rules are not checked by it")
	}
	if out, err := exec.CommandContext(t.Context(), promtool, "check", "rules", shipped+"lifeline.rules.yml").CombinedOutput(); err != nil {
		t.Errorf("promtool check rules: %v\n%s", err, out)
	}
	if out, err := exec.CommandContext(t.Context(), promtool, "test", "rules", "testdata/rules_test.yml").CombinedOutput(); err != nil {
		t.Errorf("promtool test rules: %v\n%s", err, out)
	}
}
