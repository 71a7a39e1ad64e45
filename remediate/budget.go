package remediate

import "time"

// Budget bounds a remedy, so that a wrong decision made again and again does
// bounded harm.
type Budget struct {
	PausesPerHour int           // of one transfer; pulses do not count; 0 is 30
	MaxHold       time.Duration // longest pause of one transfer, with its pulses; 0 is 15 minutes
}

// orDefault fills in what is not configured.
func (b Budget) orDefault() Budget {
	if b.PausesPerHour <= 0 {
		b.PausesPerHour = 30
	}
	if b.MaxHold <= 0 {
		b.MaxHold = 15 * time.Minute
	}
	return b
}

// rest is how long a transfer runs after the longest pause.
func (b Budget) rest() time.Duration { return max(10*time.Second, b.MaxHold/10) }
