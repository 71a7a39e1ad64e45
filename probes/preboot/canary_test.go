package preboot

import (
	"encoding/json"
	"strings"
	"testing"

	"lifeline/watchdog/printable/printabletest"
)

// Whatever stands in an answer, and in which field.
func TestReportKeepsOffTheTerminal(t *testing.T) {
	for number := range 2 {
		for _, status := range []Status{"", OK, Fail, Unclear} {
			var r Report
			names := printabletest.Fill(&r, number)
			if status != "" {
				r.Checks[0].Status = status
			}
			for _, colour := range []bool{false, true} {
				var b strings.Builder
				if err := r.Text(&b, colour); err != nil {
					t.Fatal(err)
				}
				out := b.String()
				for _, ours := range []string{red, green, yellow, plain} {
					out = strings.ReplaceAll(out, ours, "")
				}
				if evil := printabletest.Escaped(out); evil != "" {
					t.Errorf("%s: %s", status, evil)
				}
				if n := printabletest.Count(out, names); n < len(names)/4 {
					t.Errorf("%s: of %d names only %d are printed:\n%s", status, len(names), n, out)
				}
			}
			if out, err := json.Marshal(r); err != nil || !json.Valid(out) || !strings.Contains(string(out), `canary0.\u001b[2J\n\r\t`) {
				t.Errorf("as JSON: %v: %.300s", err, out)
			}
		}
	}
}
