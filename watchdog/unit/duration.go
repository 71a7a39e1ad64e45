// Package unit reads quantities as people write them in a configuration: with their
// units. Text comes in, values go out; a number without a unit is never guessed at.
package unit

import (
	"fmt"
	"time"
)

// Duration is a time written with its unit, as "5ms" or "2s". It is a struct so
// that a bare number is refused and never taken for nanoseconds.
type Duration struct{ time.Duration }

// Of is d as a Duration.
func Of(d time.Duration) Duration { return Duration{d} }

// UnmarshalText reads a duration; a number without a unit is refused.
func (d *Duration) UnmarshalText(b []byte) error {
	v, err := time.ParseDuration(string(b))
	if err != nil {
		return fmt.Errorf(`%q is not a duration: write a number and a unit, as "5ms", "2s" or "1m"`, b)
	}
	d.Duration = v
	return nil
}
