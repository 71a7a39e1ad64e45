package path

import (
	"lifeline/watchdog"
	"lifeline/watchdog/control"
)

// Over tells which links, by ifindex, count as one: what lies over a NIC (a
// VLAN, a bridge with that one port) is carried by it.
type Over func(link int) bool

// LinkDelay is the queueing delay of a link: the least that its targets show,
// because what only one of them sees is on that one's way and not on ours.
// Without such a target it is the passive evidence, and without that unknown.
func LinkDelay(over Over, paths []watchdog.Path, passive Passive) control.Delay {
	var d control.Delay
	for _, p := range paths {
		if p.Link == 0 || !over(p.Link) || !p.Known || !p.Delay || p.Silent > 0 {
			continue
		}
		if !d.Known || p.Queue() < d.Queue {
			d = control.Delay{
				Queue: p.Queue(), Base: p.Base, Known: true, Lag: p.Lag, Overdue: p.Overdue,
				Recent: max(0, p.Recent-p.Base), RecentKnown: p.Recent > 0, RecentLag: p.RecentLag,
			}
		}
	}
	d.Hint, d.HintKnown, d.Retrans = passive.Young, passive.YoungKnown, passive.Retrans
	if !d.Known && passive.Known {
		d.Queue, d.Base, d.Known, d.Passive = passive.Queue, passive.Base, true, true
	}
	return d
}
