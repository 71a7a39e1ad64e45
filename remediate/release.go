package remediate

import (
	"context"

	"lifeline/remediate/undo"
	"lifeline/watchdog"
)

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
