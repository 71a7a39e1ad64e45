// Package remediate makes the kernel match the limits that were decided:
// receive windows, pacing, shapers, TCP's bursts, and stopped processes. Every
// change is written to the ledger before it is made, and every change has an
// undo that a guard process performs when the daemon cannot.
package remediate

import (
	"lifeline/watchdog"
)

// Shaper holds the transfers of a link and direction below a rate, with a
// qdisc of its own.
type Shaper interface {
	// Apply makes the shapers those of rates (bytes/s), with members as their
	// transfers, and removes all others. Applying twice is applying once.
	Apply(rates map[watchdog.ShaperKey]float64, members map[watchdog.ShaperKey][]watchdog.Transfer) (inPlace map[watchdog.ShaperKey]float64, fails []watchdog.Failure)
	// Spent tells what is used of the budgets of the shapers.
	Spent() []watchdog.Spent
}

// The names of remedies, as failures and capabilities carry them.
const (
	remedyWindow   = "window"
	remedyPacing   = "pacing"
	remedyPriority = "priority"
	remedyPause    = "pause"
	remedyShaper   = "shaper"
	remedyHold     = "hold-buffer"
	remedyBursts   = "small-bursts"
	remedyLedger   = "ledger"
	remedyGuard    = "guard"
)
