package path

import (
	"time"

	"lifeline/watchdog"
	"lifeline/watchdog/control"
)

// Over tells which links, by ifindex, count as one: what lies over a NIC (a
// VLAN, a bridge with that one port) is carried by it.
type Over func(link int) bool

// LinkDelay is the queueing delay of a link: the least that its targets show,
// because what only one of them sees is on that one's way and not on ours. Whose
// queue was found to be beyond that of the others counts by himself: the longest
// of these is the link's.
// A gateway that was not yet seen to queue serves where there is no other: it may
// be on this side of the queue, so that the passive evidence counts where that
// shows more. Without a target it is the passive evidence, and without that unknown.
func LinkDelay(over Over, paths []watchdog.Path, passive Passive) control.Delay {
	d := leastDelay(over, paths, func(p watchdog.Path) bool { return !p.Unproven && !p.Apart })
	for i := range paths {
		far := leastDelay(over, paths[i:i+1], func(p watchdog.Path) bool { return p.Apart })
		if far.Known && (!d.Known || far.Queue > d.Queue) {
			d = far
		}
	}
	if !d.Known {
		d = leastDelay(over, paths, func(p watchdog.Path) bool { return p.Unproven })
		if passive.Known && (!d.Known || passive.Queue > d.Queue+passiveMore) {
			d = control.Delay{Queue: passive.Queue, Base: passive.Base, Known: true, Passive: true}
		}
	}
	d.Hint, d.HintKnown, d.Retrans = passive.Young, passive.YoungKnown, passive.Retrans
	return d
}

// passiveMore is by how much the passive evidence must exceed what a gateway shows
// that may be on this side of the queue: the transfers' own RTT also knows delayed
// acknowledgements, and falls late.
const passiveMore = 20 * time.Millisecond

// leastDelay is the least that the link's targets of a kind show.
func leastDelay(over Over, paths []watchdog.Path, kind func(watchdog.Path) bool) (d control.Delay) {
	for _, p := range paths {
		if p.Link == 0 || !over(p.Link) || !p.Known || !p.Delay || p.Silent > 0 || !kind(p) {
			continue
		}
		if !d.Known || p.Queue() < d.Queue {
			d = control.Delay{
				From: p.Target, Queue: p.Queue(), Base: p.Base, Known: true, Lag: p.Lag, Overdue: p.Overdue,
				Recent: max(0, p.Recent-p.Base), RecentKnown: p.Recent > 0, RecentLag: p.RecentLag,
			}
		}
	}
	return d
}
