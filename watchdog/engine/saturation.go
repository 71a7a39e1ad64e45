package engine

import (
	"time"

	"lifeline/watchdog"
)

// delayPersistence is for how long the queueing delay of one link and direction has
// been too long of late: it fills while the delay is at engage_delay or above and
// empties while it is below target_delay, so that neither a moment's rest ends it nor
// a moment's peak begins it. A full link that limits hold is what a backup looks
// like; one whose delay stays is what a person has to know of.
type delayPersistence struct {
	at       time.Duration // monotonic, of the last step
	stepped  bool
	filled   time.Duration
	persists bool
}

const (
	// persistAfter is how long a delay lasts that is not the transient of a start:
	// until old windows have drained, with a base RTT that was probed for first.
	persistAfter = 5 * time.Second
	// maxSampleWeight is the most that one sample fills or empties.
	maxSampleWeight = time.Second
)

// step takes one sample and tells whether the delay stays. A delay may be neither
// long nor short.
func (p *delayPersistence) step(s *watchdog.Snapshot, long, short bool) bool {
	dt := min(s.Mono-p.at, maxSampleWeight)
	if !p.stepped || s.Gap {
		dt = 0
	}
	p.at, p.stepped = s.Mono, true
	switch {
	case long:
		p.filled = min(p.filled+dt, persistAfter)
	case short:
		p.filled = max(p.filled-dt, 0)
	}
	p.persists = p.filled >= persistAfter || p.persists && p.filled > 0
	return p.persists
}

// delayPersists follows the delay of a group.
func (e *Engine) delayPersists(in input, c *linkControl) bool {
	p := e.delays[c.key]
	if p == nil {
		p = &delayPersistence{}
		e.delays[c.key] = p
	}
	if len(c.transfers) == 0 {
		delete(e.delays, c.key)
	}
	return p.step(in.Snapshot, c.delayLong(e.settings), c.in.Delay.Known && c.in.Delay.Queue < e.settings.Target)
}

// countLimited counts the transfers on which limits stand.
func countLimited(ts []*watchdog.Transfer, stands watchdog.Outcome) (n int) {
	for _, t := range ts {
		if stands.Limits[t.ID] != (watchdog.Limit{}) {
			n++
		}
	}
	return n
}

// delayLong tells whether the delay is too long. One that nobody can see counts as
// long on a full link where nothing is limited, else as neither long nor short.
func (c *linkControl) delayLong(set Settings) bool {
	d := c.in.Delay
	switch {
	case !d.Known:
		return c.out.Saturated && c.held == 0
	case d.Passive: // the transfers' own RTT knows delayed acknowledgements too
		return d.Queue >= set.Engage+set.Target
	}
	return d.Queue >= set.Engage
}

// severity of a link that is saturated. It is information while limits hold the
// delay down, and while a delay is too young to say that they do not.
func (c *linkControl) severity() watchdog.Severity {
	if c.delayPersists {
		return watchdog.Warning
	}
	return watchdog.Info
}

// reaction says what is done about a saturated link.
func (c *linkControl) reaction() string {
	switch {
	case c.dryRun:
		return "nothing is limited: dry run"
	case c.held == 0:
		return "nothing is limited"
	case c.delayPersists:
		return "the delay stays in spite of limits"
	}
	return "limits hold it"
}
