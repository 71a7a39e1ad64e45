package engine

import (
	"fmt"

	"lifeline/watchdog"
)

const (
	// minClassRate is the least rate that a receiver is held at, in bytes/s: what
	// rsync sends to keep a connection alive passes in time.
	minClassRate = 8000
	// classQueue is the time that the window of a receiver with a class of its own
	// may fill in that class, in seconds: enough that the class never runs empty,
	// and far less than TCP would put there. It would be a queue of the link's if the
	// link bore less than was asked for.
	classQueue = 0.01
	// minClassSegments is the least window of such a receiver, in segments.
	minClassSegments = 4
)

// answerRateRequests hands on the rates that an operator asked for the transfers of a
// group. A rate of one that goes out is its pacing, which the controller has set; one
// that comes in needs a class of its own, because a window sets no rate on a short path.
func (e *Engine) answerRateRequests(c *linkControl, d *watchdog.Decision, stands watchdog.Outcome) {
	for _, t := range c.transfers {
		rate := e.pins[t.ID].Rate
		if rate <= 0 {
			continue
		}
		why := whyNotLimited(t)
		if t.Direction == watchdog.Rx && why == "" {
			why = c.whyNoClass(t)
		}
		noteRateRequest(d, t.ID, watchdog.RateRequest{Rate: rate, Why: why})
		if t.Direction != watchdog.Rx || why != "" {
			continue
		}
		l := d.Desired.Limits[t.ID]
		l.Rate = max(rate, minClassRate)
		if _, failed := stands.Unheld[t.ID]; !failed && c.cut == nil && !c.queues(e.settings) {
			l.Window = max(l.Window, classWindow(t, l.Rate))
		}
		d.Desired.Limits[t.ID] = l
	}
}

// queues says that the link itself has a queue: then windows stay as small as they
// can be, for the class may not be what holds a transfer.
func (c *linkControl) queues(set Settings) bool {
	return c.in.Delay.Known && c.in.Delay.Queue > set.Target
}

// classWindow is the window in bytes of a receiver whose rate its class holds.
func classWindow(t *watchdog.Transfer, rate float64) int64 {
	w := rate * (t.TCP.MinRTT.Seconds() + classQueue)
	return max(windowFloor(t.TCP), int64(minClassSegments*segment(t.TCP)), int64(min(w, 1<<30-1)))
}

// whyNotLimited says why a transfer is not limited at all; empty where it may be.
func whyNotLimited(t *watchdog.Transfer) string {
	if t.Control == watchdog.ControlPauseOnly || t.Control == watchdog.ControlNone {
		return "it may not be limited: " + t.Why
	}
	return ""
}

// whyNoClass says why a receiver cannot have a class of its own; empty where it can.
func (c *linkControl) whyNoClass(t *watchdog.Transfer) string {
	switch mode := c.settings.Mode[watchdog.Rx]; {
	case t.Foreign:
		return "it is in another network namespace, which the shaper does not reach"
	case mode == ModeOff || mode == ModeSocket:
		return fmt.Sprintf("ingress = %q allows no shaper, and its receive window alone sets no rate on a short path", mode)
	case t.Link == 0:
		return "the link of its route is not known"
	}
	return ""
}

// answerOtherRateRequests answers what was asked for transfers that are in no group.
func (e *Engine) answerOtherRateRequests(ts []watchdog.Transfer, d *watchdog.Decision) {
	if len(e.pins) == 0 {
		return
	}
	for i := range ts {
		t := &ts[i]
		rate := e.pins[t.ID].Rate
		if _, told := d.RateRequests[t.ID]; told || rate <= 0 {
			continue
		}
		why := whyNotLimited(t)
		if t.Foreign && why == "" {
			why = "it is in another network namespace, and foreign_netns is not set"
		}
		noteRateRequest(d, t.ID, watchdog.RateRequest{Rate: rate, Why: why})
	}
}

// noteRateRequest adds a request and its answer to a decision.
func noteRateRequest(d *watchdog.Decision, id watchdog.TransferID, r watchdog.RateRequest) {
	if d.RateRequests == nil {
		d.RateRequests = map[watchdog.TransferID]watchdog.RateRequest{}
	}
	d.RateRequests[id] = r
}
