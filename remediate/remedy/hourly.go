package remedy

import "time"

// HourlyCount counts the uses of the last hour.
type HourlyCount struct{ times []time.Time }

// Used is how many there were.
func (s *HourlyCount) Used(now time.Time) int {
	for len(s.times) > 0 && now.Sub(s.times[0]) >= time.Hour {
		s.times = s.times[1:]
	}
	return len(s.times)
}

// Add counts a use.
func (s *HourlyCount) Add(now time.Time) { s.times = append(s.times, now) }

// Wait is how long it takes until fewer than limit uses lie within an hour; 0 where
// that is so now.
func (s *HourlyCount) Wait(limit int, now time.Time) time.Duration {
	n := s.Used(now)
	if n < limit {
		return 0
	}
	return s.times[n-limit].Add(time.Hour).Sub(now)
}
