package main

import (
	"testing"
	"time"

	"lifeline/watchdog"
	"lifeline/watchdog/control"
	"lifeline/watchdog/lab"
)

// At night nobody is logged in. Transfers are limited from the first cycle that sees
// them, whatever is known, and the gateway's delay counts as long as nothing speaks
// against it.
func TestNight(t *testing.T) {
	t.Parallel() // it mostly waits
	for _, dir := range []lab.Direction{lab.Push, lab.Pull} {
		t.Run(dir.String(), func(t *testing.T) {
			t.Parallel() // it mostly waits
			s := buildLab(t, lab.Options{Gateway: lab.GatewayAnswers})
			s.launch("")
			s.until("the gateway answers", func() bool {
				p, ok := target(s.now(), watchdog.TargetGateway)
				return ok && p.Known && p.Delay
			})
			s.begin(lab.Transfers{N: 8, Dir: dir})
			s.alwaysLimited(8, func(l watchdog.LinkState) bool { return l.Phase != control.Blind })
			s.until("the capacity is learnt from the gateway's delay", func() bool {
				for _, l := range s.now().Control {
					if l.Transfers == 8 && l.Capacity > 0 && !l.Delay.Passive {
						return true
					}
				}
				return false
			})
		})
	}
}

// Where not even the gateway answers, the limits follow what passes, and now and then
// the RTT of what a receiver sends itself. That keeps the queue short all the same: it
// would stand at 160 ms.
func TestNightWithoutAnyAnswer(t *testing.T) {
	t.Parallel() // it mostly waits
	s := buildLab(t, lab.Options{Gateway: lab.GatewayDrops})
	s.launch("")
	ping, err := s.lab.Ping(t.Context(), lab.Ping{})
	if err != nil {
		t.Fatal(err)
	}
	s.begin(lab.Transfers{N: 8, Dir: lab.Push})
	s.alwaysLimited(8, func(watchdog.LinkState) bool { return true })
	from := time.Since(ping.Begin())
	time.Sleep(5 * time.Second)
	rtt := ping.Stop().Between(from, from+5*time.Second).Percentile(50)
	t.Logf("RTT %s", rtt)
	if rtt > 60*time.Millisecond {
		t.Errorf("RTT %s while nothing can be seen\n%s", rtt, s.status())
	}
}

// alwaysLimited watches the daemon until it has seen n transfers for some seconds:
// all that it knows are limited, and every link with transfers is as it should be.
func (s *stage) alwaysLimited(n int, holds func(watchdog.LinkState) bool) {
	s.Helper()
	full := 0
	s.until("all transfers were known for some seconds", func() bool {
		for _, l := range s.now().Control {
			if l.Transfers == 0 {
				continue
			}
			if l.Limited+l.Paused < l.Transfers || !holds(l) {
				s.Fatalf("%+v\n%s", l, s.status())
			}
			if l.Transfers >= n {
				full++
			}
		}
		return full >= 60
	})
}
