package watchdog

import (
	"encoding/json"
	"time"
)

// ConditionName is one of the bad states that Lifeline knows by name.
type ConditionName string

// The conditions.
const (
	LinkSaturated         ConditionName = "LinkSaturated"
	ManagementUnreachable ConditionName = "ManagementUnreachable"
	ManagementPeerSilent  ConditionName = "ManagementPeerSilent"
	TargetContradicted    ConditionName = "TargetContradicted"
	LinkErrors            ConditionName = "LinkErrors"
	LinkDown              ConditionName = "LinkDown"
	ProbeBlind            ConditionName = "ProbeBlind"
	Unprotected           ConditionName = "Unprotected"
	NotOurQueue           ConditionName = "NotOurQueue"
	RemedyFailed          ConditionName = "RemedyFailed"
	RebootUnsafe          ConditionName = "RebootUnsafe"
	RebootUnknown         ConditionName = "RebootUnknown"
)

// ConditionNames lists every condition there is, by name.
func ConditionNames() []ConditionName {
	return []ConditionName{
		LinkDown,
		LinkErrors,
		LinkSaturated,
		ManagementPeerSilent,
		ManagementUnreachable,
		NotOurQueue,
		ProbeBlind,
		RebootUnknown,
		RebootUnsafe,
		RemedyFailed,
		TargetContradicted,
		Unprotected,
	}
}

// Severity says how soon a person should look.
type Severity string

// The severities, by the words that Prometheus rules use.
const (
	Info     Severity = "info"
	Warning  Severity = "warning"
	Critical Severity = "critical"
)

// Condition is a named bad state of one subject.
type Condition struct {
	Name     ConditionName `json:"name"`
	Subject  Subject       `json:"subject"` // its text form
	Severity Severity      `json:"severity"`
	Since    time.Time     `json:"since"`    // when it was first seen, before the hysteresis
	Evidence string        `json:"evidence"` // the values that it rests on, of the last second
}

// UnmarshalJSON reads what json.Marshal wrote: what a subject's text means depends
// on the condition's name.
func (c *Condition) UnmarshalJSON(b []byte) error {
	type plain Condition
	in := struct {
		*plain
		Subject string `json:"subject"`
	}{plain: (*plain)(c)}
	if err := json.Unmarshal(b, &in); err != nil {
		return err
	}
	c.Subject = ParseSubject(c.Name, in.Subject)
	return nil
}

// Change is a condition that was raised or cleared, or that stands with another
// severity than before.
type Change struct {
	Condition Condition
	Raised    bool     // it stands; false: cleared
	Was       Severity // that it had while it stood; empty when it was raised or cleared
}
