package path

import (
	"errors"
	"math"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"lifeline/watchdog"
)

// one gives the path to a, which must be there.
func (s *scene) one(t *testing.T, a netip.Addr) watchdog.Path {
	t.Helper()
	paths, _ := s.Sample(s.Clock())
	for _, p := range paths {
		if p.Target == a {
			return p
		}
	}
	t.Fatalf("no path to %v in %+v", a, paths)
	return watchdog.Path{}
}

func TestIdleLearnsTheBase(t *testing.T) {
	bubble(t, func(t *testing.T, s *scene) {
		s.net.set(admin, 20*ms)
		s.net.set(gw, 1*ms)
		s.SetTargets([]netip.Addr{admin}, nil)
		s.SetIdle(2)
		if p := s.one(t, gw); p.Known || p.Answered || !math.IsNaN(p.Loss) {
			t.Errorf("before any answer: %+v", p)
		}
		s.tick(time.Second, 30*time.Second)
		p := s.one(t, admin)
		if !p.Known || !p.Delay || p.RTT != 20*ms || p.Base != 20*ms || p.Link != 2 || p.Loss != 0 || p.Silent != 0 || p.Why != watchdog.TargetConfigured {
			t.Errorf("admin after 30 s: %+v", p)
		}
		if g := s.one(t, gw); !g.Known || !g.Delay || !g.Unproven {
			t.Errorf("a gateway before it was seen to queue: %+v", g)
		}
	})
}

// A base that was first measured under load gives no delay and is in doubt,
// until the link was empty for a while.
func TestBaseInDoubt(t *testing.T) {
	bubble(t, func(t *testing.T, s *scene) {
		s.net.set(admin, 150*ms)
		s.SetTargets([]netip.Addr{admin}, nil)
		s.SetIdle()
		s.SetMode(Fast)
		s.tick(100*ms, 20*time.Second)
		if p := s.one(t, admin); !p.Known || p.Delay || !p.Doubt {
			t.Errorf("under load: %+v", p)
		}
		s.net.set(admin, 12*ms)
		s.SetIdle(2)
		s.tick(100*ms, 5*time.Second)
		if p := s.one(t, admin); !p.Delay || p.Doubt || p.Base != 12*ms {
			t.Errorf("once the link was empty: %+v", p)
		}
	})
}

func TestFastFollowsAQueue(t *testing.T) {
	bubble(t, func(t *testing.T, s *scene) {
		s.net.set(admin, 20*ms)
		s.SetTargets([]netip.Addr{admin}, nil)
		s.SetIdle(2)
		s.tick(time.Second, 20*time.Second)
		s.SetIdle()
		s.SetMode(Fast)
		s.tick(100*ms, 20*time.Second) // until all is calm
		before := s.net.count(admin)
		s.net.set(admin, 170*ms)
		s.tick(100*ms, time.Second)
		if p := s.one(t, admin); p.Queue() < 100*ms {
			t.Errorf("queue of 150 ms is seen as %v after a second (%d requests)", p.Queue(), s.net.count(admin)-before)
		}
		s.net.set(admin, 21*ms)
		s.tick(100*ms, 800*ms)
		if p := s.one(t, admin); p.Queue() != 1*ms {
			t.Errorf("queue that went is seen as %v after 0.8 s", p.Queue())
		}
	})
}

func TestPaceOfRequests(t *testing.T) {
	bubble(t, func(t *testing.T, s *scene) {
		s.net.set(admin, 2*ms)
		s.net.set(gw, 1*ms)
		s.SetTargets([]netip.Addr{admin}, nil)
		s.tick(time.Second, 30*time.Second)
		count := func(a netip.Addr, gap, d time.Duration) int {
			n := s.net.count(a)
			s.tick(gap, d)
			return s.net.count(a) - n
		}
		if n := count(admin, time.Second, time.Minute); n < 28 || n > 31 {
			t.Errorf("idle: %d requests a minute", n)
		}
		if n := count(gw, time.Second, time.Minute); n < 5 || n > 7 {
			t.Errorf("idle, second target: %d requests a minute", n)
		}
		s.SetMode(Fast)
		if n := count(admin, 100*ms, time.Second); n < 9 || n > 11 {
			t.Errorf("transfers begin: %d requests in the first second, one each turn", n)
		}
		s.tick(100*ms, 5*time.Second)
		if n := count(admin, 100*ms, 3*time.Second); n < 13 || n > 17 {
			t.Errorf("transfers go on: %d requests in 3 s", n)
		}
		s.tick(100*ms, 5*time.Second)
		if n := count(admin, 100*ms, 10*time.Second); n < 24 || n > 26 {
			t.Errorf("all is calm: %d requests in 10 s", n)
		}
		s.SetMode(Idle)
		s.tick(time.Second, 2*time.Second)
		if n := count(admin, time.Second, 10*time.Second); n > 11 {
			t.Errorf("idle again: %d requests in 10 s", n)
		}
	})
}

