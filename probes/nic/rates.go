package nic

import (
	"time"

	"lifeline/watchdog"
)

const (
	minInterval = 20 * time.Millisecond // less than this apart, counters tell little: the last rates stand
	maxRate     = 800e9 / 8             // bytes/s; more than any link moves, so the counter is of another link
	tooFast     = 1.5                   // times a believed speed: the same, with room for a late timer
)

// track follows one link's counters.
type track struct {
	started bool
	at      time.Duration
	last    [2]watchdog.Counters
	rates   [2]watchdog.Rates
	cadence cadence
}

// step takes the counters at now and returns the rates since the step before.
// speed is the believed one in bytes/s, 0 when unknown.
func (t *track) step(now time.Duration, c *[2]watchdog.Counters, speed float64) [2]watchdog.Rates {
	dt := now - t.at
	switch {
	case !t.started, dt < 0, backwards(&t.last, c):
		*t = track{started: true, at: now, last: *c, cadence: cadence{changed: now}}
		return t.rates
	case dt < minInterval:
		return t.rates
	case *c == t.last:
		t.at = now
		if !t.cadence.still(now) {
			t.rates = [2]watchdog.Rates{{Known: true}, {Known: true}}
		}
		return t.rates
	}
	over, known := t.cadence.moved(now, dt, gained(&t.last, c))
	for d := range c {
		t.rates[d] = rates(&t.last[d], &c[d], over.Seconds())
	}
	if !known || absurd(t.rates, speed) {
		t.rates = [2]watchdog.Rates{}
	}
	t.at, t.last = now, *c
	return t.rates
}

// gained is how many packets both directions moved.
func gained(old, cur *[2]watchdog.Counters) uint64 {
	var n uint64
	for d := range cur {
		n += cur[d].Packets - old[d].Packets
	}
	return n
}

// backwards tells whether any counter fell. 64-bit counters do not wrap, so
// the driver was reset or the link is another one, and nothing is known of
// either direction.
func backwards(old, cur *[2]watchdog.Counters) bool {
	for d := range cur {
		o, c := &old[d], &cur[d]
		if c.Bytes < o.Bytes || c.Packets < o.Packets || c.Errors < o.Errors || c.Dropped < o.Dropped ||
			c.FIFO < o.FIFO || c.CRC < o.CRC || c.Missed < o.Missed || c.Frame < o.Frame {
			return true
		}
	}
	return false
}

// rates divides what the counters gained by seconds. Some drivers leave CRC
// and frame errors out of the total, so the larger of the two counts.
func rates(old, cur *watchdog.Counters, seconds float64) watchdog.Rates {
	crc := (cur.CRC - old.CRC) + (cur.Frame - old.Frame)
	missed := (cur.Missed - old.Missed) + (cur.FIFO - old.FIFO)
	return watchdog.Rates{
		Known:   true,
		Bytes:   float64(cur.Bytes-old.Bytes) / seconds,
		Packets: float64(cur.Packets-old.Packets) / seconds,
		Errors:  float64(max(cur.Errors-old.Errors, crc)) / seconds,
		Dropped: float64(cur.Dropped-old.Dropped) / seconds,
		Missed:  float64(missed) / seconds,
		CRC:     float64(crc) / seconds,
	}
}

// absurd tells whether no such link could have moved that much.
func absurd(r [2]watchdog.Rates, speed float64) bool {
	limit := maxRate
	if speed > 0 {
		limit = tooFast * speed
	}
	return r[watchdog.Rx].Bytes > limit || r[watchdog.Tx].Bytes > limit
}
