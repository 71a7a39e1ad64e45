package incident

import (
	"lifeline/watchdog"
)

// causeRank orders conditions by how much they explain: a fault of the link
// explains its saturation, saturation explains silence, silence explains
// nothing. A name that is not listed ranks as defaultCauseRank.
var causeRank = map[watchdog.ConditionName]int{
	watchdog.LinkDown:              90,
	watchdog.LinkErrors:            80,
	watchdog.NotOurQueue:           70,
	watchdog.LinkSaturated:         60,
	watchdog.RemedyFailed:          30,
	watchdog.Unprotected:           20,
	watchdog.ProbeBlind:            15,
	watchdog.ManagementUnreachable: 10,
	watchdog.ManagementPeerSilent:  5,
	watchdog.TargetContradicted:    4,
}

const defaultCauseRank = 50

func rankOf(name watchdog.ConditionName) int {
	if r, ok := causeRank[name]; ok {
		return r
	}
	return defaultCauseRank
}
