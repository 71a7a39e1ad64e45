package remediate

import (
	"context"
	"errors"
	"time"

	"lifeline/watchdog"
	"lifeline/watchdog/ledger"
)

// New makes an Enforcer that writes to l, is guarded by lease, and gives
// shapers to shaper, which may be nil.
func New(l *ledger.Ledger, lease Lease, shaper Shaper, s Settings) *Enforcer {
	s.Budget = s.Budget.orDefault()
	e := &Enforcer{
		settings: s,
		ledger:   l,
		kernel:   newKernel(&Handles{}),
		lease:    lease,
		shaper:   shaper,
		subjects: map[watchdog.TransferID]*subject{},
		members:  map[watchdog.ShaperKey][]watchdog.Transfer{},
		own:      map[watchdog.ShaperKey][]OwnRate{},
		limits:   map[watchdog.TransferID]watchdog.Limit{},
	}
	if s.Bursts {
		e.bursts = &bursts{knob: burstSetting, ledger: l, netns: l.Identity().Netns}
	}
	return e
}

// releaseTime is how long undoing may wait for receivers that are full.
const releaseTime = time.Second

// ReleaseAll undoes everything. What could not be undone stays in the ledger
// and is named in the error.
func (e *Enforcer) ReleaseAll(ctx context.Context, u Undoer) error {
	if e.shaper != nil {
		_, fails := e.shaper.Apply(nil, nil, nil)
		e.fails = append(e.fails, fails...)
	}
	ctx, cancel := context.WithTimeout(ctx, releaseTime)
	defer cancel()
	err := settleUndo(e.ledger, u.Undo(ctx, e.ledger.Live()))
	e.subjects, e.order = map[watchdog.TransferID]*subject{}, nil
	if e.bursts != nil {
		e.bursts.entry, e.bursts.wanted = nil, false
	}
	e.kernel.keep(func(watchdog.ProcID) bool { return false })
	return err
}

// settleUndo strikes what was undone out of the ledger and joins the rest.
func settleUndo(l *ledger.Ledger, results []Undone) error {
	return errors.Join(Report{Results: results}.Err(), strike(l, results))
}

// strike takes what was undone out of the ledger.
func strike(l *ledger.Ledger, results []Undone) error { return l.Done(undoneKeys(results)...) }

// undoneKeys names the entries that were undone.
func undoneKeys(results []Undone) (keys []string) {
	for _, r := range results {
		if r.Err == nil {
			keys = append(keys, r.Entry.Key())
		}
	}
	return keys
}
