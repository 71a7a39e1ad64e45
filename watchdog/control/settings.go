package control

import "time"

// Share is how a budget is divided among transfers.
type Share string

// The known ways to share.
const (
	ShareEqual      Share = "equal"
	ShareSmallFirst Share = "small-first" // less remaining gets more
)

// The queueing delays to hold and to engage at, where none is set.
const (
	DefaultTarget = 5 * time.Millisecond
	DefaultEngage = 10 * time.Millisecond
)

// Settings are the operator's choices for one direction of one link.
type Settings struct {
	Direction  Direction
	Off        bool          // never act in this direction
	NoShaper   bool          // socket options only
	ShaperOnly bool          // no socket limits once the shaper stands, also on paths where windows do better
	Target     time.Duration // queueing delay to hold; 0 for DefaultTarget
	Engage     time.Duration // queueing delay to engage at; 0 for DefaultEngage
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
		set.Target = DefaultTarget
	}
	if set.Engage <= 0 {
		set.Engage = DefaultEngage
	}
	set.Engage = max(set.Engage, set.Target)
	return params{Settings: set, target: seconds(set.Target), engage: seconds(set.Engage)}
}

// sending says that the transfers of this direction are senders: pacing and an
// egress shaper limit them, not windows.
func (p *params) sending() bool { return p.Direction == Tx }
