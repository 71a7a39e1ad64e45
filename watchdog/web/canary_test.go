package web

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"lifeline/watchdog"
	"lifeline/watchdog/printable/printabletest"
)

// printed counts which of the names of a value stand in its text, and finds what a
// terminal would act on.
func printed(t *testing.T, what, text string, names []string, least int) {
	t.Helper()
	if evil := printabletest.Escaped(text); evil != "" {
		t.Errorf("%s: %s", what, evil)
	}
	if n := printabletest.Count(text, names); n < least {
		t.Errorf("%s: of %d names only %d are printed\n%s", what, len(names), n, text)
	}
}

// Whatever stands in a status, and in which field.
func TestStatusKeepsOffTheTerminal(t *testing.T) {
	for number, least := range map[int]int{0: 10, 1: 25} {
		var st Status
		names := printabletest.Fill(&st, number)
		var b strings.Builder
		if err := st.Text(&b); err != nil {
			t.Fatal(err)
		}
		printed(t, "status", b.String(), names, least)
		again := Status{Page: PageStatus{Err: "x" + printabletest.Text}, Capabilities: []watchdog.Capability{{Name: printabletest.Text, Why: printabletest.Text}}}
		b.Reset()
		if err := again.Text(&b); err != nil || printabletest.Escaped(b.String()) != "" {
			t.Errorf("%v, %s", err, printabletest.Escaped(b.String()))
		}
		if out, err := json.Marshal(st); err != nil || !json.Valid(out) || !strings.Contains(string(out), `canary0.\u001b[2J\n\r\t`) {
			t.Errorf("as JSON: %v: %.300s", err, out)
		}
	}
}

// What the loop reports goes the same way, from the snapshot on.
func TestReportKeepsOffTheTerminal(t *testing.T) {
	var r watchdog.Report
	names := printabletest.Fill(&r, 1)
	id := watchdog.TransferID("t" + printabletest.Text)
	r.Snapshot.Transfers[0].ID = id
	r.Decision.RateRequests = map[watchdog.TransferID]watchdog.RateRequest{id: {Rate: 7, Why: "why." + printabletest.Text}}
	r.Outcome.Unheld = map[watchdog.TransferID]string{id: "unheld." + printabletest.Text}
	for _, dry := range []bool{false, true} {
		st := Status{DryRun: dry}
		st.Fill(r)
		var b strings.Builder
		if err := st.Text(&b); err != nil {
			t.Fatal(err)
		}
		printed(t, "report", b.String(), names, 10)
	}
	h := NewHealth(time.Now())
	for _, rep := range []watchdog.Report{
		{Snapshot: watchdog.Snapshot{Errors: []watchdog.ProbeError{{Probe: watchdog.ProbeRsync.Part(printabletest.Text), Err: printabletest.Text}}}},
		{Outcome: watchdog.Outcome{Failed: []watchdog.Failure{{Remedy: "ledger", Err: printabletest.Text}}}},
	} {
		h.Cycle(time.Now(), rep)
		if err := h.Ready(time.Now()); err == nil || printabletest.Escaped(err.Error()) != "" {
			t.Errorf("%v", err)
		}
	}
}

func TestAlertsKeepOffTheTerminal(t *testing.T) {
	for number, least := range map[int]int{0: 4, 1: 10} {
		var a Alerts
		names := printabletest.Fill(&a, number)
		var b strings.Builder
		if err := a.Text(&b); err != nil {
			t.Fatal(err)
		}
		printed(t, "alerts", b.String(), names, least)
		a.Status.Receivers[0].Type = ""
		b.Reset()
		if err := a.Text(&b); err != nil || printabletest.Escaped(b.String()) != "" {
			t.Errorf("%v, %s", err, printabletest.Escaped(b.String()))
		}
	}
}
