package incident

import (
	"crypto/rand"
	"encoding/hex"
	"strings"

	"lifeline/watchdog"
)

// testCondition is the name of what a test alert tells.
const testCondition watchdog.ConditionName = "LifelineTest"

// TestIncident makes an incident that begins and ends at once.
func TestIncident(host string, at Moment, receivers []string) Output {
	inc := newIncident(incidentID(host, conditionKey{testCondition, NewID()}, at), host, at)
	inc.Test = true
	inc.Current, inc.Severity = watchdog.Info, watchdog.Info
	c := ConditionState{Condition: testCondition, Subject: "alerts", Severity: watchdog.Info, Status: StatusFiring,
		Since: inc.Started, Evidence: "a person asked for a test alert; nothing happened"}
	inc.Conditions = []ConditionState{c}
	inc.updateCause(inc.Conditions)
	inc.note(at.Wall, "a test alert was asked for, for %s", strings.Join(receivers, ", "))
	tell := func(ev Event) outgoing {
		o := outgoing{Event: ev}
		for _, r := range receivers {
			o.To = append(o.To, Target{r, ev.Kind})
		}
		return o
	}
	firing := tell(inc.event(Firing, at, inc.Conditions))
	inc.Conditions[0].Ended, inc.Ended = inc.Started, inc.Started
	resolved := tell(inc.event(Resolved, at, nil))
	return Output{Events: []outgoing{firing, resolved}, Closed: []*Open{inc}}
}

// NewID makes a short random id.
func NewID() string {
	b := make([]byte, 4)
	rand.Read(b) // never fails (crypto/rand)
	return hex.EncodeToString(b)
}
