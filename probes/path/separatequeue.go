package path

import (
	"net/netip"
	"time"
)

// separateQueue finds out whether a target's queue lies beyond that of the link's other
// targets: it is late under load where they are not, and not while the link is idle.
// Those who are in time prove nothing about a queue that is not on their way, so
// that it counts by itself then. Should its delay stay when the transfers give way,
// it is its own trouble.
type separateQueue struct {
	proven        bool
	late          int           // answers in a row that were late where the others' were not
	since         time.Duration // the first of them
	rejectedUntil time.Duration // not again before
	rejectedFor   time.Duration // length of the last refusal
}

const (
	separateLateFor = time.Second // no shorter: a moment of bad Wi-Fi
	rejectFirst     = 20 * time.Minute
	rejectMost      = 2 * time.Hour
)

// observe takes the queueing delay of one answer, what the others showed then, and
// whether the link was idle. calm says that it is not late then.
func (a *separateQueue) observe(queue, others time.Duration, idle, calm bool, need int, now time.Duration) {
	if idle || queue < others+lateBy || queue < 2*others {
		a.late = 0
		return
	}
	if a.late++; a.late == 1 {
		a.since = now
	}
	if a.late >= need && now-a.since >= separateLateFor && now >= a.rejectedUntil && calm {
		a.proven = true
	}
}

// reject notes that its delay stayed when the transfers gave way. Each time it is
// left alone for longer.
func (a *separateQueue) reject(now time.Duration) {
	a.rejectedFor = min(max(2*a.rejectedFor, rejectFirst), rejectMost)
	*a = separateQueue{rejectedUntil: now + a.rejectedFor, rejectedFor: a.rejectedFor}
}

// leastOfOthers is the shortest queue that the link's other targets show, without those that
// are judged by themselves, or yield.
func (p *Probe) leastOfOthers(t *target, now time.Duration) (queue time.Duration, known bool) {
	for _, o := range p.targets {
		if o == t || o.separate.proven || p.carrier(o.link) != p.carrier(t.link) || !o.usableWithoutYielding(now) || o.history.silence(now) > 0 {
			continue
		}
		rtt, ok := o.history.rtt(now, 0)
		if !ok || now-o.history.last > patience {
			continue
		}
		if q := max(0, rtt-o.base.rtt); !known || q < queue {
			queue, known = q, true
		}
	}
	return queue, known
}

// compareWithOthers holds the answer of one target against what the others show. Who is
// judged by himself already covers for those behind the same queue.
func (p *Probe) compareWithOthers(t *target, rtt time.Duration, now time.Duration) {
	if t.gateway() || !t.usable(now) || t.separate.proven {
		return
	}
	queue := rtt - t.base.rtt
	others, known := p.leastOfOthers(t, now)
	for _, o := range p.targets {
		if o.separate.proven && p.carrier(o.link) == p.carrier(t.link) {
			q, ok := o.history.rtt(now, 0)
			others = max(others, q-o.base.rtt)
			known = known || ok
		}
	}
	if !known {
		t.separate.late = 0
		return
	}
	need, calm := lateToProve, t.trust.idleLate <= unsteadyRatio*t.trust.idleAnswers
	if t.trust.idleAnswers < idleToKnow { // nothing is known yet of how it is while idle
		need, calm = lateToProveUnknownIdle, true
	}
	t.separate.observe(queue, others, p.idle[t.link], calm, need, now)
}

// carrier is the NIC that carries a link, by ifindex.
func (p *Probe) carrier(link int) int {
	if p.nic == nil {
		return link
	}
	return p.nic(link)
}

// Refuse says that the queue which target showed stayed when the transfers gave way:
// it is not judged by itself for a while.
func (p *Probe) Refuse(addr netip.Addr) {
	p.withTarget(addr, func(t *target) { t.separate.reject(p.Clock()) })
}

// Contradict says that target was late with our rate, while no transfer met a queue:
// its delay does not count for an hour.
func (p *Probe) Contradict(addr netip.Addr) {
	p.withTarget(addr, func(t *target) { t.contradicted, t.contradictedAt, t.separate.proven = true, p.Clock(), false })
}
