package incident

import ()

// Route is what one receiver wants to be told.
type Route struct {
	Name      string
	MinWeight int  // weight of severity
	Minor     bool // updates in which neither severity nor cause changed
	Reminders bool
	Resolved  bool
}

// wants tells whether and as what a receiver is to be told of an event.
func (r Route) wants(inc *Open, ev Event, muted bool) (Kind, bool) {
	known := inc.KnownTo[r.Name]
	switch {
	case ev.Kind == Resolved:
		return Resolved, known && r.Resolved
	case muted:
		return "", false
	case !known:
		return Firing, Weight(inc.Current) >= r.MinWeight
	case ev.Kind == Reminder:
		return Reminder, r.Reminders
	case ev.Minor:
		return Updated, r.Minor
	}
	return ev.Kind, true
}
