package watchdog

import (
	"time"

	"lifeline/watchdog/control"
)

// LinkState is what the controller of one link and direction decided.
type LinkState struct {
	Link         int           `json:"link"`
	Name         string        `json:"name"`
	Direction    Direction     `json:"direction"`
	Phase        control.Phase `json:"phase"`
	Rate         float64       `json:"rate"`       // bytes/s, all traffic
	RateKnown    bool          `json:"rate_known"` // false: Rate means nothing
	Capacity     float64       `json:"capacity"`   // bytes/s, best estimate; 0 when unknown
	Delay        control.Delay `json:"delay"`
	Shaper       float64       `json:"shaper"` // bytes/s wanted of the shaper; 0 for none
	Moving       bool          `json:"moving"` // the limits are on their way to what the link bears
	Drained      bool          `json:"-"`      // a queue went in this step because the limits were lowered
	Contradicted bool          `json:"-"`      // the target that told Delay claims a queue that no transfer meets
	Transfers    int           `json:"transfers"`
	Limited      int           `json:"limited"`
	Paused       int           `json:"paused"`
	// What a dry run would do. Limited, Paused and Shaper are 0 then.
	WouldLimit int           `json:"would_limit,omitempty"`
	WouldPause int           `json:"would_pause,omitempty"`
	WouldShape float64       `json:"would_shape,omitempty"` // bytes/s
	BaseProbe  bool          `json:"sounding,omitempty"`    // everything is cut for a moment, to find the RTT of the empty path
	PathEmpty  bool          `json:"quiet,omitempty"`       // and that has lasted: what is measured now is of an empty path
	Why        string        `json:"why,omitempty"`
	Needless   time.Duration `json:"needless,omitempty"` // limits hold without a sign that the link needs them; the controller begins anew at [budget] limit_hold
}

// Decision is the answer to one Snapshot.
type Decision struct {
	Desired    Desired       `json:"-"`
	Links      []LinkState   `json:"links"`
	Conditions []Condition   `json:"conditions"` // those that stand
	Changes    []Change      `json:"-"`          // conditions raised or cleared by this step
	Tick       time.Duration `json:"tick"`       // when the next Snapshot is wanted
	Rest       bool          `json:"-"`          // nothing moves: the next Snapshot may be Repeated
	// RateRequests are the rates that operators asked for, of all transfers that are there.
	RateRequests map[TransferID]RateRequest `json:"-"`
}

// Active tells whether anything is to be limited, paused or shaped by d.
func (d Decision) Active() bool {
	return len(d.Desired.Limits) > 0 || len(d.Desired.Shapers) > 0
}

// RateRequest is a rate that an operator asked for by hand, for one transfer.
type RateRequest struct {
	Rate float64 // bytes/s
	Why  string  // why it cannot be had; empty: it can, as far as the engine knows
}
