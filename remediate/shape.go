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
	if err := e.noShaper(); err != nil {
		for k := range want.Shapers {
			e.fail(remedy.Shaper, fmt.Sprintf("link %d %v", k.Link, k.Direction), err)
		}
		for _, s := range subjects {
			if s.rate, s.rateError = 0, nil; s.want.Rate > 0 {
				s.rateError = err
			}
		}
		return nil
	}
	truncateLists(e.members)
	truncateLists(e.withRate)
	for _, s := range subjects {
		k := s.shaperKey()
		switch {
		case s.want.Rate > 0:
			e.withRate[k] = append(e.withRate[k], shaper.TransferRate{Transfer: s.t, Rate: s.want.Rate})
		case s.want.Shape:
			e.members[k] = append(e.members[k], s.t)
		}
	}
	inPlace, fails := e.shaper.Apply(want.Shapers, e.members, e.withRate)
	e.fails = append(e.fails, fails...)
	e.noteTransferRates(subjects)
	return inPlace
}

// noShaper says why no shaper may be made; nil when it may.
func (e *Enforcer) noShaper() error {
	if e.shaper == nil {
		return cmp.Or(e.settings.NoShaper, errNoShaper)
	}
	return e.settings.NoShaper
}

var errNoShaper = errors.New("not available")

// truncateLists keeps the room of lists that were used the last time.
func truncateLists[T any](lists map[watchdog.ShaperKey][]T) {
	for k, l := range lists {
		if lists[k] = l[:0]; len(l) == 0 {
			delete(lists, k)
		}
	}
}

// noteTransferRates takes note of what became of the rates of single transfers.
func (e *Enforcer) noteTransferRates(subjects []*subject) {
	for _, s := range subjects {
		s.rate, s.rateError = 0, nil
	}
	for _, rates := range e.withRate {
		for _, r := range rates {
			s := e.subjects[r.Transfer.ID]
			s.rate, s.rateError = r.InForce, r.Err
		}
	}
}
