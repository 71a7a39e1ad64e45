package rsync

import "time"

// Those that move nothing are measured in portions, so that their number delays
// nobody; who begins to move is one of the others as soon as that was measured.
const (
	idleAfter     = 5 * time.Second  // where nothing waits to be sent
	idleQueued    = 12 * time.Second // else: a burst of 64 KB takes 8 s at the lowest pacing rate
	idleBytes     = 4 << 10          // either way, within idleAfter
	idlePerSample = 64
	idleState     = 10 * time.Second // their states and files
)

// noteIdle notes whether a transfer moves nothing, and not because of its limits. One that stands still by a signal, as
// when it is paused, is none of these.
func (p *Probe) noteIdle(t *transfer, now time.Duration) {
	total := t.TCP.BytesReceived + t.TCP.BytesAcked
	if t.movedAt == 0 || t.Stopped || total < t.bytesAtMove || total-t.bytesAtMove >= idleBytes {
		t.movedAt, t.bytesAtMove = now, total
	}
	was := t.Idle
	after := idleAfter
	if t.unsent || t.TCP.Unacked > 0 {
		after = idleQueued
	}
	t.Idle = t.Age > measuredYoung && now-t.movedAt >= after
	if was && !t.Idle && !(t.visible && t.directionKnown) {
		p.lookAgain(t) // it may have chosen a module
	}
}

// giveTurns chooses the idle transfers that this sample measures.
func (p *Probe) giveTurns() {
	left := 0
	if p.allDue {
		left = idlePerSample
	}
	for _, t := range p.order {
		t.idleTurn = false
	}
	for i := range p.order {
		if left == 0 {
			return
		}
		at := (p.idleTurn + i) % len(p.order)
		if t := p.order[at]; t.Idle {
			t.idleTurn = true
			if left--; left == 0 {
				p.idleTurn = at + 1
			}
		}
	}
}
