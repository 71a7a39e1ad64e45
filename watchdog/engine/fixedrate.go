package engine

import (
	"fmt"

	"lifeline/watchdog"
)

const (
	// leastHeld is the least rate that a receiver is held at, in bytes/s: what
	// rsync sends to keep a connection alive passes in time.
	leastHeld = 8000
	// heldQueue is the time that the window of a receiver with a class of its own
	// may fill in that class, in seconds: enough that the class never runs empty,
	// and far less than TCP would put there. It would be a queue of the link's if the
	// link bore less than was asked for.
	heldQueue = 0.01
	// heldSegments is the least window of such a receiver, in segments.
	heldSegments = 4
)

// grant hands on what an operator asked for the transfers of a group. A rate of one
// that goes out is its pacing, which the controller has set; one that comes in needs
// a class of its own, because a window sets no rate on a short path.
func (e *Engine) grant(j *judged, d *watchdog.Decision, stands watchdog.Outcome) {
	for _, t := range j.transfers {
		rate := e.pins[t.ID].Rate
		if rate <= 0 {
			continue
		}
		w := watchdog.Wish{Rate: rate, Why: unlimitable(t)}
		if t.Direction == watchdog.Rx && w.Why == "" {
			w.Why = e.unclassed(j, t)
		}
		wish(d, t.ID, w)
		if t.Direction != watchdog.Rx || w.Why != "" {
			continue
		}
		l := d.Desired.Limits[t.ID]
		l.Rate = max(rate, leastHeld)
		if _, failed := stands.Unheld[t.ID]; !failed && j.cut == nil && !e.queues(j) {
			l.Window = max(l.Window, heldWindow(t, l.Rate))
		}
		d.Desired.Limits[t.ID] = l
	}
}

// queues says that the link itself has a queue: then windows stay as small as they
// can be, for the class may not be what holds a transfer.
func (e *Engine) queues(j *judged) bool {
	return j.in.Delay.Known && j.in.Delay.Queue > e.settings.Target
}

// heldWindow is the window in bytes of a receiver whose rate its class holds.
func heldWindow(t *watchdog.Transfer, rate float64) int64 {
	mss := t.TCP.MSS
	if mss <= 0 {
		mss = 1460
	}
	w := rate * (t.TCP.MinRTT.Seconds() + heldQueue)
	return max(windowFloor(t.TCP), int64(heldSegments*mss), int64(min(w, 1<<30-1)))
}

// unlimitable says why a transfer is not limited at all.
func unlimitable(t *watchdog.Transfer) string {
	if t.Control == watchdog.ControlPauseOnly || t.Control == watchdog.ControlNone {
		return "it may not be limited: " + t.Why
	}
	return ""
}

// unclassed says why a receiver cannot have a class of its own.
func (e *Engine) unclassed(j *judged, t *watchdog.Transfer) string {
	switch mode := e.settingsOf(&j.group).Mode[watchdog.Rx]; {
	case t.Foreign:
		return "it is in another network namespace, which the shaper does not reach"
	case mode == ModeOff || mode == ModeSocket:
		return fmt.Sprintf("ingress = %q allows no shaper, and its receive window alone sets no rate on a short path", mode)
	case t.Link == 0:
		return "the link of its route is not known"
	}
	return ""
}

// ungranted tells of the wishes for transfers that are in no group.
func (e *Engine) ungranted(ts []watchdog.Transfer, d *watchdog.Decision) {
	if len(e.pins) == 0 {
		return
	}
	for i := range ts {
		t := &ts[i]
		rate := e.pins[t.ID].Rate
		if _, told := d.Wishes[t.ID]; told || rate <= 0 {
			continue
		}
		why := unlimitable(t)
		if t.Foreign && why == "" {
			why = "it is in another network namespace, and foreign_netns is not set"
		}
		wish(d, t.ID, watchdog.Wish{Rate: rate, Why: why})
	}
}

// wish notes one wish in a decision.
func wish(d *watchdog.Decision, id watchdog.TransferID, w watchdog.Wish) {
	if d.Wishes == nil {
		d.Wishes = map[watchdog.TransferID]watchdog.Wish{}
	}
	d.Wishes[id] = w
}
