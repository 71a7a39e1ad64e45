package control

import "time"

// Share is how a budget is divided among transfers.
type Share string

// The known ways to share.
const (
	ShareEqual      Share = "equal"
	ShareSmallFirst Share = "small-first" // less remaining gets more
)

// Settings are the operator's choices for one direction of one link.
type Settings struct {
	Direction  Direction
	Off        bool          // never act in this direction
	NoShaper   bool          // socket options only
	ShaperOnly bool          // no socket limits once the shaper stands, also on paths where windows do better
	Target     time.Duration // queueing delay to hold, default 5 ms
	Engage     time.Duration // queueing delay to engage at, default 10 ms
	MaxRunning int           // most transfers running at once; 0 for no cap
	Share      Share
	Pause      bool // pausing is allowed
	DryRun     bool // nothing is enforced: say what would be, and conclude nothing from it
}

// params are the settings with their defaults, times in seconds.
type params struct {
	Settings
	target, engage float64
}

func newParams(set Settings) params {
	if set.Target <= 0 {
		set.Target = 5 * time.Millisecond
	}
	if set.Engage <= 0 {
		set.Engage = 10 * time.Millisecond
	}
	set.Engage = max(set.Engage, set.Target)
	return params{Settings: set, target: seconds(set.Target), engage: seconds(set.Engage)}
}

// sending says that the transfers of this direction are senders: pacing and an
// egress shaper limit them, not windows.
func (p *params) sending() bool { return p.Direction == Tx }
