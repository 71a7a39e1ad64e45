package incident

import (
	"time"
)

// backoffSampling spaces the evidence in a timeline: after 10 s, then twice as long
// each time, so that a long incident leaves few lines.
type backoffSampling struct{ started, next time.Duration }

const firstSample = 10 * time.Second

func (s *backoffSampling) due(now time.Duration) bool {
	if now < s.next {
		return false
	}
	s.next = now + max(firstSample, now-s.started)
	return true
}
