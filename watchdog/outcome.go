package watchdog

// Outcome is what stands after Desired was applied.
type Outcome struct {
	Limits  map[TransferID]Limit  // in force
	Stopped map[TransferID]bool   // stopped at this moment (a pulse lets a paused one run)
	Shapers map[ShaperKey]float64 // in place
	Failed  []Failure
	Spent   []Spent // budgets of which anything is used
	// Unheld says why a transfer is not held at its Rate.
	Unheld map[TransferID]string
	// SmallBursts says that we hold the kernel's bursts small.
	SmallBursts bool
}

// Remedy names a way to act on transfers, or what acting needs.
type Remedy string

// Without these nothing may be changed at all.
const (
	RemedyGuard  Remedy = "guard"  // the process that undoes when the daemon cannot
	RemedyLedger Remedy = "ledger" // the record of what was changed
)

// Failure is one remedy that could not be applied or undone.
type Failure struct {
	Remedy Remedy `json:"remedy"` // window, pacing, shaper, pause, small-bursts, guard, ledger
	Target string `json:"target"` // transfer, link or host
	Err    string `json:"error"`
	// Instead is what does its work meanwhile; empty: nothing does.
	Instead string `json:"instead,omitempty"`
}

// Spent is what was used of a remedy's budget within the last hour.
type Spent struct {
	Remedy  Remedy `json:"remedy"`
	Target  string `json:"target"` // transfer or link
	Used    int    `json:"used"`
	PerHour int    `json:"per_hour"`
}

// Capability is one mechanism that was tried at start-up.
type Capability struct {
	Name      string `json:"name"` // window, hold-buffer, pacing, priority, pause, shaper-egress, shaper-ingress, small-bursts, proc-connector, icmp
	Available bool   `json:"available"`
	Why       string `json:"why,omitempty"`  // the likely cause when it is not
	Left      string `json:"left,omitempty"` // what is used in its place
}
