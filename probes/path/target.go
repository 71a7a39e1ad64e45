package path

import (
	"context"
	"net/netip"
	"time"

	"lifeline/watchdog"
)

const (
	mostPings = 3                     // requests of the Pinger under way at once
	slack     = 20 * time.Millisecond // a tick that comes this early is the one that was meant
)

// target is one address that is asked, and all that is known of the way to it.
type target struct {
	addr netip.Addr
	why  watchdog.TargetWhy
	link int
	way  Way

	history  history
	base     base
	trust    gatewayTrust
	separate separateQueue
	tries    int
	err      error // of the last request; nil when it went out

	primary     bool
	highSince   time.Duration // of the queue that it shows now
	high        bool
	lastQueueAt time.Duration // when it last showed one, or transfers began
	pace        pace
	asked       time.Duration // when the last request was handed out
	sprintAt    time.Duration
	sprinted    bool
	pings       int // requests of the Pinger under way

	contradicted   bool // no transfer met the queue that it told of
	contradictedAt time.Duration
}

// pingRun is one call of the Pinger.
type pingRun struct {
	id     requestID
	target *target
	ctx    context.Context
	cancel context.CancelFunc
}

// update judges what came in until now.
func (t *target) update(now time.Duration, fast bool) {
	t.history.giveUpOvertaken(now)
	rtt, ok := t.history.rtt(now, 0)
	high := ok && t.base.trusted() && rtt-t.base.rtt >= lateBy || t.history.overdue(now)
	if high && !t.high {
		t.highSince = now
	}
	t.high = high
	if high {
		t.lastQueueAt = now
	}
	if high && fast {
		t.sprint(now, false)
	}
}

// sprint begins to follow the delay closely, if it may.
func (t *target) sprint(now time.Duration, transfersBegin bool) {
	if transfersBegin || !t.sprinted || now-t.sprintAt >= sprintPause {
		t.sprinted, t.sprintAt, t.lastQueueAt = true, now, now
	}
}

// situation gathers what the pace depends on. confirm says that the link's
// primary target shows a queue.
func (t *target) situation(now time.Duration, fast, confirm bool) situation {
	return situation{
		fast: fast, primary: t.primary, high: t.high || confirm, heard: t.history.heard, tries: t.tries,
		learns:  !t.base.trusted(),
		sprint:  t.sprinted && now-t.sprintAt < sprintFor,
		calm:    now-t.lastQueueAt >= calmAfter,
		silence: t.history.silence(now),
		slowest: t.history.slowest(),
	}
}

// due tells whether it is time for a request.
func (t *target) due(now time.Duration) bool {
	return t.tries == 0 || now+slack >= t.asked+t.pace.every
}

// sent notes a request, and that it could not be sent where err says so.
func (t *target) sent(id requestID, now time.Duration, err error) {
	t.history.sent(id, now, err != nil)
	t.err = err
}

// answered takes a reply that came at now and gives its RTT; false when nothing
// waited for it.
func (t *target) answered(id requestID, idle bool, now time.Duration) (time.Duration, bool) {
	rtt, ok := t.history.answered(id, now)
	if !ok {
		return 0, false
	}
	t.base.learn(rtt, idle, now)
	if t.base.trusted() {
		t.trust.observe(rtt-t.base.rtt, idle)
	}
	return rtt, true
}

// reroute starts anew when packets leave by another way: what was learnt is
// of another path.
func (t *target) reroute(r Route) {
	t.link = r.Link
	if t.way == (Way{}) || t.way.same(r.Way) {
		if r.Way.MAC == "" {
			r.Way.MAC = t.way.MAC
		}
		t.way = r.Way
		return
	}
	t.way, t.history, t.base, t.trust, t.separate, t.tries = r.Way, history{}, base{}, gatewayTrust{}, separateQueue{}, 0
}

// recall takes what is remembered of this way. Should the neighbour turn out
// to be another one, reroute forgets it again.
func (t *target) recall(m BaseMemory) {
	t.base = base{rtt: m.Base}
	t.trust.proven, t.separate.proven = m.Queues, m.Apart && !t.gateway()
	if t.way.MAC == "" {
		t.way.MAC = m.Way.MAC
	}
}

// usable tells whether the delay of its answers may be a queue of ours.
func (t *target) usable(now time.Duration) bool {
	return t.base.trusted() && !t.isContradicted(now) && t.trust.usable(t.gateway(), now)
}

// contradictedFor is for how long a target is not believed whose queue no transfer met.
const contradictedFor = time.Hour

func (t *target) isContradicted(now time.Duration) bool {
	return t.contradicted && now-t.contradictedAt < contradictedFor
}

func (t *target) gateway() bool { return t.why == watchdog.TargetGateway }

// usableWithoutYielding tells whether it counts without yielding to another.
func (t *target) usableWithoutYielding(now time.Duration) bool {
	return t.usable(now) && !t.trust.unproven(t.gateway())
}

// rank orders targets by what their delay is worth.
func (t *target) rank(now time.Duration) int {
	switch {
	case t.usableWithoutYielding(now) && t.separate.proven && t.high:
		return 4
	case t.usableWithoutYielding(now) && t.separate.proven:
		return 3
	case t.usableWithoutYielding(now):
		return 2
	case t.usable(now):
		return 1
	}
	return 0
}

// path is the target as the core sees it. Only what was asked after from
// counts, if it is above zero: a target that has only old answers neither
// confirms nor denies a queue that was seen since.
func (t *target) path(now, from time.Duration) watchdog.Path {
	h := &t.history
	p := watchdog.Path{
		Target: t.addr, Why: t.why, Link: t.link,
		Learning: t.history.heard && !t.base.trusted() && t.tries < learnTries,
		Base:     t.base.rtt, Answered: h.heard, Silent: h.silence(now), Loss: h.loss(now),
		Overdue: h.overdue(now), Delay: t.usable(now), Unproven: t.trust.unproven(t.gateway()), Apart: t.separate.proven,
		Contradicted: t.isContradicted(now), Doubt: t.base.rtt > 0 && t.base.suspect,
	}
	rtt, ok := h.rtt(now, from)
	if !ok {
		rtt, ok = h.rtt(now, 0)
		p.Delay = false
	}
	p.RTT = rtt
	p.Recent, p.RecentLag, p.Lag = h.recent(now)
	p.Known = ok && p.Silent == 0 && now-h.last <= 3*t.pace.every+patience
	return p
}
