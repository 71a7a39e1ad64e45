package watchdog

import "time"

// Report is one turn of the loop: what was seen, decided and done.
type Report struct {
	Snapshot Snapshot
	Decision Decision
	Outcome  Outcome
	Learnt   map[LearntKey]float64 // bytes/s; do not keep
	Took     time.Duration
}

// LearntKey names a remembered capacity: indices change over a reboot, names
// seldom do.
type LearntKey struct {
	Link      string
	Direction Direction
}
