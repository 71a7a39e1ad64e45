package incident

import (
	"time"

	"lifeline/watchdog"
)

// WithoutTimeline is the incident without its timeline.
func (i Incident) WithoutTimeline() Incident {
	i.Timeline, i.Omitted = nil, 0
	return i
}

// Delivery is one event on its way to one receiver, or there.
type Delivery struct {
	Receiver string    `json:"receiver"`
	Event    string    `json:"event"`
	Incident string    `json:"incident,omitempty"`
	Kind     Kind      `json:"kind"`
	At       time.Time `json:"at"`                // when it happened
	Taken    time.Time `json:"taken,omitzero"`    // when the receiver took it
	Attempts int       `json:"attempts,omitzero"` // since the last restart
}

// Incident is what is remembered of one incident: from the first condition to
// the recovery.
type Incident struct {
	ID         string            `json:"id"`
	Host       string            `json:"host"`
	Started    time.Time         `json:"started"`
	Ended      time.Time         `json:"ended,omitzero"`
	Severity   watchdog.Severity `json:"severity"` // the worst it had
	Summary    string            `json:"summary"`
	Cause      Cause             `json:"cause"`
	Conditions []ConditionState  `json:"conditions"`
	Timeline   []Line            `json:"timeline"`
	Omitted    int               `json:"omitted,omitempty"` // lines from the middle of Timeline that found no room
	Test       bool              `json:"test,omitempty"`
	Told       []Delivery        `json:"told,omitempty"` // what receivers took; filled by Explain
}

// Line is one thing that was seen or done during an incident.
type Line struct {
	At   time.Time `json:"at"`
	Text string    `json:"text"`
}

const (
	maxTimeline = 200 // of a timeline; a longer one loses its middle
	maxLine     = 300 // bytes
	keepFirst   = 50  // lines that are never lost
	maxKept     = 256 // conditions of an incident, unless more are active
)
