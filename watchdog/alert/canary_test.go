package alert

import (
	"encoding/json"
	"strings"
	"testing"

	"lifeline/watchdog/alert/incident"
	"lifeline/watchdog/alert/notify"
	"lifeline/watchdog/printable/printabletest"
)

// Whatever stands in an incident, a silence or an answer, and in which field.
func TestIncidentsKeepOffTheTerminal(t *testing.T) {
	for number := range 2 {
		var i incident.Incident
		names := printabletest.Fill(&i, number)
		all := i.Text() + i.Row() + "\n"
		for _, name := range names {
			if !strings.Contains(all, name) && strings.Contains(i.Summary+i.ID+i.Host+string(i.Severity)+i.Cause.Subject+i.Cause.Evidence+i.Timeline[0].Text+i.Told[0].Receiver, name) {
				t.Errorf("%s is not printed", name)
			}
		}
		var s incident.Silence
		printabletest.Fill(&s, number)
		all += s.Row() + "\n"
		var a notify.Answer
		printabletest.Fill(&a, number)
		all += a.Row() + "\n"
		a.Untested = ""
		all += a.Row() + "\n"
		if evil := printabletest.Escaped(all); evil != "" {
			t.Errorf("%s", evil)
		}
		out, err := json.Marshal(i)
		if err != nil || !json.Valid(out) || !strings.Contains(string(out), `canary0.\u001b[2J\n\r\t`) {
			t.Errorf("as JSON: %v: %.300s", err, out)
		}
	}
}
