package remediate

import (
	"cmp"
	"errors"
	"fmt"

	"lifeline/remediate/remedy"
	"lifeline/remediate/shaper"
	"lifeline/watchdog"
)

// shape hands the transfers that belong to a shaper to it.
func (e *Enforcer) shape(want watchdog.Desired, subjects []*subject) map[watchdog.ShaperKey]float64 {
	if e.shaper == nil || e.settings.NoShaper != "" {
		why := cmp.Or(e.settings.NoShaper, "not available")
		for k := range want.Shapers {
			e.fail(remedy.Shaper, fmt.Sprintf("link %d %v", k.Link, k.Direction), errors.New(why))
		}
		for _, s := range subjects {
			if s.rate, s.unheld = 0, ""; s.want.Rate > 0 {
				s.unheld = why
			}
		}
		return nil
	}
	empty(e.members)
	empty(e.own)
	for _, s := range subjects {
		k := s.place()
		switch {
		case s.want.Rate > 0:
			e.own[k] = append(e.own[k], shaper.TransferRate{Transfer: s.t, Rate: s.want.Rate})
		case s.want.Shape:
			e.members[k] = append(e.members[k], s.t)
		}
	}
	inPlace, fails := e.shaper.Apply(want.Shapers, e.members, e.own)
	e.fails = append(e.fails, fails...)
	e.noteOwn(subjects)
	return inPlace
}

// empty keeps the room of lists that were used the last time.
func empty[T any](lists map[watchdog.ShaperKey][]T) {
	for k, l := range lists {
		if lists[k] = l[:0]; len(l) == 0 {
			delete(lists, k)
		}
	}
}

// noteOwn takes note of what became of the rates of single transfers.
func (e *Enforcer) noteOwn(subjects []*subject) {
	for _, s := range subjects {
		s.rate, s.unheld = 0, ""
	}
	for _, own := range e.own {
		for i := range own {
			s := e.subjects[own[i].Transfer.ID]
			if s.rate = own[i].InForce; own[i].Err != nil {
				s.unheld = own[i].Err.Error()
			}
		}
	}
}
