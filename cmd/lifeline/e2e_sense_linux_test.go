package main

import (
	"testing"
	"time"

	"lifeline/watchdog"
	"lifeline/watchdog/lab"
)

// full waits until the administrator's packets stand in the queue.
func (s *stage) full() {
	s.Helper()
	p, err := s.lab.Ping(s.Context(), lab.Ping{})
	if err != nil {
		s.Fatal(err)
	}
	defer p.Stop()
	s.until("the queue stands", func() bool {
		at := time.Since(p.Begin())
		recent := p.Samples().Between(at-500*time.Millisecond, at)
		return len(recent) > 5 && recent.Percentile(50) > 60*time.Millisecond
	})
}

// A daemon that comes to a link that is full already, with nothing remembered,
// can only measure a base RTT that holds the queue. It finds the real one, and
// takes control.
func TestComesToAFullLink(t *testing.T) {
	for _, dir := range []lab.Direction{lab.Push, lab.Pull} {
		t.Run(dir.String(), func(t *testing.T) {
			t.Parallel() // with the other direction alone
			s := buildStage(t, lab.Options{BaseRTT: 10 * time.Millisecond})
			s.begin(lab.Transfers{N: 8, Dir: dir})
			s.full()
			s.launch("")
			s.until("the queue is gone and known to be", func() bool {
				st, err := s.daemon.Status(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				for _, p := range st.Paths {
					if p.Why == watchdog.TargetSession && p.Known && p.Delay && p.Base < 30*time.Millisecond && p.RTT < 40*time.Millisecond {
						return true
					}
				}
				return false
			})
			s.until("the transfers are limited", func() bool {
				n := 0
				for _, x := range s.ours() {
					if x.InForce != (watchdog.Limit{}) {
						n++
					}
				}
				return n == 8
			})
			s.runOn()
		})
	}
}
