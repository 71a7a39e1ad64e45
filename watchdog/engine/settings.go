package engine

import (
	"time"

	"lifeline/watchdog/control"
)

// Settings are the operator's choices for the engine.
type Settings struct {
	Link         func(names ...string) LinkSettings // of the first of these links that has its own, else of all; never nil
	MaxRunning   int                                // most transfers running at once on one link and direction; 0 for no cap
	Share        control.Share
	Target       time.Duration // queueing delay to hold
	Engage       time.Duration // queueing delay to engage at
	Pause        bool          // pausing is allowed
	ForeignNetns bool          // also limit transfers of other network namespaces
	IdleTick     time.Duration // between Snapshots while no transfer runs
	DryRun       bool          // nothing of what is decided is enforced
	LimitHold    time.Duration // longest hold of limits without a sign that the link needs them; 0 for no bound
}

// LinkSettings are the operator's choices for one link.
type LinkSettings struct {
	Capacity [2]float64 // bytes/s by Direction; 0 when not configured
	Mode     [2]Mode    // by Direction
}

// Mode is how a direction of a link is enforced.
type Mode string

// The ways to enforce.
const (
	ModeAuto   Mode = "auto"   // socket options first, a shaper once the capacity is known
	ModeSocket Mode = "socket" // socket options only
	ModeShaper Mode = "shaper" // a shaper, and socket options only until it stands
	ModeOff    Mode = "off"    // never act
)
