package main

import (
	"strings"
	"testing"
	"time"

	"lifeline/watchdog"
	"lifeline/watchdog/control"
	"lifeline/watchdog/lab"
	"lifeline/watchdog/web"
)

// One administrator's cable is pulled while transfers fill the link, as when a
// laptop is closed. His session stands, nobody else is known, and the gateway
// answers, or answers no pings at all. That is told, and no backup stops.
func TestOneAdministratorVanishes(t *testing.T) {
	t.Parallel() // it mostly waits
	for _, c := range []struct {
		name string
		gw   lab.Gateway
		dir  lab.Direction
	}{
		{"push, the gateway answers", lab.GatewayAnswers, lab.Push},
		{"pull, the gateway answers no pings", lab.GatewayDrops, lab.Pull},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel() // it mostly waits
			s := setStage(t, lab.Options{Gateway: c.gw}, "")
			s.baseKnown()
			s.start(lab.Transfers{N: 6, Dir: c.dir})
			s.limited(6)
			s.asksForNeighbours()
			time.Sleep(15 * time.Second) // the rates have found their place
			if err := s.lab.Mgmt.SetCarrier(false); err != nil {
				t.Fatal(err)
			}
			s.nothingPausedFor(35 * time.Second)
			s.tellsOfThePeer()
			if err := s.lab.Mgmt.SetCarrier(true); err != nil {
				t.Fatal(err)
			}
			s.until("he is back, and no more is told", func() bool {
				p, _ := target(s.now(), watchdog.TargetSession)
				return p.Known && p.Silent == 0 && !s.stands(watchdog.ManagementPeerSilent)
			})
		})
	}
}

// asksForNeighbours has the server find the administrator by ARP, as on any LAN:
// nothing can be sent to one who does not answer that.
func (s *stage) asksForNeighbours() {
	s.Helper()
	args := []string{"neigh", "del", s.lab.Mgmt.IPv4.String(), "dev", "eth0"}
	if out, err := s.lab.Srv.Command(s.Context(), "ip", args...).CombinedOutput(); err != nil {
		s.Fatalf("ip %v: %v\n%s", args, err, out)
	}
}

// nothingPausedFor watches the daemon for a while.
func (s *stage) nothingPausedFor(d time.Duration) {
	s.Helper()
	begin := time.Now()
	first := s.moved()
	for time.Since(begin) < d {
		time.Sleep(200 * time.Millisecond)
		for _, l := range s.now().Control {
			if l.Paused > 0 || l.Phase == control.PauseAll {
				s.Fatalf("after %s: %+v\n%s", time.Since(begin), l, s.status())
			}
		}
		if s.stands(watchdog.ManagementUnreachable) {
			s.Fatalf("after %s management is taken for cut off\n%s", time.Since(begin), s.status())
		}
	}
	rate := float64(s.moved()-first) * 8 / 1e6 / time.Since(begin).Seconds()
	s.Logf("%.1f Mbit/s meanwhile", rate)
	if rate < 30 {
		s.Errorf("%.1f Mbit/s of 100 while nobody was paused\n%s", rate, s.status())
	}
}

// moved is what the transfers have moved together, in bytes.
func (s *stage) moved() (n uint64) {
	s.Helper()
	for _, t := range s.ours() {
		n += t.Bytes
	}
	return n
}

// tellsOfThePeer checks what is said of the administrator.
func (s *stage) tellsOfThePeer() {
	s.Helper()
	st := s.now()
	p, _ := target(st, watchdog.TargetSession)
	if p.Silent < 25*time.Second || p.Loss < 0.9 {
		s.Errorf("silent for %s with a loss of %.2f", p.Silent, p.Loss)
	}
	if c, ok := told(st, watchdog.ManagementPeerSilent); !ok || c.Severity != watchdog.Warning || c.Subject != watchdog.TargetSubject(p.Target) {
		s.Errorf("conditions: %+v", st.Conditions)
	}
	text := s.status()
	if !strings.Contains(text, " %, silent for ") {
		s.Errorf("no loss of the silent target in\n%s", text)
	}
	s.Logf("status:\n%s", text)
}

// told is the standing condition of a name.
func told(st web.Status, name watchdog.ConditionName) (watchdog.Condition, bool) {
	for _, c := range st.Conditions {
		if c.Name == name {
			return c, true
		}
	}
	return watchdog.Condition{}, false
}
