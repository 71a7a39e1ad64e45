package remediate

import (
	"fmt"
	"time"

	"lifeline/watchdog"
	"lifeline/watchdog/ledger"
)

// buildsPerHour is how often a shaper may be put up by default, for one link and
// direction: every half a minute. Each time, what waits in the qdisc that it
// takes the place of is lost, for everybody on the link.
const buildsPerHour = 120

// account is what one link and direction has used of its budget.
type account struct {
	spending
	target string
}

// spend notes that a shaper is put up.
func (s *LinkShaper) spend(k watchdog.ShaperKey, e ledger.Entry) {
	if s.spent[k] == nil {
		s.spent[k] = &account{target: shaperTarget(e, k)}
	}
	s.spent[k].use(s.now())
}

// overdraws says why no shaper may be put up for want of budget.
func (s *LinkShaper) overdraws(k watchdog.ShaperKey) error {
	a := s.spent[k]
	if a == nil || a.count(s.now()) < s.perHour {
		return nil
	}
	free := a.at[len(a.at)-s.perHour].Add(time.Hour).Sub(s.now())
	return fmt.Errorf("put up %d times within an hour, all that its budget allows: again in %s", len(a.at), free.Round(time.Second))
}

// overdrawn reports the links that do without a shaper for want of budget, and
// forgets those that used none for an hour.
func (s *LinkShaper) overdrawn() []watchdog.Failure {
	var fails []watchdog.Failure
	for _, k := range sortedKeys(s.spent) {
		a := s.spent[k]
		if a.count(s.now()) == 0 {
			delete(s.spent, k)
			continue
		}
		_, stands := s.stands[k]
		if err := s.overdraws(k); err != nil && !stands {
			fails = append(fails, watchdog.Failure{Remedy: remedyShaper, Target: a.target, Err: err.Error(), Instead: "socket options"})
		}
	}
	return fails
}

// Spent tells what of the last hour's budgets is used, where any is.
func (s *LinkShaper) Spent() []watchdog.Spent {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []watchdog.Spent
	for _, k := range sortedKeys(s.spent) {
		a := s.spent[k]
		out = append(out, watchdog.Spent{Remedy: remedyShaper, Target: a.target, Used: a.count(s.now()), PerHour: s.perHour})
	}
	return out
}
