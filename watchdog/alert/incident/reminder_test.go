package incident

import (
	"testing"
	"time"

	"lifeline/watchdog"
)

// A host without saved rules cannot become safe by itself: people are told once.
// The same verdict as a danger is one to be reminded of.
func TestWhatCannotChangeRemindsNobody(t *testing.T) {
	s := newSim(t)
	unknown := cond(watchdog.RebootUnknown, "host", watchdog.Info)
	s.raise(unknown)
	s.pass(26 * time.Hour)
	if next, ok := s.life.NextDue(s.at()); ok && next <= s.now {
		t.Errorf("there is something to do at %s, and it is %s", next, s.now)
	}
	s.want("0s r firing info")
	s.clear(unknown)
	s.raise(cond(watchdog.RebootUnsafe, "host", watchdog.Critical))
	s.pass(61 * time.Minute)
	s.want("0s r firing info", "26h0m0s r resolved info", "26h0m0s r firing critical", "27h0m0s r reminder critical")
}
