package alert

import (
	"encoding/json"
	"strings"
	"testing"

	"lifeline/watchdog/printable/printabletest"
)

// Whatever stands in an incident, a silence or an answer, and in which field.
func TestIncidentsKeepOffTheTerminal(t *testing.T) {
	for number := range 2 {
		var i Incident
		names := printabletest.Fill(&i, number)
		all := i.Text() + i.Row() + "\n"
		for _, name := range names {
			if !strings.Contains(all, name) && strings.Contains(i.Summary+i.ID+i.Host+string(i.Severity)+i.Cause.Subject+i.Cause.Evidence+i.Timeline[0].Text+i.Told[0].Receiver, name) {
				t.Errorf("%s is not printed", name)
			}
		}
		var s Silence
		printabletest.Fill(&s, number)
		all += s.Row() + "\n"
		var a Answer
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

// An error that lists incidents prints them as the list does.
func TestAmbiguousIncidentsKeepOffTheTerminal(t *testing.T) {
	f := found{id: printabletest.Text, count: 2, youngest: []Incident{{Summary: printabletest.Text}, {Summary: printabletest.Text}}}
	_, err := f.one()
	if err == nil || printabletest.Escaped(err.Error()) != "" {
		t.Errorf("%v", err)
	}
}
