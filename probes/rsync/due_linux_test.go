package rsync

import (
	"testing"
	"time"

	"lifeline/watchdog"
)

// Transfers that were born at different times are measured by the same samples
// once they are old, and young ones by each.
func TestOldTransfersAreMeasuredTogether(t *testing.T) {
	p := &Probe{}
	const tick = 100 * time.Millisecond
	born := []time.Duration{0, 100 * time.Millisecond, 250 * time.Millisecond, 8 * time.Second}
	var ts []*transfer
	for range born {
		ts = append(ts, &transfer{Transfer: watchdog.Transfer{TCP: watchdog.TCP{Known: true}}})
	}
	together := 0
	for now := 8 * time.Second; now < 11*time.Second; now += tick {
		p.beginSample(now)
		old := 0
		for i, x := range ts {
			x.Age = now - born[i]
			switch due := p.due(x, now); {
			case due && x.Age > measuredYoung:
				old++
			case !due && x.Age <= measuredYoung:
				t.Errorf("at %v: %d is young and not measured", now, i)
			}
		}
		switch old {
		case 3:
			together++
		case 0:
		default:
			t.Errorf("at %v: %d of 3 old ones are measured", now, old)
		}
	}
	if together < 10 || together > 16 {
		t.Errorf("measured %d times in 30 samples, want every other", together)
	}
}
