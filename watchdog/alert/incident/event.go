package incident

import (
	_ "embed"
	"time"

	"lifeline/watchdog"
)

// PayloadVersion is the version of the JSON that receivers of type "json" get.
// It changes when a field changes its meaning or goes away, not when one is
// added.
const PayloadVersion = "1"

// Schema is the JSON Schema (draft 2020-12) of that JSON.
//
//go:embed event.schema.json
var Schema []byte

// Kind is what an event tells.
type Kind string

// The kinds of events.
const (
	Firing    Kind = "firing"    // an incident that the receiver did not know
	Updated   Kind = "updated"   // its severity, its cause or its conditions changed
	Reminder  Kind = "reminder"  // it is still active
	Resolved  Kind = "resolved"  // its last condition is gone
	Heartbeat Kind = "heartbeat" // Lifeline is alive
	Dropped   Kind = "dropped"   // the spool was full: alerts were dropped
)

// Reason is why an event was made.
type Reason string

// The reasons of an update.
const (
	SeverityChanged  Reason = "severity"   // of the incident: the worst that is active
	CauseChanged     Reason = "cause"      // a stronger one was found
	ConditionJoined  Reason = "joined"     // a further condition is active
	ConditionCleared Reason = "cleared"    // one of several is gone
	ConditionChanged Reason = "condition"  // one of several changed its severity
	FlappingBegan    Reason = "flapping"   // raised too often: the incident stays open until it is quiet
	SilenceEnded     Reason = "unsilenced" // what happened meanwhile was not told
)

// Event is what receivers are told. Its JSON is the payload of receivers of
// type "json"; docs/alerts.md and Schema describe it.
type Event struct {
	Version    string            `json:"version"`
	ID         string            `json:"id"` // the same for every attempt: receivers drop doubles by it
	Kind       Kind              `json:"kind"`
	At         time.Time         `json:"at"` // when it happened, not when it is sent
	Host       string            `json:"host"`
	Severity   watchdog.Severity `json:"severity"` // the worst that is active; once resolved, the worst there was
	Summary    string            `json:"summary"`
	Incident   *Ref              `json:"incident,omitempty"`
	Reasons    []Reason          `json:"reasons,omitempty"`
	Conditions []ConditionState  `json:"conditions,omitempty"`
	Omitted    int               `json:"conditions_omitted,omitempty"` // conditions that found no room
	Minor      bool              `json:"minor,omitempty"`              // neither severity nor cause changed
	Test       bool              `json:"test,omitempty"`               // asked for by a person; nothing happened
	Dropped    *DropCount        `json:"dropped,omitempty"`
}

// Ref says which incident an event belongs to.
type Ref struct {
	ID       string    `json:"id"`
	Sequence int       `json:"sequence"` // of the event in its incident, from 1; gaps are events that were not for this receiver
	Started  time.Time `json:"started"`
	Ended    time.Time `json:"ended,omitzero"`
	Cause    Cause     `json:"cause"`
	Flapping bool      `json:"flapping,omitempty"`
}

// Cause is the condition that best explains an incident.
type Cause struct {
	Condition watchdog.ConditionName `json:"condition"`
	Subject   string                 `json:"subject"`
	Evidence  string                 `json:"evidence,omitempty"`
}

// Status tells whether a condition is active.
type Status string

// The states of a condition.
const (
	StatusFiring   Status = "firing"
	StatusResolved Status = "resolved"
)

// ConditionState is one condition of an incident.
type ConditionState struct {
	Condition watchdog.ConditionName `json:"condition"`
	Subject   string                 `json:"subject"` // a link and direction, a probe, a remedy, or "host"
	Severity  watchdog.Severity      `json:"severity"`
	Status    Status                 `json:"status"`
	Since     time.Time              `json:"since"`
	Ended     time.Time              `json:"ended,omitzero"`
	Evidence  string                 `json:"evidence,omitempty"`
	Flapping  bool                   `json:"flapping,omitempty"`
}

// DropCount is what a full spool cost one receiver.
type DropCount struct {
	Count int       `json:"count"` // since the last event of this kind
	From  time.Time `json:"from"`  // the time of the oldest
	To    time.Time `json:"to"`    // and of the youngest
}

// Bounds of one event, so that no evidence can fill the spool.
const (
	maxConditions = 32
	MaxText       = 1024 // bytes of an evidence
	MaxName       = 200  // bytes of a name or subject
)

// Timestamp is t as it is written: UTC, milliseconds, no monotonic reading.
func Timestamp(t time.Time) time.Time { return t.UTC().Round(0).Truncate(time.Millisecond) }

// IncidentID is the id of the incident that an event belongs to; empty for none.
func (e Event) IncidentID() string {
	if e.Incident == nil {
		return ""
	}
	return e.Incident.ID
}
