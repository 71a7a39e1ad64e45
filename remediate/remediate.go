package remediate

import (
	"lifeline/remediate/shaper"
	"lifeline/watchdog"
)

// Shaper holds the transfers of a link and direction below a rate, with a
// qdisc of its own.
type Shaper interface {
	// Apply makes the shapers those of rates (bytes/s), with members as their
	// transfers, and removes all others. Incoming transfers in perTransfer have a class of
	// their own, and are told in it what they have; they need no rate of the
	// link's. Applying twice is applying once.
	Apply(rates map[watchdog.ShaperKey]float64, members map[watchdog.ShaperKey][]watchdog.Transfer, perTransfer map[watchdog.ShaperKey][]shaper.TransferRate) (inPlace map[watchdog.ShaperKey]float64, fails []watchdog.Failure)
	// Spent tells what is used of the budgets of the shapers.
	Spent() []watchdog.Spent
}
