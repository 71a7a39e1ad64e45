package watchdog

import "fmt"

// Wish is a rate that an operator asked for by hand, for one transfer.
type Wish struct {
	Rate float64 // bytes/s
	Why  string  // why it cannot be had; empty: it can, as far as the engine knows
}

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
func (e *Engine) grant(j *judged, d *Decision, stands Outcome) {
	for _, t := range j.transfers {
		rate := e.pins[t.ID].Rate
		if rate <= 0 {
			continue
		}
		w := Wish{Rate: rate, Why: unlimitable(t)}
		if t.Direction == Rx && w.Why == "" {
			w.Why = e.unclassed(j, t)
		}
		d.wish(t.ID, w)
		if t.Direction != Rx || w.Why != "" {
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
func heldWindow(t *Transfer, rate float64) int64 {
	mss := t.TCP.MSS
	if mss <= 0 {
		mss = 1460
	}
	w := rate * (t.TCP.MinRTT.Seconds() + heldQueue)
	return max(WindowFloor(t.TCP), int64(heldSegments*mss), int64(min(w, 1<<30-1)))
}

// unlimitable says why a transfer is not limited at all.
func unlimitable(t *Transfer) string {
	if t.Control == ControlPauseOnly || t.Control == ControlNone {
		return "it may not be limited: " + t.Why
	}
	return ""
}

// unclassed says why a receiver cannot have a class of its own.
func (e *Engine) unclassed(j *judged, t *Transfer) string {
	switch mode := e.settingsOf(&j.group).Mode[Rx]; {
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
func (e *Engine) ungranted(ts []Transfer, d *Decision) {
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
		d.wish(t.ID, Wish{Rate: rate, Why: why})
	}
}

func (d *Decision) wish(id TransferID, w Wish) {
	if d.Wishes == nil {
		d.Wishes = map[TransferID]Wish{}
	}
	d.Wishes[id] = w
}
