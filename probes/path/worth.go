package path

import "time"

const (
	queueSeen    = 5 * time.Millisecond // above the base; what the controller holds the queue to
	proofs       = 5                    // answers under load in a row that show a queue
	strongProofs = 10                   // the same, when the idle path is not known yet
	idleTrials   = 10                   // idle answers that tell how steady a gateway is
	drains       = 2                    // the same by queues that went when the limits were lowered; one where
	steadyIdle   = 2                    // so many idle answers were all in time
	fewIdleLate  = 2                    // late idle answers that may be chance
	unsteady     = 0.2                  // ratio of idle answers with delay above which nothing is proven
	steady       = 0.05                 // and below which it can be
	trialsKept   = 1000
	disbelief    = 10 * time.Minute
)

// worth finds out whether a gateway's answers show queueing: they are late
// under load, and not without. Many gateways answer when they please, so one that
// was not seen to queue yet gives way to any target that needs no proof. Alone, it
// is believed until something speaks against it: at night it is all there is.
type worth struct {
	proven    bool
	drained   int     // times that its delay went when the limits were lowered
	inARow    int     // late answers under load
	idle      float64 // idle answers
	idleLate  float64 // of which late
	doubtedAt time.Duration
	doubted   bool // the queue that it showed was not ours
}

// see takes the queueing delay of one answer over a trusted base.
func (w *worth) see(queue time.Duration, idle bool) {
	late := queue >= queueSeen
	if idle {
		w.seeIdle(late)
		return
	}
	if !late {
		w.inARow = 0
		return
	}
	w.inARow++
	need := proofs
	if w.idle < idleTrials {
		need = strongProofs
	}
	// One late answer that counts as idle may be the first of a load that the
	// counters have not shown yet.
	if w.inARow >= need && w.idleLate <= max(1, steady*w.idle) {
		w.proven = true
	}
}

func (w *worth) seeIdle(late bool) {
	w.inARow = 0
	w.idle++
	if late {
		w.idleLate++
	}
	if w.idle > trialsKept {
		w.idle, w.idleLate = w.idle/2, w.idleLate/2
	}
	if w.idle >= idleTrials && w.idleLate > unsteady*w.idle {
		w.proven = false
	}
}

// doubt marks a target whose queue did not follow our transfers.
func (w *worth) doubt(now time.Duration) {
	w.doubted, w.doubtedAt, w.proven, w.inARow, w.drained = true, now, false, 0, 0
}

// confirm marks a target whose delay went when the transfers' limits were
// lowered: its way shares their bottleneck. Once may be chance where it is late at
// other times too.
func (w *worth) confirm() {
	w.drained++
	need := drains
	if w.idle >= steadyIdle && w.idleLate == 0 {
		need = 1
	}
	if w.drained >= need && w.idleLate <= max(1, steady*w.idle) {
		w.proven = true
	}
}

// counts tells whether the target's delay may be used now: nothing speaks against it.
func (w *worth) counts(gateway bool, now time.Duration) bool {
	if w.doubted && now-w.doubtedAt < disbelief {
		return false
	}
	return !gateway || w.proven || w.idleLate < fewIdleLate || w.idleLate <= unsteady*w.idle
}

// unproven tells whether the target's delay yields to any other's. Only a gateway
// needs proof.
func (w *worth) unproven(gateway bool) bool { return gateway && !w.proven }
