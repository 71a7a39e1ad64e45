package path

import (
	"math"
	"slices"
	"time"
)

const (
	idleAnswers = 10               // that make a base trustworthy
	driftTime   = 60 * time.Second // of idleness, after which a base has risen by 63 % of the gap
	maxDrift    = 10 * time.Second // idleness that one answer may stand for
	harmlessRTT = 3 * time.Millisecond
)

// base learns the RTT of the empty path. It falls at once, because no answer
// is faster than the path, and rises slowly and only while the link is idle.
// A base that was learnt under load is suspect: it may contain a queue.
type base struct {
	rtt     time.Duration   // 0 when unknown
	suspect bool            // may be too high
	idle    []time.Duration // the last answers of this idle period
	at      time.Duration   // of the last of them
}

// learn takes the RTT of one answer at now.
func (b *base) learn(rtt time.Duration, idle bool, now time.Duration) {
	if rtt <= 0 {
		return
	}
	if b.rtt == 0 {
		b.rtt, b.suspect = rtt, true
	}
	b.rtt = min(b.rtt, rtt)
	if idle {
		b.drift(rtt, now)
	} else {
		b.idle = b.idle[:0]
	}
	if b.rtt < harmlessRTT {
		b.suspect = false // no queue of that size matters
	}
}

// drift follows the minimum of the idle answers upwards.
func (b *base) drift(rtt, now time.Duration) {
	since := now - b.at
	b.at = now
	if len(b.idle) >= idleAnswers {
		b.idle = slices.Delete(b.idle, 0, 1)
	}
	b.idle = append(b.idle, rtt)
	if len(b.idle) < idleAnswers {
		return
	}
	least := slices.Min(b.idle)
	if b.suspect {
		b.rtt, b.suspect = least, false
		return
	}
	part := 1 - math.Exp(-min(since, maxDrift).Seconds()/driftTime.Seconds())
	b.rtt += time.Duration(part * float64(least-b.rtt))
}

// trusted tells whether a queueing delay may be computed from it.
func (b *base) trusted() bool { return b.rtt > 0 && !b.suspect }
