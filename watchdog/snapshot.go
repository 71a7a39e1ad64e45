package watchdog

import (
	"slices"
	"strings"
	"time"

	"lifeline/watchdog/control"
)

// Softnet is the receive backlog of all CPUs, as rates (/proc/net/softnet_stat).
type Softnet struct {
	Known       bool    `json:"known"`
	Dropped     float64 `json:"dropped"`      // packets/s
	TimeSqueeze float64 `json:"time_squeeze"` // per second
}

// ProbeName names a probe, and behind a colon the part of it that is meant.
type ProbeName string

// The probes.
const (
	ProbeNIC         ProbeName = "nic"
	ProbePath        ProbeName = "path"
	ProbeRsync       ProbeName = "rsync"
	ProbeSoftnet     ProbeName = "softnet"
	ProbeDescriptors ProbeName = "descriptors" // of this process itself: without one no other probe can look
)

// Part names a part of a probe.
func (p ProbeName) Part(what string) ProbeName { return p + ": " + ProbeName(what) }

// Whole is the probe that a part belongs to.
func (p ProbeName) Whole() ProbeName {
	whole, _, _ := strings.Cut(string(p), ":")
	return ProbeName(whole)
}

// ProbeError is a probe that could not look: unknown, never healthy.
type ProbeError struct {
	Probe ProbeName `json:"probe"`
	Err   string    `json:"error"`
}

// Reboot is the latest answer to whether management gets in after a reboot.
type Reboot struct {
	Known   bool      `json:"known"`   // false: not asked yet
	Verdict string    `json:"verdict"` // safe, unsafe or unknown
	Reason  string    `json:"reason"`
	At      time.Time `json:"at"`
}

// Snapshot is one sample of everything.
type Snapshot struct {
	Mono      time.Duration `json:"mono"` // monotonic, from the daemon's start
	Wall      time.Time     `json:"wall"`
	Gap       bool          `json:"gap"` // suspend or clock jump since the last one
	Repeated  bool          `json:"-"`   // all but Paths is as the last one has it, and was not looked at
	Links     []Link        `json:"links"`
	Paths     []Path        `json:"paths"`
	Transfers []Transfer    `json:"transfers"`
	Softnet   Softnet       `json:"softnet"`
	Reboot    Reboot        `json:"reboot"`
	// Management is what the probes of management hosts say together.
	Management control.Reach `json:"management"`
	Errors     []ProbeError  `json:"errors,omitempty"`
}

// Blind tells whether that probe could not look.
func (s *Snapshot) Blind(probe ProbeName) bool {
	return slices.ContainsFunc(s.Errors, func(e ProbeError) bool { return e.Probe == probe })
}
