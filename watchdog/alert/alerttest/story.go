package alerttest

import (
	"time"

	"lifeline/watchdog"
	"lifeline/watchdog/alert/incident"
)

// Began is when the events of tests happened.
var Began = time.Date(2025, 3, 1, 12, 0, 0, 0, time.UTC)

// Keys for signatures, the first of them the specification's own example.
const (
	OldKey = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	NewKey = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
)

// Condition is one for tests.
func Condition(name watchdog.ConditionName, subject string, sev watchdog.Severity) watchdog.Condition {
	return watchdog.Condition{Name: name, Subject: watchdog.ParseSubject(name, subject), Severity: sev, Evidence: "because"}
}

// Conditions of different links and causes.
var (
	Saturated   = Condition(watchdog.LinkSaturated, "eth0 rx", watchdog.Warning)
	Down        = Condition(watchdog.LinkDown, "eth1", watchdog.Critical)
	Unreachable = Condition(watchdog.ManagementUnreachable, "host", watchdog.Critical)
	Blind       = Condition(watchdog.ProbeBlind, "nic", watchdog.Warning)
)

// Story is an incident with everything that a format has to show, told by the
// lifecycle, and the events without an incident.
func Story() []incident.Event {
	l := incident.New(incident.Settings{
		Host: "h", Repeat: time.Hour, FlapCount: 4, FlapWindow: 10 * time.Minute, FlapQuiet: 5 * time.Minute, Grace: incident.GraceAfterRestart,
		Routes: []incident.Route{{Name: "r", MinWeight: 1, Minor: true, Reminders: true, Resolved: true}},
	})
	sat := Saturated
	sat.Evidence = `rx 94.1 Mbit/s of 100.0 Mbit/s, queueing delay 155ms, <16> transfers & "more"`
	sat.Since = Began
	un := Unreachable
	un.Evidence = "192.0.2.7 (configured) silent for 3s"
	un.Since = Began.Add(2 * time.Second)
	var evs []incident.Event
	var at incident.Moment
	for n, active := range [][]watchdog.Condition{{sat}, {sat, un}, {sat}, {}} {
		d := time.Duration(n) * 3 * time.Second
		at = incident.Moment{Wall: Began.Add(d), Mono: d}
		l.Reconcile(at, active)
		for _, o := range l.Output().Events {
			evs = append(evs, o.Event)
		}
	}
	test := incident.TestIncident("h", at, []string{"r"}).Events[0].Event
	test.ID = "test-1" // the id is random
	test.Incident.ID = "20250301-120009000-0000"
	plain := incident.SampleEvents()
	return append(evs, test, plain[4], plain[5])
}
