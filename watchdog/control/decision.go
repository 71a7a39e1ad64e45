package control

import "time"

// FlowLimit is what is wanted for one transfer. The zero value is freedom.
type FlowLimit struct {
	ID     string
	Window int64   // bytes, receive window; 0 for none
	Pacing float64 // bytes/s; 0 for none
	Shape  bool    // belongs in the shaper's class
	Pause  bool    // should not run (remediation adds keepalive pulses)
}

// Phase is where the controller stands.
type Phase uint8

// From doing nothing to stopping everything.
const (
	Free     Phase = iota // no transfers, or nothing to do
	Probing               // transfers are new or capacity is unknown: limits grow until the link answers
	Engaged               // limits are held at what the link bears
	Fewer                 // limits are at their floor, some transfers are paused
	PauseAll              // management is unreachable: everything that may be is paused
	Backoff               // the queue is not ours: let go, and trying again later
	Blind                 // no delay, no capacity: limits follow what passes
	Watching              // a dry run: what would be done is said, and nothing is
)

var phaseNames = [...]string{"free", "probing", "engaged", "fewer-running", "pause-all", "backoff", "blind", "watching"}

// String names the phase as status and logs show it.
func (p Phase) String() string {
	if int(p) < len(phaseNames) {
		return phaseNames[p]
	}
	return "unknown"
}

// Output is the decision of one step. In a dry run its limits are what would be set.
type Output struct {
	Phase        Phase
	Flows        []FlowLimit   // in the order of Input.Flows; one for each
	Shaper       float64       // bytes/s of the shaper, for the transfers alone; 0 for none
	Capacity     float64       // bytes/s that the link was seen to bear, to be remembered; 0 when it was never full
	Contradicted bool          // a queue is claimed that no transfer meets
	Drained      bool          // a queue went now because the limits were lowered: who showed it shares our bottleneck
	ShutOut      bool          // rsync keeps management from getting through: everything is paused for it, or would be
	NotOurs      bool          // the causality test said that the queue is not ours
	Saturated    bool          // the link is saturated: by delay or by utilisation
	Moving       bool          // the limits are on their way to what the link bears: watch the delay closely
	Rest         bool          // nothing moves: until it does, links may be looked at and limits set by every other step
	Tick         time.Duration // when the next step is wanted
	Why          string        // one short clause for logs and status
}
