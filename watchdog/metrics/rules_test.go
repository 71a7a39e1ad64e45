package metrics

import (
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The alert rules ask for metrics that there are, and promtool takes them.
func TestAlertRules(t *testing.T) {
	const file = "../../configs/packaging/prometheus/lifeline.rules.yml"
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	names := regexp.MustCompile(`\blifeline_\w+`).FindAllString(string(b), -1)
	if len(names) < 8 {
		t.Fatalf("only %q", names)
	}
	for _, name := range names {
		name = strings.TrimSuffix(name, "_bucket")
		if !slices.ContainsFunc(families(), func(f family) bool { return f.name == name }) {
			t.Errorf("%s asks for %s", file, name)
		}
	}
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("promtool is not installed (Debian: prometheus): the rules are not checked by it")
	}
	if out, err := exec.CommandContext(t.Context(), promtool, "check", "rules", file).CombinedOutput(); err != nil {
		t.Errorf("promtool check rules: %v\n%s", err, out)
	}
}
