package incident

import (
	"strings"

	"lifeline/watchdog"
)

// scope is where a condition is, for telling which conditions are one incident.
type scope struct {
	name string // equal names are one incident
	Link bool   // it is on a link
	// joins: it becomes part of an open incident on any link. A remedy fails
	// because of the link that it was for.
	joins bool
	// attracts: conditions on links become part of it. While management is
	// unreachable, whatever happens on a link is about that.
	attracts bool
}

// ScopeOf tells where a condition is. The subject of a condition on a link is
// the link's name, with " rx" or " tx" behind it where a direction is meant.
func ScopeOf(name watchdog.ConditionName, subject string) scope {
	switch name {
	case watchdog.ManagementUnreachable:
		return scope{name: "management", joins: true, attracts: true}
	case watchdog.ManagementPeerSilent:
		return scope{name: "management"}
	case watchdog.TargetContradicted:
		return scope{name: "target/" + subject}
	case watchdog.RemedyFailed:
		return scope{name: "remedy/" + subject, joins: true}
	case watchdog.ProbeBlind:
		return scope{name: "probe/" + subject}
	}
	if subject == "host" {
		// Weaknesses of the host may stand for weeks and must not make one
		// incident of all that happens meanwhile.
		return scope{name: "host/" + string(name)}
	}
	link, _ := LinkOf(subject)
	return scope{name: "link/" + link, Link: true}
}

// LinkOf splits a subject into link and direction; the direction may be empty.
func LinkOf(subject string) (link, direction string) {
	if l, d, ok := strings.Cut(subject, " "); ok && (d == "rx" || d == "tx") {
		return l, d
	}
	return subject, ""
}

// meets tells how well a new condition fits an incident's standing one: 0 for
// not at all, more for better.
func (s scope) meets(standing scope) int {
	switch {
	case s.name == standing.name:
		return 2
	case s.joins && standing.Link, s.Link && standing.attracts:
		return 1
	}
	return 0
}