func TestTargetFallsSilentAndComesBack(t *testing.T) {
	bubble(t, func(t *testing.T, s *scene) {
		s.net.set(admin, 2*ms)
		s.SetTargets([]netip.Addr{admin}, nil)
		s.SetMode(Fast)
		s.tick(100*ms, 10*time.Second)
		s.net.set(admin, -1)
		s.tick(100*ms, 6*time.Second)
		p := s.one(t, admin)
		if p.Known || !p.Answered || p.Silent < 5*time.Second || p.Silent > 7*time.Second {
			t.Errorf("after 6 s of silence: %+v", p)
		}
		s.net.set(admin, 2*ms)
		s.tick(100*ms, 2*time.Second)
		if p := s.one(t, admin); !p.Known || p.Silent != 0 || p.RTT != 2*ms {
			t.Errorf("after it came back: %+v", p)
		}
	})
}

// What was under way when a clock was set is neither lost nor answered.
func TestClockIsSet(t *testing.T) {
	bubble(t, func(t *testing.T, s *scene) {
		s.net.set(admin, 20*ms)
		s.SetTargets([]netip.Addr{admin}, nil)
		s.SetMode(Fast)
		s.tick(100*ms, 10*time.Second)
		before := s.one(t, admin)
		for range 5 {
			s.echo.slip = true
			s.tick(100*ms, 500*ms)
		}
		p := s.one(t, admin)
		if p.RTT != 20*ms || p.Base != before.Base || p.Loss != 0 || p.Silent != 0 || !p.Known {
			t.Errorf("%+v, before %+v", p, before)
		}
	})
}

func TestDeafTargetIsAskedSeldom(t *testing.T) {
	bubble(t, func(t *testing.T, s *scene) {
		s.SetMode(Fast)
		s.tick(100*ms, time.Minute)
		if n := s.net.count(gw); n < firstTries || n > firstTries+2 {
			t.Errorf("%d requests in a minute to a gateway that never answers", n)
		}
		if p := s.one(t, gw); p.Known || p.Answered || p.Delay {
			t.Errorf("deaf gateway: %+v", p)
		}
	})
}

func TestGatewayCountsOnceItQueues(t *testing.T) {
	bubble(t, func(t *testing.T, s *scene) {
		s.net.set(gw, 1*ms)
		s.SetIdle(2)
		s.tick(time.Second, 30*time.Second)
		if p := s.one(t, gw); !p.Delay || !p.Unproven {
			t.Errorf("gateway before any load: %+v", p)
		}
		s.SetIdle()
		s.SetMode(Fast)
		s.net.set(gw, 40*ms)
		s.tick(100*ms, 2*time.Second)
		if p := s.one(t, gw); !p.Delay || p.Unproven || p.Queue() < 30*ms {
			t.Errorf("gateway that queues under load: %+v", p)
		}
		s.Doubt(gw)
		if p := s.one(t, gw); p.Delay {
			t.Error("gateway counts although its queue is not ours")
		}
	})
}

func TestSecondTargetMustConfirmAfresh(t *testing.T) {
	bubble(t, func(t *testing.T, s *scene) {
		s.net.set(admin, 2*ms)
		s.net.set(other, 2*ms)
		s.SetTargets([]netip.Addr{admin, other}, nil)
		s.SetMode(Fast)
		s.tick(100*ms, 10*time.Second)
		s.net.set(admin, 60*ms)
		s.net.set(other, 60*ms)
		s.tick(100*ms, time.Second)
		paths, _ := s.Sample(s.Clock())
		if d := LinkDelay(only(2), paths, Passive{}); d.Queue < 50*ms {
			t.Errorf("a second after the queue: %+v from %+v", d, paths)
		}
		s.net.set(other, 2*ms) // so it was the admin's own line
		s.tick(100*ms, time.Second)
		paths, _ = s.Sample(s.Clock())
		if d := LinkDelay(only(2), paths, Passive{}); d.Queue != 0 {
			t.Errorf("one target only is late: %+v from %+v", d, paths)
		}
	})
}

