package incident

import ()

// Output is what a step of the lifecycle asks for.
type Output struct {
	Events  []outgoing
	Changed []*Open // still open, to be kept
	Closed  []*Open
	Expired []Silence
}

// outgoing is an event and whom it is for.
type outgoing struct {
	Event Event
	To    []Target
}

// Target is a receiver and the kind under which it is to be told: an update of
// an incident that it does not know is a firing one to it.
type Target struct {
	Receiver string
	Kind     Kind
}
