package engine

import (
	"time"

	"lifeline/watchdog"
)

// baseProbe is how the RTT of the empty path is found where it was first measured
// under load: a base RTT that holds a queue hides that queue for ever. All transfers
// of the link are cut for a moment, and what is measured then is of an empty path, or
// has a queue that is not rsync's.
type baseProbe struct {
	on         bool          // the transfers are cut
	doubtSince time.Duration // monotonic, as all times here
	since      time.Duration // begun; valid while on
	limited    bool          // everything stands limited
	limitedAt  time.Duration // since when; valid while limited
	pathEmpty  bool          // that has lasted: what is measured now is of an empty path
	notBefore  time.Duration // the next one
	backoff    time.Duration // after the last one
}

const (
	// probeSettle is until old windows are used up (1.7 s for receivers) and the
	// queue has drained.
	probeSettle  = 2 * time.Second
	probeTimeout = 8 * time.Second
	// probeDelay is how long the doubt must last: who logs in to start an rsync looks
	// like an administrator until it runs, and limits hold meanwhile.
	probeDelay = 3 * time.Second
	// probePacing is what each sender keeps, in bytes/s: two segments now and
	// then, by which its connection stays alive.
	probePacing  = 8000
	firstBackoff = time.Minute
	maxBackoff   = 30 * time.Minute
)

// stepBaseProbes begins, follows and ends the base RTT probes of all links.
func (e *Engine) stepBaseProbes(in input, groups []group) {
	doubtful := doubtfulLinks(in, groups)
	for link := range e.baseProbes {
		if doubtful[link] == nil {
			delete(e.baseProbes, link)
		}
	}
	for link, ts := range doubtful {
		p := e.baseProbes[link]
		if p == nil {
			p = &baseProbe{doubtSince: in.Mono}
			e.baseProbes[link] = p
		}
		if !e.settings.DryRun { // nothing is cut, so nothing is found out
			p.step(in.Mono, allLimited(ts, in.stands))
		}
	}
}

// doubtfulLinks are the links whose base RTT is in doubt, with the transfers that a
// probe would cut, by ifindex; nil for none.
func doubtfulLinks(in input, groups []group) (out map[int][]*watchdog.Transfer) {
	for i := range groups {
		g := &groups[i]
		if g.mode() == ModeOff || !baseDoubtful(g.key.Link, in) {
			continue
		}
		for _, t := range g.transfers {
			if !limitable(t) {
				continue
			}
			if out == nil {
				out = map[int][]*watchdog.Transfer{}
			}
			out[g.key.Link] = append(out[g.key.Link], t)
		}
	}
	return out
}

// baseDoubtful tells whether a target over the link answers and no delay can be
// computed from any, because the RTT of its empty path is in doubt.
func baseDoubtful(link int, in input) bool {
	doubt := false
	for i := range in.Paths {
		p := &in.Paths[i]
		if p.Link == 0 || in.links.Physical(p.Link) != link || !p.Known || p.Silent > 0 {
			continue
		}
		if p.Delay && !p.Unproven {
			return false
		}
		doubt = doubt || p.Doubt
	}
	return doubt
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

// step moves a probe on. One that finds nothing is repeated ever later.
func (p *baseProbe) step(now time.Duration, limited bool) {
	switch {
	case !p.on && (now < p.notBefore || now-p.doubtSince < probeDelay):
		return
	case !p.on:
		p.on, p.since, p.limited, p.pathEmpty = true, now, false, false
	case now-p.since > probeTimeout:
		p.backoff = min(max(2*p.backoff, firstBackoff), maxBackoff)
		p.on, p.pathEmpty, p.notBefore = false, false, now+p.backoff
		return
	}
	if limited && !p.limited {
		p.limitedAt = now
	}
	p.limited = limited
	p.pathEmpty = limited && now-p.limitedAt >= probeSettle
}

// cutToMinimum puts the least that keeps a connection alive in place of what was
// decided for the link's transfers.
func (c *linkControl) cutToMinimum(d *watchdog.Desired) {
	for _, t := range c.transfers {
		if !limitable(t) {
			continue
		}
		l := watchdog.Limit{Pause: d.Limits[t.ID].Pause}
		if t.Direction == watchdog.Rx {
			l.Window = windowFloor(t.TCP)
		} else {
			l.Pacing = probePacing
		}
		d.Limits[t.ID] = l
	}
}
