package incident

import (
	"slices"
	"time"

	"lifeline/watchdog"
)

// unremarkable are the conditions that stay as they are until a person changes this
// host: one who was told and leaves it so has no use for being reminded.
var unremarkable = []watchdog.ConditionName{
	watchdog.RebootUnknown, // no saved rules, or native nftables, cannot become safe
}

// wantsReminder tells whether an incident is one of which people are reminded.
func (l *Lifecycle) wantsReminder(inc *Open, now time.Duration) bool {
	if l.Repeat <= 0 {
		return false
	}
	for n, c := range inc.Conditions {
		if inc.active(n, now, l.FlapQuiet) && !slices.Contains(unremarkable, c.Condition) {
			return true
		}
	}
	return false
}
