package remediate

import "time"

// Budget bounds a remedy, so that a wrong decision made again and again does
// bounded harm.
type Budget struct {
	PausesPerHour int           // of one transfer; pulses do not count; 0 is DefaultBudget's
	MaxHold       time.Duration // longest pause of one transfer, with its pulses; 0 is DefaultBudget's
}

// DefaultBudget is what may be done where nothing else is configured.
var DefaultBudget = Budget{PausesPerHour: 30, MaxHold: 15 * time.Minute}

// orDefault fills in what is not configured.
func (b Budget) orDefault() Budget {
	if b.PausesPerHour <= 0 {
		b.PausesPerHour = DefaultBudget.PausesPerHour
	}
	if b.MaxHold <= 0 {
		b.MaxHold = DefaultBudget.MaxHold
	}
	return b
}

// restAfterPause is how long a transfer runs after the longest pause.
func (b Budget) restAfterPause() time.Duration { return max(10*time.Second, b.MaxHold/10) }
