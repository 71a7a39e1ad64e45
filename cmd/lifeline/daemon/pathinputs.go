package daemon

import (
	"net/netip"
	"slices"
	"time"

	"lifeline/probes/path"
	"lifeline/watchdog"
	"lifeline/watchdog/control"
)

// limitsMove tells whether limits are on their way to what a link bears.
func limitsMove(last watchdog.Decision) bool {
	return slices.ContainsFunc(last.Links, func(l watchdog.LinkState) bool { return l.Moving })
}

// pathMode is how often targets are to be asked.
func pathMode(v view) path.Mode {
	switch {
	case len(v.Transfers) == 0:
		return path.Idle
	case limitsMove(v.last):
		return path.Close
	}
	return path.Fast
}

const (
	// idleRate is the rate of a link below which the paths over it count as empty, so
	// that base RTTs may be learnt, bytes/s: 1 Mbit/s.
	idleRate = 125e3
	// unseenFor is for how long a new transfer may fill a link before the link's
	// counters show it.
	unseenFor = 3 * time.Second
)

// idleLinks are the links that carry next to nothing, by ifindex: by their counters
// and without a new transfer, or because all transfers over their NIC are cut to
// measure the base RTT.
func idleLinks(v view) (idle []int) {
	for _, l := range v.Links {
		rx, tx := l.Rates[watchdog.Rx], l.Rates[watchdog.Tx]
		low := rx.Known && tx.Known && rx.Bytes < idleRate && tx.Bytes < idleRate
		if low && !hasNewTransfer(v, l.Index) || isCut(v, l.Index) {
			idle = append(idle, l.Index)
		}
	}
	return idle
}

// hasNewTransfer tells whether a transfer has just begun on the NIC of a link: what
// is answered late there is not late while idle.
func hasNewTransfer(v view, link int) bool {
	return slices.ContainsFunc(v.Transfers, func(t watchdog.Transfer) bool {
		return t.Age < unseenFor && v.carrier(t.Link) == v.carrier(link)
	})
}

// isCut tells whether all transfers over the NIC of a link are cut to measure its
// base RTT, and have been for long enough.
func isCut(v view, link int) bool {
	return slices.ContainsFunc(v.last.Links, func(l watchdog.LinkState) bool { return l.PathEmpty && l.Link == v.carrier(link) })
}

// targetJudge is told what the control of a link found out about a target.
type targetJudge interface {
	Contradict(target netip.Addr) // it claims a queue that no transfer meets
	Refuse(target netip.Addr)     // its queue stayed when the transfers gave way
	Doubt(target netip.Addr)      // the queue that it shows is not ours
	Confirm(target netip.Addr)    // the queue that it showed went when limits were lowered
}

// targetFinding is one of these, with its target.
type targetFinding struct {
	verdict func(targetJudge, netip.Addr)
	target  netip.Addr
}

func (f targetFinding) tell(j targetJudge) { f.verdict(j, f.target) }

// judgeTargets says what the last decision, by the answers in this sample, tells of
// the targets. A gateway, which many answer when they please, is doubted where a link
// has just backed off from a queue that is not ours, and confirmed where one went with
// the limits. backedOff are the links that had backed off before, by ifindex, and now
// those that have.
func judgeTargets(v view, backedOff map[int]bool) (found []targetFinding, now map[int]bool) {
	now = map[int]bool{}
	drained := map[int]bool{}
	for _, l := range v.last.Links {
		if l.Contradicted {
			found = append(found, targetFinding{targetJudge.Contradict, l.Delay.From})
		}
		if l.Phase == control.Backoff && !backedOff[l.Link] {
			found = append(found, targetFinding{targetJudge.Refuse, l.Delay.From})
		}
		now[l.Link] = now[l.Link] || l.Phase == control.Backoff
		drained[l.Link] = drained[l.Link] || l.Drained
	}
	for _, p := range v.Paths {
		if p.Why != watchdog.TargetGateway || !p.Delay {
			continue
		}
		switch nic := v.carrier(p.Link); {
		case now[nic] && !backedOff[nic]:
			found = append(found, targetFinding{targetJudge.Doubt, p.Target})
		case drained[nic] && p.Unproven:
			found = append(found, targetFinding{targetJudge.Confirm, p.Target})
		}
	}
	return found, now
}
