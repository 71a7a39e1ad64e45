package daemon

import (
	"slices"

	"lifeline/watchdog"
)

// linksInUse are the links that transfers or probes go over, and the NICs beneath, by
// ifindex.
func linksInUse(v view) map[int]bool {
	used := map[int]bool{}
	for _, p := range v.Paths {
		used[p.Link], used[v.carrier(p.Link)] = true, true
	}
	for _, t := range v.Transfers {
		used[t.Link], used[v.carrier(t.Link)] = true, true
	}
	return used
}

// shaped tells whether a shaper of ours stands on a link and direction: its
// queue shows in the transfers' own RTT, which is then no evidence.
func shaped(d watchdog.Decision, link int, dir watchdog.Direction) bool {
	return slices.ContainsFunc(d.Links, func(l watchdog.LinkState) bool {
		return l.Link == link && l.Direction == dir && l.Shaper > 0
	})
}

// delayWitnesses are the transfers whose own RTT tells of the link: one that has a
// class of its own waits in that.
func delayWitnesses(v view) []watchdog.Transfer {
	if len(v.last.RateRequests) == 0 {
		return v.Transfers
	}
	return slices.DeleteFunc(slices.Clone(v.Transfers), func(t watchdog.Transfer) bool {
		return v.last.Desired.Limits[t.ID].Rate > 0
	})
}
