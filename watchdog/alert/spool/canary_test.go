package spool

import (
	"testing"

	"lifeline/watchdog/alert/incident"
	"lifeline/watchdog/printable/printabletest"
)

// An error that lists incidents prints them as the list does.
func TestAmbiguousIncidentsKeepOffTheTerminal(t *testing.T) {
	f := idMatches{id: printabletest.Text, count: 2, youngest: []incident.Incident{{Summary: printabletest.Text}, {Summary: printabletest.Text}}}
	_, err := f.one()
	if err == nil || printabletest.Escaped(err.Error()) != "" {
		t.Errorf("%v", err)
	}
}