func TestOtherWayIsAnotherPath(t *testing.T) {
	for name, c := range map[string]struct {
		way  Way
		kept bool
	}{
		"other gateway":       {Way{Link: "eth0", Gateway: other, MAC: way.MAC}, false},
		"other link":          {Way{Link: "eth1", Gateway: gw, MAC: way.MAC}, false},
		"gateway replaced":    {Way{Link: "eth0", Gateway: gw, MAC: "02:00:00:00:00:ee"}, false},
		"gateway not in view": {Way{Link: "eth0", Gateway: gw}, true},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *scene) {
				s.net.set(admin, 2*ms)
				s.SetTargets([]netip.Addr{admin}, nil)
				s.SetMode(Fast)
				s.tick(100*ms, 5*time.Second)
				s.net.set(admin, 90*ms)
				s.routes.reroute(c.way)
				synctest.Wait()
				if p := s.one(t, admin); (p.Base != 0) != c.kept {
					t.Errorf("base %v, kept should be %v", p.Base, c.kept)
				}
			})
		})
	}
}

func TestMemoryOutlivesARestart(t *testing.T) {
	bubble(t, func(t *testing.T, s *scene) {
		s.net.set(admin, 20*ms)
		s.net.set(gw, 1*ms)
		s.SetTargets(nil, []Session{{Peer: admin}})
		s.SetIdle(2)
		s.tick(time.Second, 60*time.Second)
		s.stop()

		s.net.set(admin, 120*ms) // saturated from the start
		s.boot(t)
		s.SetMode(Fast)
		s.tick(100*ms, 2*time.Second)
		p := s.one(t, admin)
		if p.Why != watchdog.TargetRemembered || !p.Delay || p.Base != 20*ms || p.Queue() != 100*ms {
			t.Errorf("after a restart under load: %+v", p)
		}
	})
}

func TestMemoryOfAReplacedGatewayIsDropped(t *testing.T) {
	bubble(t, func(t *testing.T, s *scene) {
		s.stop()
		s.store.m.put(BaseMemory{Target: gw, Way: way, Base: 9 * ms, Queues: true, Learnt: time.Now()})
		s.routes.way.MAC = "" // nothing was sent yet
		s.boot(t)
		if p := s.one(t, gw); p.Base != 9*ms {
			t.Errorf("gateway of the same address: %+v", p)
		}
		s.routes.reroute(Way{Link: "eth0", Gateway: gw, MAC: "02:00:00:00:00:ee"})
		synctest.Wait()
		if p := s.one(t, gw); p.Base != 0 || p.Delay {
			t.Errorf("it is another machine: %+v", p)
		}
	})
}

func TestBrokenMemoryIsLearntAgain(t *testing.T) {
	bubble(t, func(t *testing.T, s *scene) {
		s.stop()
		s.store.err = errors.New("disk is gone")
		s.boot(t)
		s.net.set(gw, 1*ms)
		s.tick(time.Second, 5*time.Second)
		if p := s.one(t, gw); !p.Known {
			t.Errorf("without memory: %+v", p)
		}
	})
}

func TestErrorsAreTold(t *testing.T) {
	bubble(t, func(t *testing.T, s *scene) {
		s.net.fail[gw] = errors.New("network is unreachable")
		s.tick(100*ms, time.Second)
		if _, errs := s.Sample(s.Clock()); len(errs) != 1 {
			t.Errorf("errors %v, want one", errs)
		}
		s.routes.mu.Lock()
		s.routes.err = errors.New("no netlink")
		s.routes.mu.Unlock()
		s.SetTargets([]netip.Addr{admin}, nil)
		synctest.Wait()
		paths, errs := s.Sample(s.Clock())
		if len(errs) == 0 || len(paths) != 2 || paths[0].Link != 0 || paths[1].Link != 0 {
			t.Errorf("without routes: %+v, %v", paths, errs)
		}
	})
}

func TestOwnAddressIsNoTarget(t *testing.T) {
	bubble(t, func(t *testing.T, s *scene) {
		s.SetTargets([]netip.Addr{self, admin}, nil)
		synctest.Wait()
		paths, _ := s.Sample(s.Clock())
		if len(paths) != 2 || paths[0].Target != admin || paths[1].Target != gw {
			t.Errorf("got %+v", paths)
		}
	})
}
