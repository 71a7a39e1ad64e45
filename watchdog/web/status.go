package web

import (
	"cmp"
	"fmt"
	"time"

	"lifeline/watchdog"
	"lifeline/watchdog/facts"
)

// Schema is the version of Status. Fields may be added under one version;
// none changes its meaning.
const Schema = 1

// Status is what `lifeline status --json` prints: the latest cycle of the
// watchdog. Durations are nanoseconds, rates bytes per second, sizes bytes.
type Status struct {
	Schema       int                   `json:"schema"`
	Version      string                `json:"version"`
	PID          int                   `json:"pid"`
	Started      time.Time             `json:"started"`
	At           time.Time             `json:"at"`      // of the latest cycle
	DryRun       bool                  `json:"dry_run"` // nothing is done, only said
	DryRunCounts *DryRunCounts         `json:"would,omitempty"`
	Ping         string                `json:"ping"`      // how echo requests are sent: privileged or not
	Guard        string                `json:"guard"`     // state of the guard process
	GuardPID     int                   `json:"guard_pid"` // 0 without one
	Capabilities []watchdog.Capability `json:"capabilities"`
	Management   string                `json:"management"` // reachable, unreachable or unknown
	Reboot       watchdog.Reboot       `json:"reboot"`
	Links        []watchdog.Link       `json:"links"`
	Absent       []string              `json:"absent,omitempty"` // settings for links that are not there, and what to do
	Paths        []watchdog.Path       `json:"paths"`
	Control      []watchdog.LinkState  `json:"control"`
	SmallBursts  bool                  `json:"small_bursts"` // TCP bursts are kept small (net.ipv4.tcp_tso_rtt_log)
	Transfers    []Transfer            `json:"transfers"`
	Conditions   []watchdog.Condition  `json:"conditions"`
	Failures     []watchdog.Failure    `json:"failures"`
	Spent        []watchdog.Spent      `json:"spent"` // of the budgets of remedies, within the last hour
	ProbeErrors  []watchdog.ProbeError `json:"probe_errors"`
	Journal      facts.Health          `json:"journal"`
	Page         PageStatus            `json:"page"`
	Took         time.Duration         `json:"turn"` // how long the latest cycle took
}

// DryRunCounts count what a dry run would have done so far.
type DryRunCounts struct {
	Limits  int `json:"limits"`  // transfers that would have been limited, each time anew
	Pauses  int `json:"pauses"`  // or paused
	Shapers int `json:"shapers"` // that would have been made
}

// Transfer is a transfer and what is done to it.
type Transfer struct {
	watchdog.Transfer
	LinkName  string         `json:"link_name"`
	Limit     watchdog.Limit `json:"limit"`            // wanted
	InForce   watchdog.Limit `json:"in_force"`         // stands
	HeldByUs  bool           `json:"held_by_us"`       // stopped by us at this moment
	Mechanism string         `json:"mechanism"`        // the limit in words; in a dry run what would be
	Asked     float64        `json:"asked,omitempty"`  // bytes/s that an operator asked for; 0 for none
	Unheld    string         `json:"unheld,omitempty"` // why it is not held at the rate that was asked for
}

// Fill takes one cycle of the loop into the status.
func (st *Status) Fill(r watchdog.Report) {
	st.At, st.Took = r.Snapshot.Wall, r.Took
	st.Management = r.Snapshot.Management.String()
	st.Reboot = r.Snapshot.Reboot
	st.Links, st.Paths = r.Snapshot.Links, r.Snapshot.Paths
	st.Control, st.Conditions = r.Decision.Links, r.Decision.Conditions
	st.SmallBursts = r.Outcome.SmallBursts
	st.Failures, st.ProbeErrors, st.Spent = r.Outcome.Failed, r.Snapshot.Errors, r.Outcome.Spent
	names := map[int]string{}
	for _, l := range r.Snapshot.Links {
		names[l.Index] = l.Name
	}
	st.Transfers = make([]Transfer, 0, len(r.Snapshot.Transfers))
	for _, t := range r.Snapshot.Transfers {
		w := Transfer{
			Transfer: t, LinkName: names[t.Link],
			Limit: r.Decision.Desired.Limits[t.ID], InForce: r.Outcome.Limits[t.ID],
			HeldByUs: r.Outcome.Stopped[t.ID],
		}
		if wish, ok := r.Decision.RateRequests[t.ID]; ok {
			w.Asked, w.Unheld = wish.Rate, unheld(w, wish, r.Outcome.Unheld[t.ID])
			if st.DryRun {
				w.Unheld = "this is a dry run, and nothing is touched"
			}
		}
		w.Mechanism = mechanism(w)
		if st.DryRun {
			w.Mechanism = dryRunMechanism(w)
		}
		st.Transfers = append(st.Transfers, w)
	}
}

// Held is the rate in bytes/s at which the kernel holds a transfer; 0 when it holds
// none. A receive window is no rate.
func (t *Transfer) Held() float64 {
	if t.Direction == watchdog.Tx {
		return t.InForce.Pacing
	}
	return t.InForce.Rate
}

// unheld says why a transfer is not held at the rate that was asked for; empty when
// it is.
func unheld(t Transfer, w watchdog.RateRequest, failed string) string {
	held := t.Held()
	switch {
	case held == 0:
		return cmp.Or(w.Why, failed, "nothing holds it yet")
	case held > 1.01*w.Rate:
		return "that is the least at which its connection stays alive"
	case held < 0.99*w.Rate:
		return "the link bears no more for now"
	}
	return ""
}

// Wish puts into words what became of the rate that was asked for by hand.
func (t *Transfer) Wish() string {
	held := t.Held()
	switch {
	case t.Unheld == "":
		return "is held at " + watchdog.Mbit(t.Asked)
	case held > 0:
		return fmt.Sprintf("is held at %s; asked for %s: %s", watchdog.Mbit(held), watchdog.Mbit(t.Asked), t.Unheld)
	}
	return fmt.Sprintf("asked for %s; cannot be enforced here: %s; runs at %s", watchdog.Mbit(t.Asked), t.Unheld, watchdog.Mbit(t.Rate))
}

// mechanism puts a limit into words.
func mechanism(t Transfer) string {
	l := t.Limit
	switch {
	case l.Pause && t.HeldByUs:
		return "paused"
	case l.Pause:
		return "paused (keepalive)"
	case t.InForce.Rate > 0:
		return "held at " + watchdog.Mbit(t.InForce.Rate) + window(l)
	case l.Shape:
		return "shaped" + window(l)
	case l.Pacing > 0:
		return "paced to " + watchdog.Mbit(l.Pacing)
	case l.Window > 0:
		return window(l)[1:]
	case t.Control == watchdog.ControlNone:
		return "out of reach"
	}
	return "free"
}

// dryRunMechanism puts into words what is wanted for a transfer of a dry run.
func dryRunMechanism(t Transfer) string {
	l := t.Limit
	switch {
	case l.Pause:
		return "would pause"
	case l.Shape:
		return "would shape" + window(l)
	case l.Pacing > 0:
		return "would limit to " + watchdog.Mbit(l.Pacing)
	case l.Window > 0:
		return "would limit to" + window(l)
	case t.Control == watchdog.ControlNone:
		return "out of reach"
	}
	return "free"
}

func window(l watchdog.Limit) string {
	if l.Window == 0 {
		return ""
	}
	return " window " + size(float64(l.Window))
}
