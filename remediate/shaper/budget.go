package shaper

import (
	"fmt"
	"time"

	"lifeline/remediate/remedy"
	"lifeline/watchdog"
	"lifeline/watchdog/ledger"
)

// DefaultPerHour is how often a shaper may be put up by default, for one link and
// direction: every half a minute. Each time, what waits in the qdisc that it
// takes the place of is lost, for everybody on the link.
const DefaultPerHour = 120

// buildCount is what one link and direction has used of its budget.
type buildCount struct {
	remedy.HourlyCount
	target string
}

// countBuild notes that a shaper is put up.
func (s *HTB) countBuild(k watchdog.ShaperKey, e ledger.Entry) {
	if s.builds[k] == nil {
		s.builds[k] = &buildCount{target: targetName(e, k)}
	}
	s.builds[k].Add(s.now())
}

// budgetError says why no shaper may be put up for want of budget.
func (s *HTB) budgetError(k watchdog.ShaperKey) error {
	a := s.builds[k]
	if a == nil || a.Used(s.now()) < s.perHour {
		return nil
	}
	return fmt.Errorf("put up %d times within an hour, all that its budget allows: again in %s",
		a.Used(s.now()), a.Wait(s.perHour, s.now()).Round(time.Second))
}

// budgetFailures reports the links that do without a shaper for want of budget, and
// forgets those that used none for an hour.
func (s *HTB) budgetFailures() []watchdog.Failure {
	var fails []watchdog.Failure
	for _, k := range sortedKeys(s.builds) {
		a := s.builds[k]
		if a.Used(s.now()) == 0 {
			delete(s.builds, k)
			continue
		}
		_, stands := s.standing[k]
		if err := s.budgetError(k); err != nil && !stands {
			fails = append(fails, watchdog.Failure{Remedy: remedy.Shaper, Target: a.target, Err: err.Error(), Instead: "socket options"})
		}
	}
	return fails
}

// Spent tells what of the last hour's budgets is used, where any is.
func (s *HTB) Spent() []watchdog.Spent {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []watchdog.Spent
	for _, k := range sortedKeys(s.builds) {
		a := s.builds[k]
		out = append(out, watchdog.Spent{Remedy: remedy.Shaper, Target: a.target, Used: a.Used(s.now()), PerHour: s.perHour})
	}
	return out
}
