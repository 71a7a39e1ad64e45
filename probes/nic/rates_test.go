package nic

import (
	"testing"
	"time"

	"lifeline/watchdog"
)

func both(rx, tx uint64) *[2]watchdog.Counters {
	return &[2]watchdog.Counters{{Bytes: rx}, {Bytes: tx}}
}

func TestTrack(t *testing.T) {
	for name, c := range map[string]struct {
		dt     time.Duration
		rx, tx uint64
		speed  float64
		known  bool
		rxRate float64
	}{
		"a second":                {time.Second, 1500, 1000, 0, true, 500},
		"nothing moved":           {time.Second, 1000, 1000, 0, true, 0},
		"one direction fell":      {time.Second, 1500, 10, 0, false, 0},
		"32-bit wrap is a reset":  {time.Second, 3, 1000, 0, false, 0},
		"time went back":          {-time.Second, 1500, 1000, 0, false, 0},
		"faster than the link":    {time.Second, 200e6, 1000, 125e6, false, 0},
		"a little over the speed": {time.Second, 130e6, 1000, 125e6, true, 130e6 - 1000},
		"faster than any link":    {time.Millisecond * 100, 20e9, 1000, 0, false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			var tr track
			tr.step(time.Minute, both(1000, 1000), 0)
			got := tr.step(time.Minute+c.dt, both(c.rx, c.tx), c.speed)
			if got[watchdog.Rx].Known != c.known || got[watchdog.Tx].Known != c.known || got[watchdog.Rx].Bytes != c.rxRate {
				t.Errorf("got %+v", got)
			}
		})
	}
}

func TestTrackKeepsRatesBetweenCloseSamples(t *testing.T) {
	var tr track
	tr.step(0, both(0, 0), 0)
	tr.step(tick, both(1000, 0), 0)
	if got := tr.step(tick+time.Millisecond, both(3000, 0), 0)[watchdog.Rx].Bytes; got != 10000 {
		t.Errorf("rate a millisecond later is %v, want the last one", got)
	}
	if got := tr.step(2*tick, both(3000, 0), 0)[watchdog.Rx].Bytes; got != 20000 {
		t.Errorf("rate over the whole tick is %v, want 20000", got)
	}
}
