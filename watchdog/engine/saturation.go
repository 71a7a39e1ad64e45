package engine

import (
	"time"

	"lifeline/watchdog"
)

// strain is how long the queueing delay of one link and direction has been too
// long of late: it fills while the delay is at engage_delay or above and empties
// while it is below target_delay, so that neither a moment's rest ends it nor a
// moment's peak begins it. A full link that limits hold is what a backup looks
// like; one whose delay stays is what a person has to know of.
type strain struct {
	at      time.Duration // monotonic, of the last step
	stepped bool
	filled  time.Duration
	high    bool
}

// strainFor is how long a delay lasts that is not the transient of a start: until
// old windows have drained, with a base that was sounded first.
const strainFor = 5 * time.Second

// step takes one sample and tells whether the delay stays.
func (t *strain) step(s *watchdog.Snapshot, long, short bool) bool {
	dt := s.Mono - t.at
	if !t.stepped || s.Gap {
		dt = 0
	}
	t.at, t.stepped = s.Mono, true
	dt = min(max(dt, 0), time.Second)
	switch {
	case long:
		t.filled = min(t.filled+dt, strainFor)
	case short:
		t.filled = max(t.filled-dt, 0)
	}
	t.high = t.filled >= strainFor || t.high && t.filled > 0
	return t.high
}

// strained follows the delay of a group, and how many of its transfers are held.
func (e *Engine) strained(s *watchdog.Snapshot, j *judged, stands watchdog.Outcome) {
	t := e.strains[j.key]
	if t == nil {
		t = &strain{}
		e.strains[j.key] = t
	}
	for _, x := range j.transfers {
		if stands.Limits[x.ID] != (watchdog.Limit{}) {
			j.held++
		}
	}
	j.strained = t.step(s, j.long(e.settings), j.in.Delay.Known && j.in.Delay.Queue < e.settings.Target)
	if len(j.transfers) == 0 {
		delete(e.strains, j.key)
	}
}

// long tells whether the delay is too long. One that nobody can see counts as long
// on a full link where nothing is limited, else as neither long nor short.
func (j *judged) long(set Settings) bool {
	d := j.in.Delay
	switch {
	case !d.Known:
		return j.out.Saturated && j.held == 0
	case d.Passive: // the transfers' own RTT knows delayed acknowledgements too
		return d.Queue >= set.Engage+set.Target
	}
	return d.Queue >= set.Engage
}

// severity of a link that is saturated. It is information while limits hold the
// delay down, and while a delay is too young to say that they do not.
func (j *judged) severity() watchdog.Severity {
	if j.strained {
		return watchdog.Warning
	}
	return watchdog.Info
}

// standing says what is done about a saturated link.
func (j *judged) standing() string {
	switch {
	case j.dryRun:
		return "nothing is limited: dry run"
	case j.held == 0:
		return "nothing is limited"
	case j.strained:
		return "the delay stays in spite of limits"
	}
	return "limits hold it"
}
