package remediate

import (
	"errors"
	"fmt"

	"lifeline/remediate/remedy"
	"lifeline/watchdog"
)

// inForce is what stands since the last cycle.
type inForce struct {
	limits      map[watchdog.TransferID]watchdog.Limit // others read it too, so it is never changed
	shapers     map[watchdog.ShaperKey]float64         // rates in bytes/s, likewise
	smallBursts bool
}

// update takes the limits of subjects: the map of the last cycle stays where it still
// says so.
func (f *inForce) update(subjects []*subject) {
	n, same := 0, true
	for _, s := range subjects {
		if l := s.inForce(f.shapers); l != (watchdog.Limit{}) {
			n++
			same = same && f.limits[s.t.ID] == l
		}
	}
	if same && n == len(f.limits) {
		return
	}
	f.limits = make(map[watchdog.TransferID]watchdog.Limit, n)
	for _, s := range subjects {
		if l := s.inForce(f.shapers); l != (watchdog.Limit{}) {
			f.limits[s.t.ID] = l
		}
	}
}

// restrict takes from want all that does not stand.
func (f *inForce) restrict(want watchdog.Desired) watchdog.Desired {
	out := watchdog.Desired{
		Limits:      map[watchdog.TransferID]watchdog.Limit{},
		Shapers:     map[watchdog.ShaperKey]float64{},
		SmallBursts: want.SmallBursts && f.smallBursts,
	}
	for id, l := range want.Limits {
		out.Limits[id] = restrictLimit(l, f.limits[id])
	}
	for k, rate := range want.Shapers {
		if _, stands := f.shapers[k]; stands {
			out.Shapers[k] = rate
		}
	}
	return out
}

// restrictLimit takes from l the kinds of limit of which nothing stands.
func restrictLimit(l, stands watchdog.Limit) watchdog.Limit {
	if stands.Window == 0 {
		l.Window = 0
	}
	if stands.Pacing == 0 {
		l.Pacing = 0
	}
	if stands.Rate == 0 {
		l.Rate = 0
	}
	l.Shape = l.Shape && stands.Shape
	l.Pause = l.Pause && stands.Pause
	return l
}

// guarded takes from want what may not be while no guard stands: everything, or while
// one is being started what would be new.
func (e *Enforcer) guarded(want watchdog.Desired) watchdog.Desired {
	err := e.lease.Renew()
	switch {
	case err == nil:
		return want
	case errors.Is(err, remedy.ErrGuardStarting):
		return e.inForce.restrict(want)
	}
	e.fail(remedy.Guard, "daemon", fmt.Errorf("nobody would undo, so nothing is limited: %w", err))
	return watchdog.Desired{}
}
