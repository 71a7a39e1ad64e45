package incident

import (
	"testing"
	"time"

	"lifeline/watchdog"
)

func everything(name string) Route {
	return Route{Name: name, MinWeight: 1, Minor: true, Reminders: true, Resolved: true}
}

// join restarts with other receivers.
func (s *sim) join(routes ...Route) *sim {
	n := s.restart()
	n.life.Routes = routes
	return n
}

// A receiver that is added while an incident stands hears of it once it is known to
// stand still, and the others do not hear of it again.
func TestReceiverThatIsAdded(t *testing.T) {
	s := newSim(t, everything("old"))
	s.raise(saturated)
	s.raise(down)
	s.pass(10 * time.Minute)
	s = s.join(everything("old"), everything("new"))
	s.stand = nil
	s.pass(3 * time.Second) // nobody knows yet whether it stands
	s.raise(saturated)
	s.pass(time.Minute) // the other one is over, and was never told to the new one
	s.clear(saturated)
	s.want("0s old firing warning", "0s old firing critical",
		"10m3s new firing warning",
		"10m31s old resolved critical",
		"11m3s old resolved warning", "11m3s new resolved warning")
}

// The reminders of others come when they would have come.
func TestReceiverThatIsAddedLeavesReminders(t *testing.T) {
	s := newSim(t, everything("old"))
	s.raise(saturated)
	s.pass(30 * time.Minute)
	s = s.join(everything("old"), everything("new"))
	s.stand = []watchdog.Condition{saturated}
	s.pass(31 * time.Minute)
	s.want("0s old firing warning", "30m1s new firing warning", "1h0m0s old reminder warning", "1h0m0s new reminder warning")
}

// Without reminders it is told all the same; what it does not want, or what is
// silenced, it is not told.
func TestReceiverThatIsAddedWantsOrNot(t *testing.T) {
	s := newSim(t, everything("old"))
	s.raise(saturated)
	s.raise(down)
	urgent := everything("urgent")
	urgent.MinWeight = Weight(watchdog.Critical)
	s = s.join(everything("old"), urgent)
	s.life.Repeat = 0
	s.life.Silences = []Silence{{ID: "s", Subject: "eth1", From: simStart, Until: simStart.Add(time.Hour)}}
	s.stand = []watchdog.Condition{saturated, down}
	s.pass(2 * time.Hour)
	s.want("0s old firing warning", "0s old firing critical", "1h0m0s old updated critical [unsilenced]", "1h0m0s urgent firing critical [unsilenced]")
}

// A receiver that wants more than before is told what stands.
func TestReceiverThatWantsMore(t *testing.T) {
	urgent := everything("r")
	urgent.MinWeight = Weight(watchdog.Critical)
	s := newSim(t, urgent)
	s.raise(saturated)
	s.pass(time.Minute)
	s = s.join(everything("r"))
	s.stand = []watchdog.Condition{saturated}
	s.pass(time.Minute)
	s.want("1m1s r firing warning")
}
