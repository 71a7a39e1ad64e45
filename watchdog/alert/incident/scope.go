package incident

import (
	"lifeline/watchdog"
)

// scope is where a condition is, for telling which conditions are one incident.
type scope struct {
	name string // equal names are one incident
	link bool   // it is on a link
	// joins: it becomes part of an open incident on any link. A remedy fails
	// because of the link that it was for.
	joins bool
	// attracts: conditions on links become part of it. While management is
	// unreachable, whatever happens on a link is about that.
	attracts bool
}

// scopeOf tells where a condition is.
func scopeOf(name watchdog.ConditionName, subject string) scope {
	switch name {
	case watchdog.ManagementUnreachable:
		return scope{name: "management", joins: true, attracts: true}
	case watchdog.ManagementPeerSilent:
		return scope{name: "management"}
	}
	switch s := watchdog.ParseSubject(name, subject); s.Kind {
	case watchdog.SubjectTarget:
		return scope{name: "target/" + subject}
	case watchdog.SubjectRemedy:
		return scope{name: "remedy/" + subject, joins: true}
	case watchdog.SubjectProbe:
		return scope{name: "probe/" + subject}
	case watchdog.SubjectLink:
		return scope{name: "link/" + s.Name, link: true} // in whatever direction
	}
	// Weaknesses of the host may be there for weeks and must not make one incident of
	// all that happens meanwhile.
	return scope{name: "host/" + string(name)}
}

// meets tells how well a new condition fits an active one of an incident: 0 for
// not at all, more for better.
func (s scope) meets(active scope) int {
	switch {
	case s.name == active.name:
		return 2
	case s.joins && active.link, s.link && active.attracts:
		return 1
	}
	return 0
}
