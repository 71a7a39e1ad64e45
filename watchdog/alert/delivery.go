package alert

import "time"

// Delivery is one event on its way to one receiver, or there.
type Delivery struct {
	Receiver string    `json:"receiver"`
	Event    string    `json:"event"`
	Incident string    `json:"incident,omitempty"`
	Kind     Kind      `json:"kind"`
	Summary  string    `json:"summary,omitempty"`
	At       time.Time `json:"at"`                // when it happened
	Taken    time.Time `json:"taken,omitzero"`    // when the receiver took it
	Attempts int       `json:"attempts,omitzero"` // since the last restart
}

// DeadLetter is an event that a receiver refused. It is kept until somebody
// sends it again, or newer ones need its place.
type DeadLetter struct {
	Receiver string    `json:"receiver"`
	Event    string    `json:"event"`
	Incident string    `json:"incident,omitempty"`
	Kind     Kind      `json:"kind"`
	Summary  string    `json:"summary,omitempty"`
	At       time.Time `json:"at"`      // when it happened
	Refused  time.Time `json:"refused"` // when it was refused
	Status   int       `json:"status"`  // of the answer; 0 when it could not even be sent
	Error    string    `json:"error"`   // without secrets
}
