package incident

import (
	"time"

	"lifeline/watchdog"
)

// SampleEvents are one event of each kind, for trying templates.
func SampleEvents() []Event {
	at := time.Date(2025, 1, 2, 3, 4, 5, 0, time.UTC)
	c := ConditionState{Condition: watchdog.LinkSaturated, Subject: "eth0 rx", Severity: watchdog.Warning,
		Status: StatusFiring, Since: at, Evidence: "a \"sample\"\nwith <odd> characters"}
	ref := &Ref{ID: "20250102-030405000-0000", Sequence: 1, Started: at, Cause: Cause{c.Condition, c.Subject, c.Evidence}}
	base := Event{Version: PayloadVersion, ID: ref.ID + "-1", At: at, Host: "sample", Severity: c.Severity,
		Summary: "sample: link eth0 rx saturated", Incident: ref, Conditions: []ConditionState{c}, Test: true}
	var out []Event
	for _, k := range []Kind{Firing, Updated, Reminder, Resolved} {
		ev := base
		ev.Kind = k
		out = append(out, ev)
	}
	out[1].Reasons = []Reason{SeverityChanged}
	out[3].Conditions = []ConditionState{c}
	out[3].Conditions[0].Status, out[3].Conditions[0].Ended = StatusResolved, at
	plain := Event{Version: PayloadVersion, ID: "sample", At: at, Host: "sample", Severity: watchdog.Info, Summary: "sample"}
	beat, lost := plain, plain
	beat.Kind, lost.Kind = Heartbeat, Dropped
	lost.Dropped = &DropCount{1, at, at}
	return append(out, beat, lost)
}
