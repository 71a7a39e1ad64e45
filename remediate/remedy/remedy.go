package remedy

import (
	"errors"
	"slices"

	"lifeline/watchdog"
)

// ErrGuardStarting says that no guard stands yet and one is being started: what is in
// force may stay, and nothing new may come.
var ErrGuardStarting = errors.New("a guard is being started")

// The names of remedies, as failures and capabilities carry them.
const (
	Window      = "window"
	Pacing      = "pacing"
	Priority    = "priority"
	Pause       = "pause"
	Shaper      = "shaper"
	Rate        = "rate"
	HoldBuffer  = "hold-buffer"
	SmallBursts = "small-bursts"
	Ledger      = "ledger"
	Guard       = "guard"
	// The two kinds of shaper, as capabilities.
	ShaperEgress  = "shaper-egress"
	ShaperIngress = "shaper-ingress"
)

// LeftWithout is what is left when a mechanism is not available.
var LeftWithout = map[string]string{
	Window:        "incoming transfers: the shaper, or fewer running at a time",
	HoldBuffer:    "windows without it: a receiver that reads in bursts may open its own for a moment",
	Pacing:        "outgoing transfers: fewer running at a time",
	Priority:      "outgoing transfers: pacing; no shaper for them",
	Pause:         "limits only",
	SmallBursts:   "pacing with bursts of up to 64 KB on short paths",
	Guard:         "socket limits only: they end with their connections",
	ShaperEgress:  "pacing of each socket",
	ShaperIngress: "receive window of each socket",
}

// Capability is the outcome of trying a remedy: available, or why not, and what is left then.
func Capability(name string, err error) watchdog.Capability {
	if err != nil {
		return watchdog.Capability{Name: name, Why: err.Error(), Left: LeftWithout[name]}
	}
	return watchdog.Capability{Name: name, Available: true}
}

// Available says whether a capability of that name was found to work.
func Available(cs []watchdog.Capability, name string) bool {
	return slices.ContainsFunc(cs, func(c watchdog.Capability) bool { return c.Name == name && c.Available })
}
