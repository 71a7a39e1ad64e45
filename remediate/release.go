package remediate

import (
	"context"

	"lifeline/remediate/process"
	"lifeline/remediate/shaper"
	"lifeline/remediate/sysctl"
	"lifeline/remediate/undo"
	"lifeline/watchdog"
	"lifeline/watchdog/ledger"
)

// New makes an Enforcer that writes to l, is guarded by lease, and gives
// shapers to rates, which may be nil.
func New(l *ledger.Ledger, lease Lease, rates Shaper, s Settings) *Enforcer {
	s.Budget = s.Budget.orDefault()
	e := &Enforcer{
		settings: s,
		ledger:   l,
		kernel:   newKernel(&process.Handles{}),
		lease:    lease,
		shaper:   rates,
		subjects: map[watchdog.TransferID]*subject{},
		members:  map[watchdog.ShaperKey][]watchdog.Transfer{},
		own:      map[watchdog.ShaperKey][]shaper.TransferRate{},
		limits:   map[watchdog.TransferID]watchdog.Limit{},
	}
	if s.Bursts {
		e.bursts = sysctl.NewSmallBursts(sysctl.TSOBursts, l, l.Identity().Netns)
	}
	return e
}

// ReleaseAll undoes everything. What could not be undone stays in the ledger
// and is named in the error.
func (e *Enforcer) ReleaseAll(ctx context.Context, u undo.Undoer) error {
	if e.shaper != nil {
		_, fails := e.shaper.Apply(nil, nil, nil)
		e.fails = append(e.fails, fails...)
	}
	ctx, cancel := context.WithTimeout(ctx, undo.FullReceiverWait)
	defer cancel()
	err := undo.Strike(e.ledger, u.Undo(ctx, e.ledger.Live()))
	e.subjects, e.order = map[watchdog.TransferID]*subject{}, nil
	if e.bursts != nil {
		e.bursts.Released()
	}
	e.kernel.Keep(func(watchdog.ProcID) bool { return false })
	return err
}
