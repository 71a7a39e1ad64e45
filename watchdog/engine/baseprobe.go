package engine

import (
	"time"

	"lifeline/watchdog"
)

// sounding is how the RTT of the empty path is found where it was first measured
// under load: a base that holds a queue hides that queue for ever. All transfers
// of the link are cut for a moment, and what is measured then is of an empty
// path, or has a queue that is not rsync's.
type sounding struct {
	on    bool
	doubt time.Duration // since when the RTT is in doubt
	since time.Duration // begun
	held  time.Duration // since when everything stands limited
	holds bool
	quiet bool
	rest  time.Duration // not again before
	wait  time.Duration // length of the last rest
}

const (
	// soundSettle is until old windows are used up (1.7 s for receivers) and the
	// queue has drained.
	soundSettle = 2 * time.Second
	soundMost   = 8 * time.Second
	// soundAfter is how long the doubt must last: who logs in to start an rsync looks
	// like an administrator until it runs, and limits hold meanwhile.
	soundAfter = 3 * time.Second
	// soundPacing is what each sender keeps, in bytes/s: two segments now and
	// then, by which its connection stays alive.
	soundPacing = 8000
	restFirst   = time.Minute
	restMost    = 30 * time.Minute
)

// sound begins, follows and ends the soundings of all links.
func (e *Engine) sound(s *watchdog.Snapshot, groups []judged, links watchdog.LinkIndex, stands watchdog.Outcome) {
	var flows map[int][]*watchdog.Transfer // of the links in doubt
	for i := range groups {
		g := &groups[i].group
		if e.settingsOf(g).Mode[g.key.Direction] == ModeOff || !doubtful(g.key.Link, s.Paths, links) {
			continue
		}
		for _, t := range g.transfers {
			if silenced(t) {
				if flows == nil {
					flows = map[int][]*watchdog.Transfer{}
				}
				flows[g.key.Link] = append(flows[g.key.Link], t)
			}
		}
	}
	for link := range e.soundings {
		if flows[link] == nil {
			delete(e.soundings, link)
		}
	}
	for link, ts := range flows {
		c := e.soundings[link]
		if c == nil {
			c = &sounding{doubt: s.Mono}
			e.soundings[link] = c
		}
		if !e.settings.DryRun { // nothing is cut, so nothing is found out
			c.step(s.Mono, allLimited(ts, stands))
		}
	}
}

// doubtful tells whether a target over the link answers and no delay can be
// computed from any, because the RTT of its empty path is in doubt.
func doubtful(link int, paths []watchdog.Path, links watchdog.LinkIndex) bool {
	doubt := false
	for i := range paths {
		p := &paths[i]
		if p.Link == 0 || links.Physical(p.Link) != link || !p.Known || p.Silent > 0 {
			continue
		}
		if p.Delay && !p.Unproven {
			return false
		}
		doubt = doubt || p.Doubt
	}
	return doubt
}

// silenced tells whether a sounding limits a transfer.
func silenced(t *watchdog.Transfer) bool {
	return t.Control == watchdog.ControlFull || t.Control == watchdog.ControlLimitOnly
}

// allLimited tells whether all of ts are limited now.
func allLimited(ts []*watchdog.Transfer, stands watchdog.Outcome) bool {
	for _, t := range ts {
		l := stands.Limits[t.ID]
		if l.Window == 0 && l.Pacing == 0 && !l.Pause {
			return false
		}
	}
	return true
}

// step moves a sounding on. One that finds nothing is repeated ever later.
func (c *sounding) step(now time.Duration, limited bool) {
	switch {
	case !c.on && (now < c.rest || now-c.doubt < soundAfter):
		return
	case !c.on:
		c.on, c.since, c.holds, c.quiet = true, now, false, false
	case now-c.since > soundMost:
		c.wait = min(max(2*c.wait, restFirst), restMost)
		c.on, c.quiet, c.rest = false, false, now+c.wait
		return
	}
	if limited && !c.holds {
		c.held = now
	}
	c.holds = limited
	c.quiet = c.holds && now-c.held >= soundSettle
}

// silence puts the least that keeps a connection alive in place of what was
// decided for the link's transfers.
func (j *judged) silence(d *watchdog.Desired) {
	for _, t := range j.transfers {
		if !silenced(t) {
			continue
		}
		l := watchdog.Limit{Pause: d.Limits[t.ID].Pause}
		if t.Direction == watchdog.Rx {
			l.Window = windowFloor(t.TCP)
		} else {
			l.Pacing = soundPacing
		}
		d.Limits[t.ID] = l
	}
}
