package watchdog

import (
	"encoding/json"
	"math"
	"net/netip"
	"time"
)

// TargetWhy is how a probe target was found.
type TargetWhy string

// In order of worth.
const (
	TargetConfigured TargetWhy = "configured"
	TargetSession    TargetWhy = "ssh-session" // peer of a live ssh session without rsync
	TargetRemembered TargetWhy = "remembered"  // such a peer, earlier
	TargetGateway    TargetWhy = "gateway"
)

// Path is the way to one probe target.
type Path struct {
	Target    netip.Addr    `json:"target"`
	Why       TargetWhy     `json:"why"`
	Link      int           `json:"link"`       // ifindex of the route to it; 0 when unknown
	RTT       time.Duration `json:"rtt"`        // median of the last answered probes
	Recent    time.Duration `json:"recent"`     // median of the newest two or three alone; 0 when unknown
	RecentLag time.Duration `json:"recent_lag"` // how old Recent is
	Lag       time.Duration `json:"lag"`        // how old RTT is: half the span of its answers
	Base      time.Duration `json:"base"`       // learnt while idle; 0 when unknown
	Known     bool          `json:"known"`
	Delay     bool          `json:"delay"`           // may be used for queueing delay
	Unproven  bool          `json:"unproven"`        // a gateway that was not yet seen to queue: its delay yields to any other's
	Apart     bool          `json:"apart,omitempty"` // its queue was found to be beyond that of the link's other targets: it counts by itself
	// Contradicted says that it was late with our rate while no transfer met a queue: its delay does not count now.
	Contradicted bool          `json:"contradicted,omitempty"`
	Doubt        bool          `json:"doubt"`              // Base was first measured under load and may hold a queue: no delay is computed
	Overdue      bool          `json:"overdue"`            // requests wait for longer than answers usually take: RTT may be their age
	Learning     bool          `json:"learning,omitempty"` // Base will be known after a few answers more while idle
	Answered     bool          `json:"answered"`           // ever, in this run
	Silent       time.Duration `json:"silent"`             // since the last answer, while probes went unanswered; 0 when answering
	Loss         float64       `json:"loss"`               // ratio 0..1 of the last half minute; NaN when nothing is known, as of a target that never answered
}

// MarshalJSON writes an unknown loss as null: JSON has no NaN.
func (p Path) MarshalJSON() ([]byte, error) {
	type plain Path
	out := struct {
		plain
		Loss *float64 `json:"loss"`
	}{plain: plain(p)}
	if !math.IsNaN(p.Loss) {
		out.Loss = &p.Loss
	}
	return json.Marshal(out)
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (p *Path) UnmarshalJSON(b []byte) error {
	type plain Path
	in := struct {
		*plain
		Loss *float64 `json:"loss"`
	}{plain: (*plain)(p)}
	if err := json.Unmarshal(b, &in); err != nil {
		return err
	}
	p.Loss = math.NaN()
	if in.Loss != nil {
		p.Loss = *in.Loss
	}
	return nil
}

// Queue is the queueing delay of the path: RTT minus base, at least zero.
func (p Path) Queue() time.Duration { return max(0, p.RTT-p.Base) }
