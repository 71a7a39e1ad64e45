package path

import "time"

const (
	lateBy                 = 5 * time.Millisecond // above the base; what the controller holds the queue to
	lateToProve            = 5                    // answers under load in a row that show a queue
	lateToProveUnknownIdle = 10                   // the same, when the idle path is not known yet
	idleToKnow             = 10                   // idle answers that tell how steady a gateway is
	drainsToProve          = 2                    // the same by queues that went when the limits were lowered; one where
	idleToTrustOneDrain    = 2                    // so many idle answers were all in time
	idleLateByChance       = 2                    // late idle answers that may be chance
	unsteadyRatio          = 0.2                  // ratio of idle answers with delay above which nothing is proven
	steadyRatio            = 0.05                 // and below which it can be
	mostIdleAnswers        = 1000
	distrustFor            = 10 * time.Minute
)

// gatewayTrust finds out whether a gateway's answers show queueing: they are late
// under load, and not without. Many gateways answer when they please, so one that
// was not seen to queue yet gives way to any target that needs no proof. Alone, it
// is believed until something speaks against it: at night it is all there is.
type gatewayTrust struct {
	proven       bool
	timesDrained int     // times that its delay went when the limits were lowered
	lateInARow   int     // late answers under load
	idleAnswers  float64 // idle answers
	idleLate     float64 // of which late
	distrustedAt time.Duration
	distrusted   bool // the queue that it showed was not ours
}

// observe takes the queueing delay of one answer over a trusted base.
func (w *gatewayTrust) observe(queue time.Duration, idle bool) {
	late := queue >= lateBy
	if idle {
		w.observeIdle(late)
		return
	}
	if !late {
		w.lateInARow = 0
		return
	}
	w.lateInARow++
	need := lateToProve
	if w.idleAnswers < idleToKnow {
		need = lateToProveUnknownIdle
	}
	// One late answer that counts as idle may be the first of a load that the
	// counters have not shown yet.
	if w.lateInARow >= need && w.idleLate <= max(1, steadyRatio*w.idleAnswers) {
		w.proven = true
	}
}

func (w *gatewayTrust) observeIdle(late bool) {
	w.lateInARow = 0
	w.idleAnswers++
	if late {
		w.idleLate++
	}
	if w.idleAnswers > mostIdleAnswers {
		w.idleAnswers, w.idleLate = w.idleAnswers/2, w.idleLate/2
	}
	if w.idleAnswers >= idleToKnow && w.idleLate > unsteadyRatio*w.idleAnswers {
		w.proven = false
	}
}

// distrust marks a target whose queue did not follow our transfers.
func (w *gatewayTrust) distrust(now time.Duration) {
	w.distrusted, w.distrustedAt, w.proven, w.lateInARow, w.timesDrained = true, now, false, 0, 0
}

// confirm marks a target whose delay went when the transfers' limits were
// lowered: its way shares their bottleneck. Once may be chance where it is late at
// other times too.
func (w *gatewayTrust) confirm() {
	w.timesDrained++
	need := drainsToProve
	if w.idleAnswers >= idleToTrustOneDrain && w.idleLate == 0 {
		need = 1
	}
	if w.timesDrained >= need && w.idleLate <= max(1, steadyRatio*w.idleAnswers) {
		w.proven = true
	}
}

// usable tells whether the target's delay may be used now: nothing speaks against it.
func (w *gatewayTrust) usable(gateway bool, now time.Duration) bool {
	if w.distrusted && now-w.distrustedAt < distrustFor {
		return false
	}
	return !gateway || w.proven || w.idleLate < idleLateByChance || w.idleLate <= unsteadyRatio*w.idleAnswers
}

// unproven tells whether the target's delay yields to any other's. Only a gateway
// needs proof.
func (w *gatewayTrust) unproven(gateway bool) bool { return gateway && !w.proven }
